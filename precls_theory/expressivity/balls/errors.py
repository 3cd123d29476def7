"""Why a traced model has no enclosure."""


class Unsupported(Exception):
    """The model uses an operation that the ball evaluator does not know; the message names it."""


class UncertainSign(Exception):
    """A ReLU's argument is zero within the precision, so the input lies on (or too near) the border of two pieces."""
