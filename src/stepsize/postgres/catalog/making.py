"""Tokens that rewrites put in.

What comes in: texts and tokens. What goes out: tokens. Pure.
"""

from __future__ import annotations

from stepsize.postgres.lexer import MARK, NAME, STRING, Token

OPEN, CLOSE, COMMA = Token(MARK, "("), Token(MARK, ")"), Token(MARK, ",")


def text(value: str) -> Token:
    """A literal."""
    return Token(STRING, "'" + value.replace("'", "''") + "'")


def names(*words: str) -> list[Token]:
    """Names or keywords."""
    return [Token(NAME, one) for one in words]


def called(name: str, *arguments: list[Token]) -> list[Token]:
    """A call."""
    parts = [part for one in arguments for part in (COMMA, *one)]
    return [Token(NAME, name), OPEN, *parts[1:], CLOSE]


def where(condition: list[Token], value: list[Token]) -> list[Token]:
    """A value, or NULL where the condition does not hold."""
    return [OPEN, *names("CASE", "WHEN"), *condition, *names("THEN"), *value, *names("END"), CLOSE]
