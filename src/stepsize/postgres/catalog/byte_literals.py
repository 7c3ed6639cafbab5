"""Literals of bytes, which DuckDB writes otherwise.

What comes in: the tokens of a statement. What goes out: tokens. Pure. A rewrite as the package's docstring describes
them.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from stepsize.postgres import lexer
from stepsize.postgres.lexer import STRING, Token

if TYPE_CHECKING:
    from stepsize.postgres.catalog.rewrites import Context


def bytes_of(words: list[Token], _: Context) -> list[Token]:
    """``'\\x00ff'::bytea`` is ``'\\x00\\xFF'::bytea``, and all else that is not plain is written so."""
    found = list(words)
    for place, one in enumerate(words):
        if one.kind != STRING:
            continue
        after = words[place + 1 : place + 3]
        is_cast = len(after) == 2 and after[0].says("::", "as") and after[1].says("bytea")
        is_prefixed = place > 0 and words[place - 1].says("bytea")
        if not is_cast and not is_prefixed:
            continue
        if (content := _bytes(lexer.literal(one))) is not None:
            found[place] = Token(STRING, "'" + "".join(f"\\x{byte:02X}" for byte in content) + "'")
    return found


def _bytes(said: str) -> bytes | None:
    r"""Of Postgres's form, ``\x00ff``, and of its older one, ``a\000\\``; None of DuckDB's, ``\x00\xff``."""
    if said.startswith("\\x"):
        try:
            return bytes.fromhex(said[2:])
        except ValueError:
            return None
    if re.fullmatch(r"(?:[^\\]|\\\\|\\[0-3][0-7]{2})*", said, re.DOTALL) is None:
        return None
    parts = re.split(r"(\\\\|\\[0-3][0-7]{2})", said)
    return b"".join(
        bytes([int(part[1:], 8)]) if place % 2 and part != "\\\\" else (b"\\" if place % 2 else part.encode())
        for place, part in enumerate(parts)
    )
