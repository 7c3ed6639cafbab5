"""Numbers as people write them in a decorator: read, and written anew in the same manner. Pure.

What comes in: an expression of libcst. What goes out: its number, or why it has none here. Never evaluates a name: what
a variable, a configuration or a call comes to is known at run time alone.
"""

from __future__ import annotations

import ast
import math
import operator
from typing import TYPE_CHECKING

import libcst as cst

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

_OPERATORS: Mapping[type[cst.BaseBinaryOp], Callable[[float, float], float]] = {
    cst.Add: operator.add,
    cst.Subtract: operator.sub,
    cst.Multiply: operator.mul,
}
"""Those of which numbers that people write are made (``16 * 1024``)."""
_LARGEST = 1e15
"""Beyond what any request can be, and below what floating point still counts."""


def number_of(value: cst.BaseExpression) -> float | None:
    """The number that ``value`` writes: 8, 8_000, 0.5, "8000", 16 * 1024; None where it writes none."""
    found = _arithmetic(value) if isinstance(value, cst.BinaryOperation) else _single(value)
    return found if found is not None and math.isfinite(found) and 0 <= found <= _LARGEST else None


def is_none(value: cst.BaseExpression) -> bool:
    """Whether it is ``None``, which Metaflow reads as nothing asked for."""
    return isinstance(value, cst.Name) and value.value == "None"


def written(amount: float, like: str) -> str:
    """``amount`` as source, in the manner of the expression ``like``: a string stays one, 8_000 its underscores."""
    grouped = "_" in like.strip("'\"")
    plain = f"{int(amount):_}" if grouped and amount == int(amount) else plain_number(amount)
    quote = next((mark for mark in ('"""', "'''", '"', "'") if like.endswith(mark)), "")
    return f"{quote}{plain}{quote}"


def plain_number(amount: float) -> str:
    """``amount`` as a Python literal: 600, 0.25."""
    return str(int(amount)) if amount == int(amount) else repr(amount)


def told(amount: float) -> str:
    """``amount`` in a sentence: 1234567, 0.25."""
    return plain_number(round(amount, 3))


def _single(value: cst.BaseExpression) -> float | None:
    if isinstance(value, (cst.Integer, cst.Float)):
        return _literal(value.value)
    if isinstance(value, cst.SimpleString) and value.prefix == "":
        try:
            return float(ast.literal_eval(value.value))
        except ValueError:
            return None
    return None


def _literal(text: str) -> float | None:
    try:
        return float(ast.literal_eval(text))
    except (OverflowError, SyntaxError):  # hundreds of digits; Python reads no more than 4300
        return None


def _arithmetic(value: cst.BinaryOperation) -> float | None:
    combine = _OPERATORS.get(type(value.operator))
    left, right = _amount(value.left), _amount(value.right)
    return None if combine is None or left is None or right is None else combine(left, right)


def _amount(value: cst.BaseExpression) -> float | None:
    """Of arithmetic, numbers alone: ``"8" * 2`` is another string."""
    if isinstance(value, cst.BinaryOperation):
        return _arithmetic(value)
    return None if isinstance(value, cst.SimpleString) else _single(value)
