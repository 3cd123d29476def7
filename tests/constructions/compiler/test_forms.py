"""Linear forms: scales, independent choices, and every form as a combination of what was chosen."""

from fractions import Fraction

from hypothesis import given
from hypothesis import strategies as st

from constructions.compiler.forms import CONSTANT, ZERO, Basis, Linear, components, monic, rank

weights = st.fractions(min_value=-2, max_value=2, max_denominator=3).filter(bool)
forms = st.dictionaries(st.tuples(st.integers(0, 1), st.integers(0, 3)), weights, min_size=1, max_size=4).map(
    lambda terms: monic(sorted(terms.items()))[1]
)


@given(st.lists(forms, max_size=8))
def test_every_form_is_a_combination_of_the_chosen_ones(given_: list[Linear]) -> None:
    distinct = list(dict.fromkeys(given_))
    basis = Basis.of(distinct)
    assert len(basis.chosen) == rank(distinct) == len(Basis.of(basis.chosen).chosen)
    for form in distinct:
        total: dict = {}
        for index, weight in basis.combination[form].items():
            for key, entry in basis.chosen[index]:
                total[key] = total.get(key, Fraction(0)) + weight * entry
        assert {key: value for key, value in total.items() if value} == dict(form)


def test_earlier_forms_are_chosen_first() -> None:
    x, y = ((0, 0), Fraction(1)), ((0, 1), Fraction(1))
    both = Linear([x, y])
    assert Basis.of([both, Linear([x]), Linear([y])]).chosen == (both, Linear([x]))
    assert components([Linear([x]), Linear([y])]) == [[Linear([x])], [Linear([y])]]


def test_the_scale_is_that_of_the_oldest_node_and_constants_are_left_out() -> None:
    half = Fraction(1, 2)
    assert monic([(CONSTANT, half), ((0, 3), half), ((1, 2), 2 * half)]) == (1, Linear([((0, 3), half), ((1, 2), 1)]))
    assert monic([((0, 3), half)]) == (half, Linear([((0, 3), Fraction(1))]))
    assert monic([(CONSTANT, half)]) == (1, ZERO)
