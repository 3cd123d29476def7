"""SymPy expressions as maps of Arb's complex balls: an enclosure of the value, and a proof of analyticity.

A finite enclosure over a box proves that the expression is analytic on that box: every branch cut and pole met by
a box gives a ball that is not finite. That is what the bound of :mod:`constructions.approximation.ellipses` rests on.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction

import flint
import sympy as sp
from flint import acb, arb

Operation = Callable[..., acb]
_NOT_FINITE = acb(arb.nan(), arb.nan())


def _guarded(function: Operation, guard: Operation) -> Operation:
    """``function``, made non-finite where ``guard`` of the argument may meet the branch cut (−∞, 0]."""

    def apply(z: acb) -> acb:
        return function(z) if guard(z).log(analytic=True).is_finite() else _NOT_FINITE

    return apply


_ENTIRE_OR_MEROMORPHIC: dict[type[sp.Function], Operation] = {
    sp.exp: acb.exp, sp.sin: acb.sin, sp.cos: acb.cos, sp.sinh: acb.sinh, sp.cosh: acb.cosh, sp.erf: acb.erf,
    sp.erfc: acb.erfc, sp.erfi: acb.erfi, sp.sinc: acb.sinc, sp.tan: acb.tan, sp.tanh: acb.tanh, sp.cot: acb.cot,
    sp.coth: acb.coth, sp.sec: acb.sec, sp.csc: acb.csc, sp.sech: acb.sech, sp.csch: acb.csch,
}  # fmt: skip
"""Functions without branch cuts: a finite ball means that no pole is met."""
_BRANCHED: dict[type[sp.Function], Operation] = {
    sp.log: lambda z: z.log(analytic=True),
    # The cuts of asin and acos are where 1 − z² ≤ 0, and so on: Arb itself would return a value across them.
    sp.asin: _guarded(acb.asin, lambda z: 1 - z * z),
    sp.acos: _guarded(acb.acos, lambda z: 1 - z * z),
    sp.atanh: _guarded(acb.atanh, lambda z: 1 - z * z),
    sp.atan: _guarded(acb.atan, lambda z: 1 + z * z),
    sp.asinh: _guarded(acb.asinh, lambda z: 1 + z * z),
    sp.acosh: _guarded(acb.acosh, lambda z: z - 1),
}
_POLES = {sp.tan, sp.tanh, sp.cot, sp.coth, sp.sec, sp.csc, sp.sech, sp.csch}
SUPPORTED = tuple(sorted(function.__name__ for function in (*_ENTIRE_OR_MEROMORPHIC, *_BRANCHED)))
NON_SMOOTH = (sp.Abs, sp.sign, sp.Max, sp.Min, sp.Heaviside)


def rational(value: Fraction | sp.Rational) -> flint.fmpq:
    """A SymPy rational or a Fraction as ``fmpq``."""
    return flint.fmpq(int(value.numerator), int(value.denominator))


@dataclass(frozen=True)
class Step:
    """``operation`` applied to earlier steps; ``reason`` says why it may fail to be analytic (empty: it cannot)."""

    operation: Operation
    arguments: tuple[int, ...]
    expression: sp.Expr
    reason: str = ""


class BallFunction:
    """A SymPy expression compiled to straight-line code over complex balls.

    Raises ``ValueError`` for complex, undefined or non-smooth expressions, unknown functions and unknown symbols.
    With ``weak_derivatives``, ``sign`` and ``Heaviside`` are allowed and enclosed by [−1, 1] and [0, 1]: for
    bounding a derivative that exists almost everywhere.
    """

    def __init__(self, expression: sp.Expr, variables: Sequence[sp.Symbol], *, weak_derivatives: bool = False) -> None:
        self.expression = expression
        self.variables = tuple(variables)
        self.weak_derivatives = weak_derivatives
        self.steps: list[Step] = []
        self._known: dict[sp.Expr, int] = {variable: index for index, variable in enumerate(self.variables)}
        self._root = self._compile(expression)
        self.may_fail = any(step.reason for step in self.steps)

    def __call__(self, point: Sequence[acb]) -> acb:
        """The ball that encloses the expression on the box ``point`` (one ``acb`` a variable)."""
        return self._run(point)[self._root]

    def failure(self, point: Sequence[acb]) -> tuple[sp.Expr, str] | None:
        """The first subexpression that is not finite on the box, with the reason; ``None`` when all are."""
        values = self._run(point)
        for value, step in zip(values[len(self.variables) :], self.steps, strict=True):
            if not value.is_finite():
                return step.expression, step.reason or "its value is too large to enclose"
        return None

    def _run(self, point: Sequence[acb]) -> list[acb]:
        values = list(point)
        for step in self.steps:
            values.append(step.operation(*(values[index] for index in step.arguments)))
        return values

    def _emit(self, expression: sp.Expr, operation: Operation, *arguments: sp.Expr, reason: str = "") -> int:
        indices = tuple(self._compile(argument) for argument in arguments)
        self.steps.append(Step(operation, indices, expression, reason))
        self._known[expression] = len(self.variables) + len(self.steps) - 1
        return self._known[expression]

    def _compile(self, e: sp.Expr) -> int:
        if e in self._known:
            return self._known[e]
        if e.is_Symbol:
            names = ", ".join(map(str, self.variables))
            raise ValueError(f"{e} has no domain: the variables are {names}; give {e} an interval")
        if e in (sp.nan, sp.zoo, sp.oo, -sp.oo):
            raise ValueError(f"the expression is not a number anywhere: it contains {e}")
        if e is sp.I:
            raise ValueError("the expression contains the imaginary unit I: expected real values")
        if e.is_Rational:
            number = rational(e)
            return self._emit(e, lambda: acb(number))  # rounded at the precision of the call
        if e is sp.pi:
            return self._emit(e, lambda: acb.pi())
        if e is sp.E:
            return self._emit(e, lambda: acb(1).exp())
        if e.is_Add:
            return self._emit(e, lambda *terms: sum(terms[1:], terms[0]), *e.args)
        if e.is_Mul:
            return self._emit(e, _product, *e.args)
        if e.is_Pow:
            return self._power(e)
        if e.func in _ENTIRE_OR_MEROMORPHIC:
            reason = f"{e.func.__name__} may have a pole there" if e.func in _POLES else ""
            return self._emit(e, _ENTIRE_OR_MEROMORPHIC[e.func], *e.args, reason=reason)
        if e.func in _BRANCHED and len(e.args) == 1:
            reason = f"the argument {e.args[0]} of {e.func.__name__} leaves the open set where it is smooth and real"
            return self._emit(e, _BRANCHED[e.func], *e.args, reason=reason)
        if self.weak_derivatives and e.func in (sp.sign, sp.Heaviside):
            low = -1 if e.func is sp.sign else 0
            hull = acb(arb(low).union(arb(1)))
            return self._emit(e, lambda: hull)
        if e.func in NON_SMOOTH or e.is_Piecewise:
            raise ValueError(f"{e} is not smooth: it must be resolved on the domain first")
        raise ValueError(f"{e.func.__name__} is not supported: use {', '.join(SUPPORTED)}, and + - * / **")

    def _power(self, e: sp.Expr) -> int:
        base, exponent = e.args
        if base is sp.E:
            return self._emit(e, acb.exp, exponent)
        if exponent.is_Integer:
            n = int(exponent)
            if n >= 0:
                return self._emit(e, lambda z: z**n, base)
            return self._emit(e, lambda z: 1 / z ** (-n), base, reason=f"the denominator {base} vanishes there")
        branch = f"the base {base} of a fractional power reaches zero or is negative there"
        if exponent == sp.Rational(1, 2):
            return self._emit(e, lambda z: z.sqrt(analytic=True), base, reason=branch)
        if exponent == sp.Rational(-1, 2):
            return self._emit(e, lambda z: 1 / z.sqrt(analytic=True), base, reason=branch)
        return self._emit(e, lambda z, power: (power * z.log(analytic=True)).exp(), base, exponent, reason=branch)


def _product(*factors: acb) -> acb:
    result = factors[0]
    for factor in factors[1:]:
        result = result * factor
    return result


def interval(low: Fraction | float, high: Fraction | float) -> arb:
    """The real ball that contains [low, high] (floats are taken as the dyadic numbers that they are)."""
    ends = [arb(rational(end)) if isinstance(end, Fraction) else arb(end) for end in (low, high)]
    return ends[0].union(ends[1])


def split_box(box: Sequence[tuple[Fraction, Fraction]], axis: int) -> list[tuple[tuple[Fraction, Fraction], ...]]:
    """The two halves of a box of rational intervals."""
    low, high = box[axis]
    middle = (low + high) / 2
    return [(*box[:axis], half, *box[axis + 1 :]) for half in ((low, middle), (middle, high))]


Box = tuple[tuple[Fraction, Fraction], ...]


def cover_real_domain(
    function: BallFunction, domain: Box, accept: Callable[[acb], bool], budget: int = 4000
) -> Box | None:
    """Subdivide ``domain`` until ``accept`` holds for the ball of ``function`` on every part.

    Returns ``None`` on success, and otherwise a small box on which it could not be decided.
    """
    todo: list[tuple[int, Box]] = [(0, domain)]
    deepest = 30 * len(domain)
    while todo:
        depth, box = todo.pop()
        budget -= 1
        if accept(function([acb(interval(*side)) for side in box])):
            continue
        if depth == deepest or budget < 0:
            return box
        todo += [(depth + 1, half) for half in reversed(split_box(box, depth % len(domain)))]
    return None


def describe_point(variables: Sequence[sp.Symbol], box: Box) -> str:
    """``x = 0.5, y = 1``: the middle of a box, for a message."""
    middles = [round(float((low + high) / 2), 8) + 0.0 for low, high in box]
    return ", ".join(f"{variable} = {middle:.6g}" for variable, middle in zip(variables, middles, strict=True))


def exact_numbers(expression: sp.Expr) -> sp.Expr:
    """The expression with every binary float replaced by the rational number that it is."""
    floats: Mapping[sp.Expr, sp.Expr] = {number: sp.Rational(number) for number in expression.atoms(sp.Float)}
    return expression.xreplace(floats) if floats else expression


def resolve_signs(expression: sp.Expr, variables: Sequence[sp.Symbol], domain: Box) -> sp.Expr:
    """Replace ``Abs``, ``sign``, ``Max``, ``Min``, ``Heaviside``, ``Piecewise`` by the piece that provably holds.

    Raises ``ValueError`` for one that does not, with the rate of approximation that is left.
    """
    while True:
        found = [e for e in sp.postorder_traversal(expression) if e.func in NON_SMOOTH or e.func is sp.Piecewise]
        if not found:
            return expression
        innermost = found[0]
        replacement = _resolve(innermost, variables, domain)
        if replacement is None:
            raise ValueError(_not_smooth(expression, innermost, variables, domain))
        expression = expression.xreplace({innermost: replacement})


def _sign(argument: sp.Expr, variables: Sequence[sp.Symbol], domain: Box) -> int:
    """1 or −1 when the argument is positive or negative on the whole domain, proved; 0 otherwise."""
    function = BallFunction(argument, variables)
    for sign, accept in ((1, lambda ball: ball.real > 0), (-1, lambda ball: ball.real < 0)):
        if cover_real_domain(function, domain, accept, budget=500) is None:
            return sign
    return 0


def _resolve(e: sp.Expr, variables: Sequence[sp.Symbol], domain: Box) -> sp.Expr | None:
    if e.func is sp.Piecewise:
        for piece, condition in e.args:
            holds = _holds(condition, variables, domain)
            if holds is not False:
                return piece if holds else None
        return None
    if e.func in (sp.Max, sp.Min):
        want = 1 if e.func is sp.Max else -1
        for candidate in e.args:
            if all(_sign(candidate - other, variables, domain) == want for other in e.args if other != candidate):
                return candidate
        return None
    sign = _sign(e.args[0], variables, domain)
    if not sign:
        return None
    if e.func is sp.Abs:
        return sign * e.args[0]
    return sp.Integer(sign) if e.func is sp.sign else sp.Integer((1 + sign) // 2)


def _holds(condition: sp.Basic, variables: Sequence[sp.Symbol], domain: Box) -> bool | None:
    """Whether a condition holds on the whole domain, or nowhere on it, proved; ``None`` when neither was."""
    if condition in (sp.true, sp.false):
        return bool(condition)
    if isinstance(condition, sp.Not):
        holds = _holds(condition.args[0], variables, domain)
        return None if holds is None else not holds
    if isinstance(condition, sp.And | sp.Or):
        parts = [_holds(part, variables, domain) for part in condition.args]
        decisive = isinstance(condition, sp.Or)
        return decisive if decisive in parts else None if None in parts else not decisive
    if not isinstance(condition, sp.core.relational.Relational):
        return None
    sign = _sign(condition.lhs - condition.rhs, variables, domain)
    if not sign:
        return None
    return {sp.Gt: sign > 0, sp.Ge: sign > 0, sp.Lt: sign < 0, sp.Le: sign < 0, sp.Eq: False, sp.Ne: True}.get(
        type(condition)
    )


def _not_smooth(expression: sp.Expr, piece: sp.Expr, variables: Sequence[sp.Symbol], domain: Box) -> str:
    reason = (
        f"{piece} is not smooth on the domain (none of its pieces was shown to hold on all of it), so no geometric "
        "error bound exists"
    )
    slope = lipschitz_bound(expression, variables, domain)
    if slope is None or len(variables) > 1:
        return f"{reason}; split the domain where the pieces meet"
    half = float((domain[0][1] - domain[0][0]) / 2)
    constant = 1.5707963267948968 * slope * half
    return (
        f"{reason}: with slopes of at most {slope:.4g}, Jackson's theorem proves only an error of "
        f"{constant:.4g}/(d+1) at degree d; split the domain where the pieces meet"
    )


def lipschitz_bound(expression: sp.Expr, variables: Sequence[sp.Symbol], domain: Box) -> float | None:
    """An upper bound of the slopes in the first variable of a continuous, piecewise smooth expression; or ``None``."""
    if expression.has(sp.sign, sp.Heaviside, sp.Piecewise):
        return None
    real = [sp.Dummy(str(variable), real=True) for variable in variables]
    derivative = expression.subs(dict(zip(variables, real, strict=True))).diff(real[0])
    try:
        function = BallFunction(derivative, real, weak_derivatives=True)
    except ValueError:
        return None
    parts: list[Box] = [domain]
    for level in range(6):
        parts = [half for part in parts for half in split_box(part, level % len(domain))]
    balls = [function([acb(interval(*side)) for side in part]) for part in parts]
    return float(max(ball.abs_upper() for ball in balls)) if all(ball.is_finite() for ball in balls) else None
