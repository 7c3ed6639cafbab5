"""Where an operand begins, where it ends, and where a call ends, among tokens.

What comes in: tokens without spaces. What goes out: places among them. Pure.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from stepsize.postgres.lexer import NAME, NUMBER, PARAMETER, QUOTED, STRING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from stepsize.postgres.lexer import Token

_OPEN = {")": "(", "]": "["}
_BEFORE = (
    *("select", "distinct", "all", "where", "having", "on", "by", "and", "or", "not", "in", "is", "between", "like"),
    *("ilike", "case", "when", "then", "else", "values", "limit", "offset", "from", "join", "returning", "union"),
)
"""Words before a bracket that call nothing."""


def start(words: Sequence[Token]) -> int:
    """Where the operand begins that ends with the last of these: a value, a name, a call, brackets, casts of these."""
    place = len(words) - 1
    while place >= 0:
        place = _primary(words, place)
        if place > 1 and words[place - 1].text == "::":
            place -= 2  # a cast: what was found is its type
        elif place > 0 and words[place - 1].text == ".":
            place -= 2
        else:
            break
    return max(place, 0)


def _primary(words: Sequence[Token], place: int) -> int:
    """Where the one thing begins that ends here."""
    while place > 0 and words[place].text in _OPEN:
        place = _opening(words, place)
        before = words[place - 1] if place else None
        is_name = before is not None and before.kind in {NAME, QUOTED} and not before.says(*_BEFORE)
        if before is not None and (is_name or before.text in _OPEN):
            place -= 1  # what is called, or subscribed
        else:
            return place
    return place


def _opening(words: Sequence[Token], place: int) -> int:
    depth = 0
    for at in range(place, -1, -1):
        if words[at].text in _OPEN:
            depth += 1
        elif words[at].text in _OPEN.values():
            depth -= 1
            if depth == 0:
                return at
    return 0


def call_end(words: Sequence[Token], place: int) -> int:
    """Behind the bracket that closes the call of the name at ``place``; 0 where none is called there."""
    if words[place].kind not in {NAME, QUOTED} or place + 2 >= len(words) or words[place + 1].text != "(":
        return 0
    return _closing(words, place + 1)


def end(words: Sequence[Token], place: int) -> int:
    """Behind the operand that begins here, and casts and elements of it."""
    bracketed = words[place].text == "("
    behind = (_closing(words, place) or len(words)) if bracketed else call_end(words, place) or place + 1
    while behind + 1 < len(words) and words[behind].text in {"::", ".", "["}:
        behind = (_closing(words, behind) or len(words)) if words[behind].text == "[" else behind + 2
        if behind < len(words) and words[behind].text == "(" and words[behind - 2].text in {"::", "."}:
            behind = _closing(words, behind) or len(words)
    return behind


def _closing(words: Sequence[Token], place: int) -> int:
    """Behind the bracket that closes the one at ``place``; 0 where none does."""
    depth = 0
    for at in range(place, len(words)):
        depth += (words[at].text in _OPEN.values()) - (words[at].text in _OPEN)
        if depth == 0:
            return at + 1
    return 0


def is_value(token: Token) -> bool:
    """Whether it stands for a value by itself."""
    return token.kind in {STRING, NUMBER, PARAMETER}
