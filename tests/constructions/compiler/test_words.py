"""Words: every monomial is spelled by the pairs that it is made of, within its depth, and common parts are shared."""

from collections import Counter
from fractions import Fraction

from hypothesis import given
from hypothesis import strategies as st

from constructions.compiler.monomials import Exponents
from constructions.compiler.words import Words

monomials = st.lists(st.tuples(*[st.integers(0, 5)] * 3).filter(lambda e: sum(e) > 1), min_size=1, max_size=12)


def spelled(words: Words, symbol: int) -> Counter[int]:
    """How often each variable occurs in a symbol."""
    if symbol < words.n_variables:
        return Counter([symbol])
    left, right = words.pairs[symbol - words.n_variables]
    return spelled(words, left) + spelled(words, right)


@given(monomials)
def test_every_monomial_is_spelled_by_its_pairs(given_: list[Exponents]) -> None:
    depth = (max(map(sum, given_)) - 1).bit_length()
    words = Words.of(set(given_), depth)
    assert words.symbol.keys() == set(given_)
    for exponents, symbol in words.symbol.items():
        assert spelled(words, symbol) == Counter({i: e for i, e in enumerate(exponents) if e})
    assert len(set(words.pairs)) == len(words.pairs)
    level = dict(enumerate(words.levels, start=words.n_variables))
    for symbol, (left, right) in enumerate(words.pairs, start=words.n_variables):
        assert max(level.get(left, 0), level.get(right, 0)) < level[symbol] <= depth


def test_a_pair_that_occurs_in_most_monomials_is_joined_first() -> None:
    words = Words.of({(1, 1, 0, 1), (1, 1, 1, 0), (2, 2, 0, 0)}, 2)
    assert words.pairs[0] == (0, 1)
    assert words.levels == (1, 2, 2, 2)
    wanted = tuple((exponents, Fraction(1)) for exponents in words.symbol)
    assert words.costs([wanted]) == (3, 3)  # above: three products; below: x·y, and two variables carried past it
