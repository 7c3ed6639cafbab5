"""Changes of a text, each in as few bytes as it takes: everything else stays byte for byte, by construction. Pure.

What comes in: bytes and spans in them. What goes out: :class:`Splice`, and the bytes with all of them carried out. New
items of a list follow the last one in its layout: on its line, or on lines of their own.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from stepsize.analyzer.edits.source import Argument, Decorator, Span

_REST_OF_LINE = re.compile(rb"[ \t]*(?:#[^\n]*?)?(?=\r?\n)")
_COMMA = re.compile(rb"[ \t]*,")
_EQUALS = re.compile(r"\w+([ \t]*=[ \t]*)")


@dataclass(frozen=True, slots=True)
class Splice:
    """``text`` in place of the bytes from ``start`` to ``end``."""

    start: int
    end: int
    text: str


def spliced(data: bytes, splices: Iterable[Splice]) -> bytes:
    """``data`` with all of them carried out; what is put in at one place keeps its order."""
    parts, done = [], 0
    for splice in sorted(splices, key=lambda one: one.start):
        parts += [data[done : splice.start], splice.text.encode()]
        done = splice.end
    return b"".join([*parts, data[done:]])


def value(argument: Argument, text: str) -> Splice:
    """Another value of an argument."""
    return Splice(argument.value.start, argument.value.end, text)


def arguments(data: bytes, decorator: Decorator, pairs: Sequence[tuple[str, str]]) -> list[Splice]:
    """More arguments of a decorator, whether it has any or is not even called."""
    if decorator.closing is None:
        listed = ", ".join(f"{name}={text}" for name, text in pairs)
        return [Splice(decorator.span.end, decorator.span.end, f"({listed})")]
    if not decorator.arguments:
        at, listed = decorator.closing, ", ".join(f"{name}={text}" for name, text in pairs)
        lines = begins_line(data, at)  # below a comment
        return [Splice(at, at, f"    {listed}{line_end(data, at)}{indent(data, at)}" if lines else listed)]
    last = decorator.arguments[-1]
    equals = _EQUALS.match(data[last.span.start : last.span.end].decode())
    sign = equals[1] if equals else "="
    return items(data, last.span, [f"{name}{sign}{text}" for name, text in pairs], comma=decorator.comma)


def items(data: bytes, last: Span, texts: Sequence[str], *, comma: bool, lines: bool = True) -> list[Splice]:
    """More items of a list in brackets, or of one without (``lines=False``), after the ``last`` one, which has a
    ``comma`` behind it or not.
    """
    if not (lines and begins_line(data, last.start)):
        return [Splice(last.end, last.end, "".join(f", {text}" for text in texts))]
    found = _COMMA.match(data, last.end) if comma else None
    if comma and found is None:  # behind a comment
        return [Splice(last.end, last.end, "".join(f", {text}" for text in texts))]
    after = found.end() if found else last.end
    rest = _REST_OF_LINE.match(data, after)
    at = rest.end() if rest else after
    start = f"{line_end(data, last.start)}{indent(data, last.start)}"
    joined = f",{start}".join(texts)
    new = Splice(at, at, f"{start}{joined}{',' if found else ''}")
    return [new] if found else [Splice(last.end, last.end, ","), new]


def line_above(data: bytes, at: int, text: str) -> Splice:
    """A line of its own before what begins at ``at``, indented alike."""
    if not begins_line(data, at):
        return Splice(at, at, f"{text}; ")
    return Splice(at, at, f"{text}{line_end(data, at)}{indent(data, at)}")


def begins_line(data: bytes, at: int) -> bool:
    """Whether nothing but blanks precedes ``at`` on its line."""
    return not data[_line_start(data, at) : at].strip()


def indent(data: bytes, at: int) -> str:
    """The blanks before what begins at ``at``."""
    return data[_line_start(data, at) : at].decode()


def line_end(data: bytes, at: int) -> str:
    """How the line that ``at`` is in ends; the last one as the first."""
    end = data.find(b"\n", at)
    end = end if end >= 0 else data.find(b"\n")
    return "\r\n" if end > 0 and data[end - 1 : end] == b"\r" else "\n"


def _line_start(data: bytes, at: int) -> int:
    return data.rfind(b"\n", 0, at) + 1
