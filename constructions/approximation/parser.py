"""Text to SymPy expressions, without running any of it.

The text is parsed by Python's own grammar (:mod:`ast`) and rebuilt node by node from a whitelist: numbers, names,
``+ - * / **`` and calls of the functions in :data:`FUNCTIONS`. Decimal numbers are exact (``0.1`` is 1/10). Sizes
are limited, so that a short text cannot ask for an enormous number. ``sympify``, ``eval`` and attribute access are
never reached.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Callable, Iterable
from fractions import Fraction

import sympy as sp

MAX_CHARACTERS = 20_000
MAX_NODES = 5_000
MAX_NESTING = 200
MAX_EXPONENT = 1_000
"""Largest absolute value of a number standing as an exponent, and of a decimal exponent (``1e300``)."""
MAX_BITS = 20_000
"""Largest numerator or denominator, in bits, of a power of numbers."""

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*\Z")
_NUMBER = re.compile(r"(?P<digits>[0-9_]*\.?[0-9_]*)(?:[eE](?P<exponent>[+-]?[0-9]+))?\Z")


def _gelu(argument: sp.Expr) -> sp.Expr:
    return argument * (1 + sp.erf(argument / sp.sqrt(2))) / 2


def _sigmoid(argument: sp.Expr) -> sp.Expr:
    return 1 / (1 + sp.exp(-argument))


FUNCTIONS: dict[str, Callable[..., sp.Expr]] = {
    "exp": sp.exp, "log": sp.log, "ln": sp.log, "sqrt": sp.sqrt, "sin": sp.sin, "cos": sp.cos, "tan": sp.tan,
    "asin": sp.asin, "acos": sp.acos, "atan": sp.atan, "sinh": sp.sinh, "cosh": sp.cosh, "tanh": sp.tanh,
    "asinh": sp.asinh, "acosh": sp.acosh, "atanh": sp.atanh, "cot": sp.cot, "sec": sp.sec, "csc": sp.csc,
    "coth": sp.coth, "sech": sp.sech, "csch": sp.csch, "erf": sp.erf, "erfc": sp.erfc, "erfi": sp.erfi, "sinc": sp.sinc,
    "abs": sp.Abs, "Abs": sp.Abs, "sign": sp.sign, "gelu": _gelu, "sigmoid": _sigmoid,
}  # fmt: skip
"""Functions of one argument that a text may call."""
_VARIADIC: dict[str, Callable[..., sp.Expr]] = {"max": sp.Max, "Max": sp.Max, "min": sp.Min, "Min": sp.Min}
CONSTANTS: dict[str, sp.Expr] = {"pi": sp.pi, "E": sp.E}
NO_NUMBERS = ("nan", "NaN", "inf", "Inf", "infinity", "oo", "zoo", "I")
"""Names that a reader takes for something that is no real number: not variables, unless given as such."""


def parse_expression(
    text: str, variables: Iterable[str | sp.Symbol] | None = None, *, functions: bool = True
) -> sp.Expr:
    """The SymPy expression that ``text`` spells, with exact rational numbers; nothing in ``text`` is executed.

    With ``variables`` given (names or symbols), any other name is refused and a symbol passed in is the one used;
    otherwise every free name becomes a plain ``Symbol``. ``functions=False`` allows polynomial syntax only.

    Raises ``ValueError`` with the place and the reason for anything outside the whitelist or over the size limits.
    """
    if not isinstance(text, str):
        raise ValueError(f"an expression is a string, got {type(text).__name__}")
    if not text.strip():
        raise ValueError("the expression is empty; write one such as 'x**2*y - 3*z'")
    if len(text) > MAX_CHARACTERS:
        raise ValueError(f"the expression has {len(text)} characters, the limit is {MAX_CHARACTERS}")
    if not text.isascii():
        odd = next(character for character in text if not character.isascii())
        raise ValueError(f"the expression has the non-ASCII character {odd!r}; write it in plain ASCII")
    symbols = None if variables is None else {str(variable): variable for variable in variables}
    source = text.strip()
    try:
        tree = ast.parse(source, mode="eval")
    except (SyntaxError, ValueError, MemoryError, RecursionError) as error:
        message = getattr(error, "msg", None) or "too deeply nested" if isinstance(error, SyntaxError) else str(error)
        column = f" near column {error.offset}" if isinstance(error, SyntaxError) and error.offset else ""
        raise ValueError(f"cannot read the expression {_shorten(source)!r}{column}: {message}") from None
    if sum(1 for _ in ast.walk(tree)) > MAX_NODES:
        raise ValueError(f"the expression has more than {MAX_NODES} nodes")
    return _Builder(source, symbols, functions).build(tree.body, 0)


class _Builder:
    def __init__(self, source: str, symbols: dict[str, str | sp.Symbol] | None, functions: bool) -> None:
        self.source, self.symbols, self.functions = source, symbols, functions

    def refuse(self, node: ast.AST, reason: str) -> ValueError:
        piece = ast.get_source_segment(self.source, node) or self.source
        column = getattr(node, "col_offset", 0) + 1
        return ValueError(f"cannot use {_shorten(piece)!r} (column {column} of the expression): {reason}")

    def build(self, node: ast.AST, nesting: int) -> sp.Expr:
        if nesting > MAX_NESTING:
            raise self.refuse(node, f"nested more than {MAX_NESTING} deep")
        if isinstance(node, ast.Constant):
            return self.number(node)
        if isinstance(node, ast.Name):
            return self.name(node)
        if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.UAdd | ast.USub):
            operand = self.build(node.operand, nesting + 1)
            return -operand if isinstance(node.op, ast.USub) else operand
        if isinstance(node, ast.BinOp):
            return self.binary(node, nesting)
        if isinstance(node, ast.Call):
            return self.call(node, nesting)
        raise self.refuse(
            node, f"{type(node).__name__} is not allowed; only numbers, names, + - * / ** and functions are"
        )

    def number(self, node: ast.Constant) -> sp.Expr:
        piece = ast.get_source_segment(self.source, node) or ""
        if isinstance(node.value, bool) or not isinstance(node.value, int | float):
            raise self.refuse(node, f"a real number is expected, not {type(node.value).__name__}")
        if isinstance(node.value, int):
            return sp.Integer(node.value)
        match = _NUMBER.match(piece)
        if match is None:
            raise self.refuse(node, "not a decimal number")
        if abs(int(match["exponent"] or 0)) > MAX_EXPONENT:
            raise self.refuse(node, f"the decimal exponent is above {MAX_EXPONENT}")
        # the text, not the float that Python made of it: 0.1 is one tenth
        exact = Fraction(piece)
        return sp.Rational(exact.numerator, exact.denominator)

    def name(self, node: ast.Name) -> sp.Expr:
        if self.symbols is not None and node.id in self.symbols:
            symbol = self.symbols[node.id]
            return symbol if isinstance(symbol, sp.Symbol) else sp.Symbol(node.id)
        if node.id in CONSTANTS:
            if not self.functions:
                raise self.refuse(
                    node, f"{node.id} is not a rational number (a variable of that name must be declared)"
                )
            return CONSTANTS[node.id]
        if node.id in NO_NUMBERS and self.symbols is None:
            raise self.refuse(node, f"{node.id} is not a real number (a variable of that name must be declared)")
        if node.id in FUNCTIONS or node.id in _VARIADIC:
            raise self.refuse(node, f"{node.id} is a function: write {node.id}(…)")
        if self.symbols is not None:
            known = ", ".join(self.symbols) or "none"
            raise self.refuse(node, f"{node.id} is not one of the variables ({known})")
        if not _NAME.match(node.id) or node.id.startswith("__"):
            raise self.refuse(node, "a variable is a letter followed by letters, digits and underscores")
        return sp.Symbol(node.id)

    def binary(self, node: ast.BinOp, nesting: int) -> sp.Expr:
        if isinstance(node.op, ast.Pow):
            return self.power(node, self.build(node.left, nesting + 1), self.build(node.right, nesting + 1))
        # a sum of many terms leans to the left: walk down its spine, so that its length is not its nesting
        spine = [node]
        while isinstance(spine[-1].left, ast.BinOp) and not isinstance(spine[-1].left.op, ast.Pow):
            spine.append(spine[-1].left)
        value = self.build(spine[-1].left, nesting + 1)
        for part in reversed(spine):
            value = self.combine(part, value, self.build(part.right, nesting + 1))
        return value

    def combine(self, node: ast.BinOp, left: sp.Expr, right: sp.Expr) -> sp.Expr:
        if isinstance(node.op, ast.Add):
            return left + right
        if isinstance(node.op, ast.Sub):
            return left - right
        if isinstance(node.op, ast.Mult):
            return left * right
        if not isinstance(node.op, ast.Div):
            written = "powers are written with **, not ^" if isinstance(node.op, ast.BitXor) else "use + - * / **"
            raise self.refuse(node, f"the operator {type(node.op).__name__} is not allowed: {written}")
        if right.is_zero:
            raise self.refuse(node, "division by zero")
        if not self.functions and not right.is_number:
            raise self.refuse(node, "division by something that is not a number is not a polynomial")
        return left / right

    def power(self, node: ast.BinOp, base: sp.Expr, exponent: sp.Expr) -> sp.Expr:
        if not self.functions and not (exponent.is_Integer and exponent >= 0):
            raise self.refuse(node, "in a polynomial an exponent is a whole number of at least 0")
        if exponent.is_Rational:
            if abs(exponent) > MAX_EXPONENT or exponent.q > MAX_EXPONENT:
                raise self.refuse(node, f"the exponent is above {MAX_EXPONENT}")
            if base.is_zero and exponent < 0:
                raise self.refuse(node, "division by zero")
            if base.is_Rational:
                bits = max(int(base.p).bit_length(), int(base.q).bit_length())
                if bits * abs(exponent) > MAX_BITS:
                    raise self.refuse(node, f"the number would have more than {MAX_BITS} bits")
        elif base.is_Rational and exponent.is_number:
            raise self.refuse(node, "a number to an irrational power; write exp(… * log(…)) over a variable instead")
        result = base**exponent
        # (x**a)**b is x**(a*b): the limit holds for the product
        if result.is_Pow and result.exp.is_Rational and abs(result.exp) > MAX_EXPONENT:
            raise self.refuse(node, f"the exponent is above {MAX_EXPONENT}")
        return result

    def call(self, node: ast.Call, nesting: int) -> sp.Expr:
        if not isinstance(node.func, ast.Name):
            raise self.refuse(node, "only a named function can be called")
        name = node.func.id
        if not self.functions:
            raise self.refuse(node, "a polynomial has no function calls")
        if name not in FUNCTIONS and name not in _VARIADIC:
            known = ", ".join([*FUNCTIONS, *_VARIADIC])
            raise self.refuse(node, f"{name} is not a known function; known are {known}")
        if node.keywords or any(isinstance(argument, ast.Starred) for argument in node.args):
            raise self.refuse(node, "only plain arguments are allowed")
        arguments = [self.build(argument, nesting + 1) for argument in node.args]
        if name in _VARIADIC:
            if not arguments:
                raise self.refuse(node, f"{name} takes at least one argument")
            return _VARIADIC[name](*arguments)
        if len(arguments) != 1:
            raise self.refuse(node, f"{name} takes one argument, got {len(arguments)}")
        return FUNCTIONS[name](arguments[0])


def _shorten(text: str, limit: int = 60) -> str:
    return text if len(text) <= limit else text[: limit - 1] + "…"
