"""Growth certificates: constants with ``‖F(u)‖ ≤ C0 + C1‖u‖``, by abstract interpretation of a traced model.

The abstract value of a tensor ``x`` that the model computes from its input ``u`` is a :class:`Growth`: a polynomial
``p`` with nonnegative coefficients and ``‖x‖ ≤ p(‖u‖)`` (Euclidean norms over all entries), together with what is
known of its entries.  Each operation has a rule (:mod:`precls_theory.expressivity.rules`) that turns the abstract
values of its inputs into that of its output; composing them is the induction over the depth of the model.

*What the bound covers.*  The bound is about the real function that the model defines with its weights as they are:
all constants are rounded upwards, so it is a theorem for exact arithmetic (a conversion between formats is the
identity).  An evaluation in floating point adds its own rounding error: a third interpretation, with the roundings of
the model's format (:mod:`precls_theory.expressivity.rounding`), gives ``computed_coefficients``, which no output that
PyTorch computes exceeds as long as nothing overflows.

*Open sets.*  A model with ReLUs (or clamps, maxima, masks that depend on the input) is one of finitely many analytic
functions at each input: its pieces.  The any-depth theorem on open sets needs a bound for the pieces, each continued
to all inputs, which can be larger: ``clamp(x, 0, 1) * x`` grows linearly, its middle piece is ``x²``.  A second
interpretation, with the rules for pieces, gives ``piece_coefficients``.

Source: new (no such certificate is in Liu et al. 2025); soundness of each rule is proved in
:mod:`precls_theory.theorems.transformers.any_depth`.
"""

from __future__ import annotations

import contextlib
import decimal
import itertools
import math
import operator
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any, Literal, TypeVar

import numpy as np
import torch
from torch import Tensor, fx, nn

from precls_theory.expressivity import bounds
from precls_theory.expressivity.bounds import up, up_div, up_mul, up_sqrt
from precls_theory.expressivity.rounding import Rounding, model_dtypes, terms_of
from precls_theory.expressivity.tracing import Inconclusive, Program, check_input_shape, lookup, trace

Polynomial = tuple[float, ...]
Analyticity = Literal["analytic", "piecewise analytic", "neither"]
ANALYTIC, PIECEWISE, NEITHER = range(3)
KINDS: tuple[Analyticity, ...] = ("analytic", "piecewise analytic", "neither")
_origins = itertools.count()


# ---- polynomials with nonnegative coefficients, rounded upwards ------------------------------------------------------


def trim(p: Polynomial) -> Polynomial:
    """Without leading zero coefficients; the zero polynomial is ``(0.0,)``."""
    while len(p) > 1 and p[-1] == 0:
        p = p[:-1]
    return p


def poly_add(p: Polynomial, q: Polynomial) -> Polynomial:
    """Upper bound of the sum."""
    pairs = itertools.zip_longest(p, q, fillvalue=0.0)
    return trim(tuple(a + b if a == 0 or b == 0 else up(a + b) for a, b in pairs))


def poly_hypot(p: Polynomial, q: Polynomial) -> Polynomial:
    """Upper bound of ``sqrt(p(t)² + q(t)²)``: the norm of a sum of the vectors ``(p_i, q_i) tⁱ``."""
    pairs = itertools.zip_longest(p, q, fillvalue=0.0)
    return trim(tuple(a + b if a == 0 or b == 0 else up(up(math.hypot(a, b))) for a, b in pairs))


def poly_scale(p: Polynomial, c: float) -> Polynomial:
    """Upper bound of ``c p`` for ``c >= 0``."""
    return trim(tuple(up_mul(a, c) for a in p))


def poly_mul(p: Polynomial, q: Polynomial) -> Polynomial:
    """Upper bound of the product."""
    if p == (0.0,) or q == (0.0,):
        return (0.0,)
    with np.errstate(under="ignore", over="ignore"):
        product = np.convolve(np.array(p), np.array(q))
    terms = np.convolve(np.array(p) != 0, np.array(q) != 0)  # where there are none, the coefficient is exactly zero
    return trim(tuple(bounds.inflate(float(c), int(n)) for c, n in zip(product, terms, strict=True)))


def poly_value(p: Polynomial, t: float) -> float:
    """Upper bound of ``p(t)`` for ``t >= 0``."""
    total = 0.0
    for coefficient in reversed(p):
        total = up(up_mul(total, t) + coefficient)
    return total


# ---- the abstract value ----------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Growth:
    """What is known of a tensor ``x`` computed from the input ``u``.

    ``norm``: ``‖x‖ ≤ Σ norm[i] ‖u‖ⁱ``.  ``entry``, ``lower``: ``|x_j| ≤ entry`` and ``x_j ≥ lower`` for every entry.
    ``simplex``: (negative) dimensions along which the entries are nonnegative and sum to at most 1.  ``masked``: where
    entries are ``-inf`` (attention scores); the other facts are about the remaining entries.  ``value``: the tensor
    itself if it does not depend on the input.  ``kind``: analytic, piecewise analytic, or neither.  ``relation``:
    how it relates to the tensor with identity ``origin`` (square, mean square, ...), for norms written out by hand.
    """

    shape: tuple[int, ...]
    norm: Polynomial
    entry: float = math.inf
    lower: float = -math.inf
    simplex: frozenset[int] = frozenset()
    masked: Tensor | None = None
    value: Tensor | None = None
    kind: int = ANALYTIC
    relation: tuple[Any, ...] | None = None
    origin: int = field(default_factory=lambda: next(_origins))

    def __post_init__(self) -> None:
        norm = trim(tuple(self.norm))
        if not all(math.isfinite(coefficient) for coefficient in norm):
            norm = (math.inf,)  # the bound overflows: nothing is known, which a later softmax or norm may repair
        entry = self.entry
        if math.isfinite(entry) and (len(norm) > 1 or norm[0] == math.inf):
            norm = (up_mul(entry, up_sqrt(float(self.numel))),)
        if len(norm) == 1:
            entry = min(entry, norm[0])
        object.__setattr__(self, "norm", norm)
        object.__setattr__(self, "entry", entry)

    @property
    def numel(self) -> int:
        """The number of entries."""
        return math.prod(self.shape)

    @property
    def degree(self) -> int:
        """The growth exponent shown."""
        return len(self.norm) - 1

    def affine(self, c0: float, c1: float, shape: tuple[int, ...] | None = None, kind: int = ANALYTIC) -> Growth:
        """The growth of ``y`` with ``‖y‖ ≤ c0 + c1‖x‖``, for rules that users write; ``c0, c1`` are upper bounds."""
        if not (c0 >= 0 and c1 >= 0 and math.isfinite(c0) and math.isfinite(c1)):
            raise ValueError(f"the constants of a rule must be finite and nonnegative, got c0={c0}, c1={c1}")
        norm = poly_add((float(c0),), poly_scale(self.norm, float(c1)))
        return Growth(self.shape if shape is None else shape, norm, kind=max(self.kind, kind))

    def expanded(self, numel: int) -> Polynomial:
        """Norm of the tensor broadcast to ``numel`` entries."""
        return self.norm if numel == self.numel else poly_scale(self.norm, up_sqrt(up_div(float(numel), self.numel)))

    def same(self, **changes: Any) -> Growth:
        """A copy with changes, and with a new identity."""
        return replace(self, **{"origin": next(_origins), "relation": None, "value": None, **changes})


def constant(value: Tensor, place: str = "constant") -> Growth:
    """The abstract value of a tensor that does not depend on the input; raises Inconclusive on NaN or ``+inf``."""
    shape = tuple(value.shape)
    if not value.is_floating_point() and not value.is_complex():
        numbers = value.double()
    else:
        numbers = torch.view_as_real(value).double() if value.is_complex() else value.double()
    if numbers.isnan().any() or (numbers == math.inf).any():
        raise Inconclusive(place, "a constant holds NaN or +inf")
    masked = numbers == -math.inf
    any_masked = bool(masked.any())
    finite = torch.where(masked, torch.zeros((), dtype=torch.float64), numbers) if any_masked else numbers
    entry = bounds.frobenius_norm(finite) if value.is_complex() else bounds.max_abs(finite)
    return Growth(
        shape, (bounds.frobenius_norm(finite),), entry,
        lower=float(finite.min()) if finite.numel() and not value.is_complex() else -math.inf,
        masked=masked if any_masked else None, value=value,
    )  # fmt: skip


# ---- rules -----------------------------------------------------------------------------------------------------------

Apply = Callable[..., Any]
T = TypeVar("T", bound=Apply)


@dataclass(frozen=True)
class Rule:
    """How an operation transforms growth: ``statement`` is the inequality, ``exponent`` in its inputs' growth, and
    ``analytic`` the regularity of the operation; ``proof`` names the registered theorem with the inequality's proof.
    """

    name: str
    statement: str
    exponent: int
    analytic: Analyticity
    proof: str
    apply: Apply


FUNCTION_RULES: dict[str, Rule] = {}
MODULE_RULES: dict[type[nn.Module], Rule] = {}


def function_rule(
    *names: str, statement: str, exponent: int = 1, analytic: Analyticity = "analytic", proof: str = "growth-rules"
) -> Callable[[T], T]:
    """Register the rule of the tensor operations called ``names`` (a function of torch, a method or an operator)."""

    def register(apply: T) -> T:
        for name in names:
            FUNCTION_RULES[name] = Rule(name, statement, exponent, analytic, proof, apply)
        return apply

    return register


def register_rule(
    module_type: type[nn.Module], *, statement: str = "", exponent: int = 1, analytic: Analyticity = "analytic"
) -> Callable[[T], T]:
    """Register ``rule(module, *growths) -> Growth`` for a module type, which is then a leaf of every trace.

    The rule is trusted: it must bound the norm of the module's output for all inputs.  ``Growth.affine`` covers the
    common case::

        @register_rule(MyLayer, statement="‖y‖ ≤ 3 ‖x‖")
        def my_layer(module: MyLayer, x: Growth) -> Growth:
            return x.affine(c0=0.0, c1=3.0)

    Raises:
        TypeError: ``module_type`` is not a subclass of ``nn.Module``.
    """
    if not (isinstance(module_type, type) and issubclass(module_type, nn.Module)):
        raise TypeError(f"register_rule needs a subclass of torch.nn.Module, got {module_type!r}")

    def register(apply: T) -> T:
        text = statement or f"as registered for {module_type.__name__}"
        MODULE_RULES[module_type] = Rule(module_type.__name__, text, exponent, analytic, "given by the user", apply)
        return apply

    return register


@dataclass(frozen=True)
class Step:
    """One application of a rule: in which module, which operation, by which inequality, with what growth."""

    module: str
    operation: str
    rule: str
    norm: Polynomial


Norms = dict[int, tuple[Tensor, float, float]]


class Context:
    """What a rule may ask about the operation it is applied to."""

    def __init__(
        self, place: str, rule: Rule, out: Any, pieces: bool, norms: Norms, rounding: Rounding | None = None
    ) -> None:
        self.place, self.name, self.out, self.pieces, self._norms = place, rule.name, out, pieces, norms
        self.rounding = rounding
        self.boolean_input = False  # whether an input is a truth value that depends on the model's input
        self.kind = KINDS.index(rule.analytic)  # a rule lowers it where, say, a mask turns out to be constant

    @property
    def shape(self) -> tuple[int, ...]:
        return tuple(self.out.shape)

    def fail(self, reason: str) -> Inconclusive:
        """The error to raise when the rule does not apply."""
        return Inconclusive(self.place, f"{self.name}: {reason}")

    def spectral(self, weights: Tensor) -> float:
        """Upper bound of the spectral norm, computed once per tensor; in floating point, of what a product can reach."""
        if id(weights) not in self._norms:  # the tensor is kept beside its norms, so that its id is not used again
            frobenius = bounds.frobenius_norm(torch.view_as_real(weights) if weights.is_complex() else weights)
            self._norms[id(weights)] = (weights, bounds.spectral_norm(weights), frobenius)
        _, spectral, frobenius = self._norms[id(weights)]
        if self.rounding is None:
            return spectral
        gamma = self.rounding.gamma(4 * max((*weights.shape[-2:], 1)) + 64)
        return up(spectral + up_mul(gamma, frobenius))


_NAMESPACES = (torch, torch.nn.functional, torch.Tensor, operator, torch.special, torch.fft, torch._C._nn, math)


def operation_name(node: fx.Node) -> str | None:
    """The name under which the node's operation is known to the rules; ``None`` for functions that are not torch's."""
    if node.op == "call_method":
        return str(node.target).removesuffix("_") if not str(node.target).startswith("__") else str(node.target)
    name = getattr(node.target, "__name__", "").removeprefix("fft_").removeprefix("special_")
    if node.target is getattr or any(getattr(space, name, None) is node.target for space in _NAMESPACES):
        return name
    return None


class _Interpreter:
    """Walks the graph once; ``pieces`` selects the bounds for the analytic pieces instead of the function, and
    ``dtypes`` those for what is computed in these formats.
    """

    def __init__(
        self,
        program: Program,
        norms: Norms,
        weights: dict[str, Growth],
        pieces: bool = False,
        dtypes: frozenset[torch.dtype] = frozenset(),
    ) -> None:
        self.program, self.pieces, self.norms, self.weights, self.dtypes = program, pieces, norms, weights, dtypes
        self.state: dict[fx.Node, Any] = {}
        self.steps: list[Step] = []

    def run(self) -> Growth:
        for node in self.program.graph.nodes:
            if node.op == "output":
                result = fx.node.map_arg(node.args[0], self.state.__getitem__)
                if isinstance(result, Growth) and result.norm == (math.inf,):
                    step = next(step for step in self.steps if step.norm == (math.inf,))
                    raise Inconclusive(step.module, f"{step.operation}: the bound overflows double precision")
                if not isinstance(result, Growth):
                    raise Inconclusive(
                        "model", f"its forward returns a {type(result).__name__}; wrap it so that it returns one tensor"
                    )
                return result
            self.state[node] = self._step(node)
        raise AssertionError("a traced graph ends in an output")  # pragma: no cover

    def _step(self, node: fx.Node) -> Any:
        out, place = self.program.values[node], self.program.place(node)
        if node.op == "placeholder":
            return Growth(tuple(out.shape), (0.0, 1.0))
        if node.op == "get_attr":
            path = str(node.target)
            if path not in self.weights:
                self.weights[path] = constant(out, place)
            return self.weights[path]
        args, kwargs = fx.node.map_arg((node.args, node.kwargs), self.state.__getitem__)
        inputs = [self.state[other] for other in node.all_input_nodes]
        if node.op == "call_module":
            module = self.program.root.model.get_submodule(str(node.target))  # type: ignore[union-attr]
            rule: Rule = lookup(MODULE_RULES, module)  # type: ignore[assignment]
            result = rule.apply(module, *args, **kwargs)
            kind = max([KINDS.index(rule.analytic), *(x.kind for x in inputs if isinstance(x, Growth))])
            if not isinstance(result, Growth) or result.shape != tuple(out.shape):
                raise Inconclusive(
                    place, f"its rule must return a Growth of shape {tuple(out.shape)}, it returned {result!r}"
                )
            if kind == PIECEWISE and self.pieces and rule.analytic != "analytic":
                raise Inconclusive(place, "a user's rule bounds the function, not its pieces")
            result = replace(result, kind=max(kind, result.kind))
            name = type(module).__name__
        else:
            found = operation_name(node)
            name = found or str(getattr(node.target, "__name__", node.target))
            if isinstance(out, Tensor) and inputs and all(_is_constant(x) for x in inputs):
                return constant(out, place)
            if found is None or found not in FUNCTION_RULES:
                raise Inconclusive(
                    place,
                    f"there is no rule for the operation {name!r}; register one for the module with register_rule",
                )
            rule = FUNCTION_RULES[found]
            operands = [v for n in node.all_input_nodes if isinstance(v := self.program.values[n], Tensor)]
            rounding = None
            if self.dtypes and isinstance(out, Tensor) and operands:
                rounding = Rounding.of(self.dtypes | {x.dtype for x in (out, *operands)})
            context = Context(place, rule, out, self.pieces, self.norms, rounding)
            context.boolean_input = any(
                getattr(self.program.values[other], "dtype", None) == torch.bool and not _is_constant(self.state[other])
                for other in node.all_input_nodes
            )
            tensors = [x for x in inputs if isinstance(x, Growth)]
            hidden = [x for x in tensors if x.masked is not None]
            if hidden and name not in _MASK_AWARE:
                raise Inconclusive(place, f"{name}: entries that are masked with -inf must go to a softmax first")
            try:
                result = rule.apply(context, *args, **kwargs)
            except (TypeError, ValueError, IndexError, KeyError, AttributeError, RuntimeError) as error:
                raise Inconclusive(place, f"{name}: its rule does not cover this call ({error})") from error
            if any(_is_complex(self.program.values[n]) for n in (node, *node.all_input_nodes)):
                if name not in _COMPLEX_AWARE:
                    raise Inconclusive(place, f"{name}: complex numbers are not covered")
                result = _without_order(result)
            if isinstance(result, Growth) and isinstance(out, Tensor) and result.shape != tuple(out.shape):
                raise Inconclusive(place, f"{name}: its rule does not cover this call (it expects {result.shape})")
            if rounding is not None and isinstance(result, Growth) and name not in _EXACT:
                result = _rounded(result, rounding, terms_of(name, operands, out))
            result = _with_kind(result, max([context.kind, *map(_kind, inputs)]))
        for item in result if isinstance(result, tuple) else (result,):
            if isinstance(item, Growth):
                self.steps.append(Step(place, name, rule.statement, item.norm))
        return result

    def culprit(self, exponent: int) -> tuple[str, str]:
        """The operation at which the growth of the output first exceeds the exponent: walk back from the output."""
        node = next(iter(self.program.graph.output_node().all_input_nodes))
        while True:
            faster = [
                other
                for other in node.all_input_nodes
                if isinstance(self.state[other], Growth | tuple) and _degree(self.state[other]) > exponent
            ]
            if not faster:
                return self.program.place(node), operation_name(node) or str(node.target)
            node = faster[0]


_MASK_AWARE: set[str] = set()


def mask_aware(*names: str) -> None:
    """Declare that the rules of these operations handle entries masked with ``-inf``."""
    _MASK_AWARE.update(names)


_EXACT: set[str] = set()


def exact_in_floating_point(*names: str) -> None:
    """Declare that these operations round nothing."""
    _EXACT.update(names)


def _rounded(x: Growth, rounding: Rounding, terms: int) -> Growth:
    """The bounds for the computed result of an operation, whose sums have at most this many terms."""
    factor, least = up(1 + rounding.gamma(terms)), up_mul(float(terms), rounding.tiny)
    norm = poly_add(poly_scale(x.norm, factor), (up_mul(least, up_sqrt(float(x.numel))),))
    low = x.lower * (2 - factor if x.lower > 0 else factor) if math.isfinite(x.lower) else x.lower
    entry = up(up_mul(x.entry, factor) + least)
    return replace(x, norm=norm, entry=entry, lower=math.nextafter(low, -math.inf) if low else low)


_COMPLEX_AWARE: set[str] = set()


def complex_aware(*names: str) -> None:
    """Declare that the rules of these operations hold for complex numbers too, in absolute values."""
    _COMPLEX_AWARE.update(names)


def _is_complex(value: Any) -> bool:
    return isinstance(value, Tensor) and value.is_complex()


def _without_order(x: Any) -> Any:
    """Without the facts that make sense for real numbers only: a complex square need not be nonnegative."""
    if isinstance(x, tuple):
        return tuple(map(_without_order, x))
    return replace(x, lower=-math.inf, simplex=frozenset(), relation=None)


def _degree(x: Any) -> int:
    return max((_degree(item) for item in x), default=0) if isinstance(x, tuple) else getattr(x, "degree", 0)


def _kind(x: Any) -> int:
    return max(map(_kind, x), default=0) if isinstance(x, tuple) else getattr(x, "kind", ANALYTIC)


def _with_kind(x: Any, kind: int) -> Any:
    if isinstance(x, tuple):
        return tuple(_with_kind(item, kind) for item in x)
    return replace(x, kind=kind) if isinstance(x, Growth) and x.value is None else x


def _is_constant(x: Any) -> bool:
    return isinstance(x, Growth) and x.value is not None


# ---- the certificate -------------------------------------------------------------------------------------------------


def _shown(bound: float) -> str:
    """Six digits, rounded up, so that what is printed is a bound too."""
    return f"{decimal.Context(prec=6, rounding=decimal.ROUND_CEILING).create_decimal_from_float(bound).normalize():g}"


@dataclass(frozen=True)
class GrowthCertificate:
    """A proof that ``‖F(u)‖ ≤ Σ coefficients[i] ‖u‖ⁱ`` for all real inputs of shape ``input_shape``.

    The numbers that PyTorch computes in the model's own format obey ``computed_coefficients`` instead (``None``: no bound
    short of overflow), see :mod:`precls_theory.expressivity.rounding`.
    ``C0`` and ``C1`` are the first two coefficients, rounded up; ``C1`` is ``None`` where the growth is faster than
    linear, and 0 where the output is bounded.  ``analytic`` says whether F is analytic, one of finitely many analytic
    pieces at each input, or neither is known; ``piece_coefficients`` bounds every piece, continued to all inputs
    (``None``: no polynomial bound known, with ``piece_reason``).  ``rules`` are the steps of the proof.
    """

    model: str
    input_shape: tuple[int, ...]
    output_shape: tuple[int, ...]
    coefficients: Polynomial
    analytic: Analyticity
    piece_coefficients: Polynomial | None
    piece_reason: str
    computed_coefficients: Polynomial | None
    rules: tuple[Step, ...]

    @property
    def exponent(self) -> int:
        """The growth exponent: 0 bounded, 1 linear, ..."""
        return len(self.coefficients) - 1

    @property
    def C0(self) -> float:
        """The constant term, rounded up."""
        return self.coefficients[0]

    @property
    def C1(self) -> float | None:
        """The coefficient of ``‖u‖``, rounded up; ``None`` if the growth is faster than linear."""
        if self.exponent > 1:
            return None
        return self.coefficients[1] if self.exponent == 1 else 0.0

    @property
    def piece_exponent(self) -> int | None:
        """The growth exponent of the analytic pieces; the any-depth theorem holds on open sets if it is at most 1."""
        return None if self.piece_coefficients is None else len(self.piece_coefficients) - 1

    def bound(self, norm: float, computed: bool = False) -> float:
        """Upper bound of ``‖F(u)‖`` for ``‖u‖ ≤ norm``, rounded up; of what PyTorch returns if ``computed``."""
        if not (norm >= 0 and math.isfinite(norm)):
            raise ValueError(f"norm must be finite and nonnegative, got {norm}")
        if not computed:
            return poly_value(self.coefficients, norm)
        return math.inf if self.computed_coefficients is None else poly_value(self.computed_coefficients, norm)

    @cached_property
    def by_module(self) -> dict[str, tuple[str, ...]]:
        """The rules applied inside each module, in order, without repetition."""
        table: dict[str, dict[str, None]] = {}
        for step in self.rules:
            table.setdefault(step.module, {})[f"{step.operation}: {step.rule}"] = None
        return {module: tuple(rules) for module, rules in table.items()}

    def to_json(self) -> dict[str, Any]:
        """Plain data, for ``--json``."""
        return {
            "model": self.model,
            "input_shape": list(self.input_shape),
            "output_shape": list(self.output_shape),
            "exponent": self.exponent,
            "C0": self.C0,
            "C1": self.C1,
            "coefficients": list(self.coefficients),
            "analytic": self.analytic,
            "piece_exponent": self.piece_exponent,
            "piece_coefficients": None if self.piece_coefficients is None else list(self.piece_coefficients),
            "piece_reason": self.piece_reason,
            "computed_coefficients": None if self.computed_coefficients is None else list(self.computed_coefficients),
            "rules": {module: list(rules) for module, rules in self.by_module.items()},
        }

    def __str__(self) -> str:
        powers = ["", "·‖u‖", *(f"·‖u‖^{i}" for i in range(2, len(self.coefficients)))]
        terms = " + ".join(_shown(c) + power for c, power in zip(self.coefficients, powers, strict=False))
        lines = [f"‖F(u)‖ ≤ {terms}   for every u of shape {self.input_shape}: {self.model}, {self.analytic}"]
        lines += [f"  {module}: {'; '.join(rules)}" for module, rules in self.by_module.items()]
        return "\n".join(lines)


def registered_rules() -> list[Rule]:
    """Every rule once, user rules included: operations that share a rule are joined by commas."""
    joined: dict[int, list[str]] = {}
    for name, rule in FUNCTION_RULES.items():
        joined.setdefault(id(rule.apply), []).append(name)
    functions = [replace(FUNCTION_RULES[names[0]], name=", ".join(names)) for names in joined.values()]
    return functions + list(MODULE_RULES.values())


def has_module_rule(module: nn.Module) -> bool:
    """Whether a user's rule makes this module a leaf of the trace."""
    return lookup(MODULE_RULES, module) is not None


def growth_certificate(
    model: nn.Module, input_shape: tuple[int, ...] = (1, 20, 6), exponent: int | None = 1
) -> GrowthCertificate:
    """Prove a bound ``‖F(u)‖ ≤ C0 + C1‖u‖`` (``exponent=1``), or any polynomial bound (``exponent=None``).

    Args:
        model: any ``nn.Module`` that maps one tensor to one tensor, in eval mode where that matters.
        input_shape: ``(batch, rows, channels)``; the norms run over all entries, the batch included.
        exponent: the growth that is allowed; ``None`` for any.

    Raises:
        Inconclusive: no rule applies, or the proven growth is faster than ``exponent``; names the module.
        ValueError: weights that are NaN or infinite, or a shape that is not of positive integers.
    """
    if exponent is not None and (not isinstance(exponent, int) or isinstance(exponent, bool) or exponent < 0):
        raise ValueError(f"exponent must be a nonnegative integer or None, got {exponent!r}")
    check_input_shape(input_shape)
    program = trace(model, tuple(input_shape), has_module_rule)
    norms: Norms = {}
    weights: dict[str, Growth] = {}
    interpreter = _Interpreter(program, norms, weights)
    result = interpreter.run()
    if exponent is not None and result.degree > exponent:
        place, name = interpreter.culprit(exponent)
        cause = (
            "multiplies quantities that both depend on the input: the" if result.degree > 1 else "is not bounded: the"
        )
        raise Inconclusive(
            place,
            f"{name} {cause} proven growth is ‖u‖^{result.degree}, "
            f"more than the exponent {exponent} asked for (exponent=None returns the polynomial bound)",
        )
    coefficients, reason = (result.norm, "") if result.kind == ANALYTIC else (None, "not finitely many analytic pieces")
    if result.kind == PIECEWISE:
        try:
            coefficients, reason = _Interpreter(program, norms, weights, pieces=True).run().norm, ""
        except Inconclusive as error:
            reason = str(error)
    computed: Polynomial | None = None
    with contextlib.suppress(Inconclusive):  # the bound overflows
        computed = _Interpreter(program, norms, weights, dtypes=frozenset(model_dtypes(model))).run().norm
    return GrowthCertificate(
        type(model).__name__,
        tuple(input_shape),
        result.shape,
        result.norm,
        KINDS[result.kind],
        coefficients,
        reason,
        computed,
        tuple(interpreter.steps),
    )


from precls_theory.expressivity import formulas as _formulas  # noqa: E402, F401  (fill the registries)
from precls_theory.expressivity import rules as _rules  # noqa: E402, F401
