"""Which theorem of the registry the Coq library proves for every size, and why it does not prove the others.

A theorem counts only where all of its statement is covered: the networks, every layout and row that it names, and the
identities. The first of its Coq theorems is the one that says what the networks compute.
"""

from __future__ import annotations

_LITERAL = ("Literal.literal_correct", "Literal.literal_depth_of", "NetworkWidths.literal_width_of")
"""The network itself, written down for all sizes: it computes what is stated, in so many layers, none wider than a bound."""

EVERY_SIZE: dict[str, tuple[str, ...]] = {
    "gd-gram": ("Soundness.gram_every_size", *_LITERAL, "Widths.gram_width"),
    "heavy-ball": ("Soundness.momentum_every_size", *_LITERAL, "Widths.gram_width"),
    "chebyshev": ("ChebyshevError.chebyshev_every_size", "Soundness.momentum_every_size", *_LITERAL),
    "gd-doubling": ("Soundness.doubling_every_size", "Descent.doubling_form", *_LITERAL, "Widths.doubling_width"),
    "gd-residual": ("Soundness.residual_every_size", *_LITERAL),
    "gd-tight": ("Soundness.tight_every_size", "Descent.tight_form", *_LITERAL, "Widths.tight_width"),
    "newton-direct": ("Soundness.newton_every_size", "Descent.newton_direct", *_LITERAL),
    "newton-residual": ("Soundness.newton_every_size", "Descent.newton_residual", *_LITERAL),
    "newton-doubling": ("Soundness.newton_every_size", "Descent.newton_doubling", *_LITERAL),
    "newton-identities": ("Descent.newton_power", "Descent.newton_sum", "Descent.newton_descent"),
    "refinement": (
        "Soundness.refined_residual_every_size", "Soundness.refined_doubling_every_size", "Descent.refinement_error",
        "Descent.newton_power_left", *_LITERAL,
    ),
    "gd-depth-lower-bound": (
        "LowerBound.depth_lower_bound", "LowerBound.depth_lower_bound_from_zero", "LowerBound.tight_is_optimal",
    ),
    "any-depth": (
        "Growth.transformer_model_grows", "Growth.transformer_is_not_square", "Growth.transformer_is_not_multiply",
        "Growth.transformer_is_not_gradient_step",
    ),
    "norm-before-gated-mlp": ("Growth.gated_after_norm_bounded", "Growth.transformer_model_grows"),
    "linear-attention-step": ("LinearAttention.step_correct",),
    "linear-attention-causal": (
        "CausalAttention.causal_descent", "CausalAttention.digits_exist", "LinearAttention.linear_attention_lower_bound",
    ),
    "linear-attention-ternary": (
        "Ternary.ternary_descent", "Ternary.schedule_exists", "LinearAttention.linear_attention_lower_bound",
    ),
    "linear-attention-lower-bound": ("LinearAttention.linear_attention_lower_bound", "LinearAttention.linear_degree_bound"),
    "linear-attention-norm": (
        "Growth.transformer_model_grows", "Growth.linear_after_norm_bounded", "Growth.transformer_is_not_square",
        "Growth.transformer_is_not_multiply", "Growth.transformer_is_not_gradient_step",
    ),
    "layout-s-mixed-up": ("Unmasked.unmasked_gram", "Unmasked.unmasked_sum"),
    "layout-s-last-row": (
        "Unmasked.last_row_gram", "Unmasked.last_row_doubling", "Unmasked.data_rows_gram", "Unmasked.first_row_start",
    ),
    "explicit-gradient": ("Unmasked.explicit_gradient", "Unmasked.gradient_depth"),
    "operator-as-layer": ("Operators.operator_as_layer_correct", "Operators.operator_as_layer_width"),
    "layer-as-operators": ("Operators.branches_as_operators", "Operators.layer_as_operators"),
    "gated-multiply": (
        "Gated.multiply_correct", "Gated.multiply_elsewhere", "Gated.multiply_hidden", "Gated.add_products_correct",
        "Gated.add_products_elsewhere", "Gated.add_products_hidden", "Gated.gate_signs", "Gated.bilinear_signs",
        "Gated.relu_odd_part",
    ),
    "primitive-read": ("Primitives.read_correct", *_LITERAL),
    "primitive-linear": ("Primitives.linear_correct", *_LITERAL),
    "primitive-multiply": ("Primitives.multiply_correct", *_LITERAL),
}  # fmt: skip
"""Registry identifier to Coq theorems, each ``Module.name``."""

GIVEN: dict[str, str] = {
    "gated-multiply": "given act(z) - act(-z) = z, which gate-identities proves for SiLU and GELU; the block's attention is zero",
    "any-depth": "given |g(x)| <= |x| for the activations, a bounded sigmoid and bounded norms, which growth-rules proves",
    "linear-attention-step": "the layer as LinearAttention.attention_step writes its head; weights are read off it",
    "linear-attention-causal": "blocks on families of channels, as CausalAttention.gather and triple have them",
    "linear-attention-ternary": "blocks on families of channels, as Ternary.block has them; width and heads are read off it",
    "linear-attention-norm": "given bounded norms, which growth-rules proves",
    "norm-before-gated-mlp": "given |g(x)| <= |x| for the activations and bounded norms, which growth-rules proves",
}
"""What a theorem of the library takes as a hypothesis or leaves to be read."""

CERTIFICATES = (
    "Decode.certificate", "Soundness.check_sound", "AttentionCertificate.attention_certificate",
    "AttentionCertificate.check_attention_sound",
)  # fmt: skip
"""What makes the checkers of files count."""

_ANALYSIS = "needs analysis (limits, analytic continuation, suprema) that the algebra of MathComp does not have"
_FINITE = "its statement is about given sizes or given functions, and these are what is run"
WHY_NOT: dict[str, str] = {
    "depth-lower-bound": (
        "the bound is LowerBound.degree_bound; that every degree is attained is a statement about the compiler, which is not "
        "modelled in Coq"
    ),
    "degree-of-iterates": "the lower bound on a line is in LowerBound; the upper bound in all variables is not formalised yet",
    "circuit-compilation": "the compiler is a Python program that is not modelled in Coq; each listed circuit is proved",
    "polynomial-compilation": "the compiler is a Python program that is not modelled in Coq; each listed polynomial is proved",
    "universal-approximation": _ANALYSIS,
    "reciprocal-newton": "not formalised yet: the largest error over an interval; 1 - x y' = (1 - x y)^2 is algebra",
    "gd-whole-networks": _FINITE,
    "published-block-not-gd": (
        "the second application is refuted at one size (N=2, D=1), where there is nothing more to prove; that the first is a "
        "step for all sizes is not formalised yet"
    ),
    "published-block-kaczmarz": _ANALYSIS,
    "doubling-width": "a count of products that is run for D up to 8, not formalised yet",
    "landscape-linear-attention": "not formalised yet: Gaussian moments of products of matrices",
    "landscape-attention-layers": "not formalised yet: Gaussian moments, and the roots of polynomials of given coefficients",
    "landscape-exact-weights": "not formalised yet: expectations, and the gradient in the weights of a network",
    "landscape-folding": "not formalised yet: local minima of polynomials on open sets of weights",
    "landscape-recovery": "not formalised yet: population losses with their first and second derivatives",
    "landscape-rows": "not formalised yet: population losses with Gaussian entries, and their derivatives",
    "landscape-read": "not formalised yet: population losses; for all sizes there is nothing to prove",
    "landscape-read-layer": "not formalised yet: population losses; the sum of squares is run for the size stated",
    "landscape-wide-outputs": "not formalised yet: local minima of polynomials on open sets of weights",
    "landscape-plateaus": "not formalised yet: population losses of whole networks with their derivatives",
    "landscape-spurious": _FINITE,
    "landscape-wide-layer": "not formalised yet: the spectral theorem, which MathComp 1.15 does not have over the reals",
    "landscape-critical-width": "not formalised yet: the spectral theorem, which MathComp 1.15 does not have over the reals",
    "landscape-population-loss": _FINITE,
    "landscape-square": _FINITE,
    "gram-refinement": (
        "the error map and M_t are Descent.refinement_error and Descent.newton_power_left; the network, of two layers a round, "
        "is not formalised yet"
    ),
    "centred-newton": "not formalised yet: networks that centre columns; Newton's iteration itself is Descent.newton_power",
    "centred-refinement": "not formalised yet: networks that centre columns; the rounds themselves are Descent.refinement_error",
    "rounding-a-priori": "not formalised yet: a model of rounding, square roots and norms",
    "sliced-digits": "not formalised yet: a model of rounding, and the compiler of sliced networks, a Python program",
    "sliced-refinement-digits": (
        "not formalised yet: a model of rounding, and the compiler of sliced networks, a Python program; sizes are given"
    ),
    "growth-rules": (
        "the bounds of SiLU, GELU and norms need transcendental functions and square roots, and the spectral ones are about "
        "computed numbers"
    ),
    "any-depth-open-sets": _ANALYSIS,
    "clamped-gate-on-open-sets": _FINITE,
    "gate-identities": "SiLU and GELU are transcendental functions, which the algebra of MathComp does not have",
    "gated-gradient-descent": "not formalised yet: blocks that take means; their products are Gated.add_products_correct",
    "linear-attention-layout-e": (
        "the formula is LinearAttention.step_that_sees_itself; the second application is refuted by one counterexample"
    ),
    "linear-attention-multiply": "not formalised yet: networks of attention blocks with one-hot positions",
    "linear-attention-causal-gap": (
        "not formalised yet: leading coefficients of causal layers; the bound that it sharpens is "
        "LinearAttention.linear_attention_lower_bound"
    ),
    "square-piecewise-linear": "not formalised yet: piecewise functions, and the largest error over an interval",
    "square-one-causal-softmax-layer": _ANALYSIS,
    "softmax-one-layer-causal": _ANALYSIS,
    "softmax-one-layer-full": (
        "as maps of all inputs this is Growth.transformer_is_not_square and its like; on open sets it needs analytic continuation"
    ),
}
"""In words, for theorems that the library does not prove."""
NO_REASON = "not formalised yet"
"""Where nobody has looked; a test refuses it for a registered theorem."""


def why_not(identifier: str) -> str | None:
    """Why the library does not prove this theorem for every size; ``None`` where it does."""
    if identifier in EVERY_SIZE:
        return None
    return WHY_NOT.get(identifier, NO_REASON)
