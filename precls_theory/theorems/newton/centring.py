"""A regression with an intercept on centred columns: the network centres, iterates, and takes the coefficients back."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction

import numpy as np

import constructions as C
from constructions.networks.parameters import IterationParameters, recorded
from constructions.networks.tasks import Regression
from precls_theory.checking.every_value import prove_for_every
from precls_theory.proofs.induction import Claims, RegressionSymbols, content, prove_layer, prove_readout
from precls_theory.proofs.symbolic import (
    MakeVariables,
    Variables,
    apply,
    compose,
    dot,
    flint_variables,
    mirror,
    parameters_of,
    require_equal,
    sympy_variables,
)
from precls_theory.proofs.variants import Build, at_most, hard_coded, last_weight, wrong
from precls_theory.registry import Evidence, Refuted, Size, listed, theorem
from precls_theory.theorems.newton.gram_refinement import prove_rounds


@dataclass(frozen=True)
class Centred:
    """What a network of centred columns is asked for: N, D, the value κ of the first column, factors s of the others."""

    n_points: int
    n_dims: int
    constant: Fraction
    scales: tuple[Fraction, ...]

    @classmethod
    def of(cls, network: C.Network) -> Centred:
        """From the parameters recorded; :class:`Refuted` for a causal network, whose rows would see other means."""
        task, p = network.task, recorded(network.parameters, IterationParameters)
        if not isinstance(task, Regression) or network.mode != "circular" or task.prefix_rows:
            raise Refuted(f"means are over all data rows: that takes a circular network, got a {network.mode} one")
        scales = p["scales"] or ["1"] * (task.n_dims - 1)
        return cls(
            task.n_points, task.n_dims, parameters_of(network)["constant"], tuple(Fraction(scale) for scale in scales)
        )

    def columns(self, a: np.ndarray, v: Variables) -> tuple[np.ndarray, np.ndarray]:
        """``z = (a_0, s_j (a_j − m_j))`` and ``m_j = (1/N) Σ a_j`` from rows a (D, N): (D, N) and (D − 1, 1)."""
        means = v.constant(Fraction(1, self.n_points)) * np.add.reduce(a[1:], axis=1)[:, None]
        others = v.constants(self.scales)[:, None] * (a[1:] - means)
        return np.concatenate([a[:1], others]), means

    def coefficients(self, y: np.ndarray, m: np.ndarray, v: Variables) -> np.ndarray:
        """``x_j = s_j y_j`` and ``x_0 = y_0 − Σ m_j x_j/κ``."""
        x = v.constants(self.scales)[:, None] * y[1:]
        first = y[:1] - v.constant(1 / self.constant) * dot(m, x)
        return np.concatenate([first, x])


def prove_centring(network: C.Network, make: MakeVariables, after: Claims | None = None) -> Centred:
    """Layers 1 and 2: the centred columns, the target and the means from the data; then the products, row by row.

    Returns what the network is asked for. Raises :class:`Refuted`.
    """
    p, asked = RegressionSymbols.of(network, make), Centred.of(network)
    z, m = asked.columns(p.a, p.variables)
    data: Claims = {"a": p.a, "b": p.variables["b"]}
    prove_layer(network, 0, data, {"z": z, "b": p.variables["b"], "m": m}, p.variables)
    n_dims = asked.n_dims
    v = make(z=(n_dims, 1), b=(1,), m=(n_dims - 1, 1))
    z, b, m = v["z"], v["b"], v["m"]
    families: Claims = {"zz": z[:, None] * z[None], "bz": b * z, "aa": z[:, None] * z[None], "ba": b * z, "m": m}
    prove_layer(network, 1, {"z": z, "b": b, "m": m}, families, v)
    return asked


def products(
    asked: Centred, network: C.Network, make: MakeVariables
) -> tuple[Variables, Claims, np.ndarray, np.ndarray]:
    """Generic products of the data rows, as the third layer reads them, and their sums G and c over all rows."""
    n_points, n_dims = asked.n_points, asked.n_dims
    v = make(zz=(n_dims, n_dims, n_points), bz=(n_dims, n_points), m=(n_dims - 1, 1))
    zz, bz = mirror(v["zz"]), v["bz"]
    before: Claims = {"zz": zz, "bz": bz, "aa": zz, "ba": bz, "m": v["m"]}
    return v, before, np.add.reduce(zz, axis=2)[..., None], np.add.reduce(bz, axis=1)[:, None]


def prove_centred_newton(network: C.Network, make: MakeVariables = flint_variables) -> None:
    """The network reads out x. Raises :class:`Refuted` otherwise.

    Layers 1 and 2 as :func:`prove_centring` says; layer 3 sums to ``R = I − αG`` and ``y = αc``; the step ``R ← R²,
    y ← y + R y`` on generic symmetric R and generic y, m; then x.
    """
    asked, parameters = prove_centring(network, make), parameters_of(network)
    t, n_dims = parameters["n_iters"], asked.n_dims
    if network.depth != t + 4:
        raise Refuted(f"{t} iterates on centred columns take {t + 4} layers, got {network.depth}")
    v, before, G, c = products(asked, network, make)
    scale = v.constant(parameters["alpha"])
    prove_layer(network, 2, before, {"R": v.identity(n_dims) - scale * G, "y": scale * c, "m": v["m"]}, v)
    v = make(R=(n_dims, n_dims, 1), y=(n_dims, 1), m=(n_dims - 1, 1))
    R, y, m = mirror(v["R"]), v["y"], v["m"]
    proved = set()
    for index in range(3, t + 3):
        if (key := content(network, index)) not in proved:
            prove_layer(network, index, {"R": R, "y": y, "m": m}, {"R": compose(R, R), "y": y + apply(R, y), "m": m}, v)
            proved.add(key)
    prove_layer(network, t + 3, {"R": R, "y": y, "m": m}, {"x": asked.coefficients(y, m, v)}, v)
    prove_readout(network)


def prove_centred_refinement(network: C.Network, make: MakeVariables = flint_variables) -> None:
    """The same with the rounds of :func:`precls_theory.theorems.newton.gram_refinement.prove_rounds` for the iterates."""
    asked, parameters = prove_centring(network, make), parameters_of(network)
    t, count, n_dims = parameters["n_iters"], parameters["refinements"], asked.n_dims
    depth = t + 2 * count + 4
    if network.depth != depth:
        raise Refuted(f"{t} iterates and {count} rounds on centred columns take {depth} layers, got {network.depth}")
    v, before, G, c = products(asked, network, make)
    scale, eye = v.constant(parameters["alpha"]), v.identity(n_dims)
    prove_layer(network, 2, before, {"G": G, "c": c, "R": eye - scale * G, "M": scale * eye, "m": v["m"]}, v)
    v, read = prove_rounds(network, 3, "y", {"m": n_dims - 1}, make)
    last = read["y"] + read[f"d{count - 1}"]
    prove_layer(network, depth - 2, read, {"y": last, "m": v["m"]}, v)
    y, m = v["x"], v["m"]
    prove_layer(network, depth - 1, {"y": y, "m": m}, {"x": asked.coefficients(y, m, v)}, v)
    prove_readout(network)


def prove_change_of_columns(n_points: int, n_dims: int, make: MakeVariables = flint_variables, sign: int = 1) -> None:
    """``A x = Z y`` for x of y, and the constant column is orthogonal to the others of Z: generic data and y, D − 1 scales.

    So the minimiser of ‖Z y − b‖ gives that of ‖A x − b‖. ``sign`` is that of the means in x_0.
    """
    constant, scales = Fraction(5, 2), tuple(Fraction(j + 2, 3) for j in range(n_dims - 1))
    asked = Centred(n_points, n_dims, constant, scales)
    v = make(a=(n_dims - 1, n_points), y=(n_dims, 1))
    first = v.constant(constant) + v.zeros(1, n_points)
    a = np.concatenate([first, v["a"]])
    z, m = asked.columns(a, v)
    x = asked.coefficients(v["y"], v.constant(sign) * m, v)
    require_equal(dot(a, x), dot(z, v["y"]), "A x = Z y", v.ring)
    inner = np.add.reduce(z[:1] * z[1:], axis=1)
    require_equal(inner, v.zeros(n_dims - 1), "the constant column is orthogonal to the centred ones", v.ring)


def evidence(size: Size, build: Build, prove: object, more: dict[str, int], rings: str) -> Evidence:
    """The checks of a form: the given size, both engines, α a symbol, and small networks of many iterates."""
    assert callable(prove)
    N, D = size.n_points, max(2, size.n_dims)
    scales = [str(Fraction(j + 2, 3)) for j in range(D - 1)]
    prove(build(n_points=N, n_dims=D, n_iters=2, alpha="1/7", constant="5/2", scales=scales, **more))
    prove(build(n_points=2, n_dims=2, n_iters=1, alpha="1/7", constant="-3", **more), sympy_variables)
    small = {"n_points": 2, "n_dims": 2, "constant": "5/2", "scales": ["-2/3"], **more}
    few = {"n_iters": 0} if more else {}
    special = prove_for_every(build, prove, small | {"n_iters": 1}, few, alpha="1/7")
    symbols = {"n_points": 2, "n_dims": 2, "n_iters": 1, "alpha": "1/7", "scales": ["-2/3"], **more}
    constants = prove_for_every(build, prove, symbols, few, constant="5/2")
    for t in (0, 3, 9):
        prove(build(**small, n_iters=t, alpha="1/7"))
    prove_change_of_columns(N, D)
    prove_change_of_columns(2, 2, sympy_variables)
    return Evidence(
        f"Executed: N={N}, D={D}, A, b symbols, products of rows generic in the sums, matrices and vectors generic in the "
        "step, every layer of the networks for t = 2, and at N=D=2 for t = 0, 3, 9; α and the constant κ each a symbol through "
        f"the builder at N=D=2, whole networks of {0 if more else 1} iterates at their special values {listed(special)} and "
        f"{listed(constants)}; scales (j + 2)/3, −2/3 and 1; A x = Z y at N={N}, D={D}, κ=5/2. Argued: other t, for the builder "
        "repeats its layers; other N, D, scales; that the first column is κ is a hypothesis",
        rings, "python-flint; SymPy at N=D=2",
    )  # fmt: skip


@theorem(
    id="centred-newton",
    title="Newton's iteration on columns that the network centres",
    statement=r"z_j=s_j(a_j-m_j),\ y=M_tZ^\top b,\ x_j=s_jy_j,\ x_0=y_0-\tfrac1\kappa\textstyle\sum_j m_jx_j"
    r"\implies Ax=Zy,\ \ Z^\top Z\text{ is block diagonal}",
    hypotheses=("circular: every row sees all data", "the first column is κ ≠ 0", "t + 4 layers"),
    source="new",
    covers="every α and every κ by symbols through the builder, every t by induction; exact at every row for the whole problem",
    controls={
        "the last weight off by 1/3": {"build": wrong(C.centred_newton, last_weight)},
        "an alpha of 1/7 whatever is asked for": {"build": hard_coded(C.centred_newton, alpha="1/7")},
        "a constant of 5/2 whatever is asked for": {"build": hard_coded(C.centred_newton, constant="5/2")},
        "8 iterates where 9 are asked for": {"build": at_most(C.centred_newton, n_iters=8)},
        "means added to the intercept": lambda: prove_change_of_columns(2, 2, sign=-1),
    },
)
def centred_newton(size: Size, build: Build = C.centred_newton) -> Evidence:
    return evidence(size, build, prove_centred_newton, {}, "Q(α, κ)[A, b], Q(α)[z zᵀ, b z], Q(κ)[R, y, m]")


@theorem(
    id="centred-refinement",
    title="Refinement of the normal equations on columns that the network centres",
    statement=r"z_j=s_j(a_j-m_j),\ y_{i+1}=y_i+M_t(Z^\top b-Z^\top Zy_i),\ x_j=s_jy_j,"
    r"\ x_0=y_0-\tfrac1\kappa\textstyle\sum_j m_jx_j\implies Ax=Zy_r",
    hypotheses=("circular: every row sees all data", "the first column is κ ≠ 0", "r >= 1; t + 2r + 4 layers"),
    source="new",
    covers="every α and every κ by symbols through the builder, every t and r by induction; exact at every row for the whole "
    "problem",
    controls={
        "the last weight off by 1/3": {"build": wrong(C.centred_refinement, last_weight)},
        "an alpha of 1/7 whatever is asked for": {"build": hard_coded(C.centred_refinement, alpha="1/7")},
        "a constant of 5/2 whatever is asked for": {"build": hard_coded(C.centred_refinement, constant="5/2")},
        "1 round where 2 are asked for": {"build": at_most(C.centred_refinement, refinements=1)},
        "means added to the intercept": lambda: prove_change_of_columns(2, 2, sign=-1),
    },
)
def centred_refinement(size: Size, build: Build = C.centred_refinement) -> Evidence:
    return evidence(
        size,
        build,
        prove_centred_refinement,
        {"refinements": 2},
        "Q(α, κ)[A, b], Q(α)[z zᵀ, b z], Q(κ)[G, R, M, c, y, d, r, m]",
    )
