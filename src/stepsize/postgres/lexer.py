"""SQL as a list of tokens, so that statements are told apart and rewritten by what they say, not by how they look.

What comes in: the text of a client. What goes out: tokens, whose texts together are that text again. Reads any text:
what is not closed ends with the text, and what is no SQL is a token all the same; saying so is the parser's.
Source of the rules: PostgreSQL's documentation, 4.1 (lexical structure).
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

SPACE, NAME, QUOTED, STRING, NUMBER, PARAMETER, OPERATOR, MARK = (
    *("space", "name", "quoted", "string", "number", "parameter", "operator"),
    "mark",
)
AFTER_FROM = frozenset(
    (
        *("where", "group", "having", "window", "qualify", "order", "limit", "offset", "fetch"),
        *("union", "intersect", "except"),
    )
)
"""Keywords behind the tables of a SELECT, or behind its columns where it has none."""
_DOLLAR = re.compile(r"\$(?:[A-Za-z_\x80-\U0010ffff][A-Za-z_0-9\x80-\U0010ffff]*)?\$")
_ESCAPE = re.compile(
    r"\\([0-7]{1,3}|x[0-9a-fA-F]{1,2}|u[0-9a-fA-F]{4}|U[0-9a-fA-F]{8}|.)",
    re.DOTALL,
)
_LETTERS = {"b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t"}
_COMMENT_EDGE = re.compile(r"/\*|\*/")
_TOKEN = re.compile(
    r"""
    (?P<space>\s+|--[^\n]*)
  | (?P<string>[eE]'[^'\\]*(?:(?:\\.|'')[^'\\]*)*(?:'|\\?\Z)|(?:[bBxXnN]|[uU]&)?'[^']*(?:''[^']*)*(?:'|\Z))
  | (?P<quoted>(?:[uU]&)?"[^"]*(?:""[^"]*)*(?:"|\Z))
  | (?P<name>[A-Za-z_\x80-\U0010ffff][A-Za-z_0-9$\x80-\U0010ffff]*)
  | (?P<parameter>\$[0-9]+)
  | (?P<number>(?:[0-9][0-9_]*(?:\.[0-9_]*)?|\.[0-9][0-9_]*)(?:[eE][+-]?[0-9]+)?)
  | (?P<mark>::|:=|=>|[()\[\]{},;.:])
  | (?P<operator>(?:(?!--|/\*)[-+*/<>=~!@\#%^&|`?])+)
    """,
    re.VERBOSE | re.DOTALL,
)


@dataclass(frozen=True, slots=True)
class Token:
    """A piece of SQL: its ``kind`` (one of the names above) and its ``text`` as it was written."""

    kind: str
    text: str

    @property
    def word(self) -> str:
        """Its name as SQL understands it, in lower case unless it is quoted; empty where it is none."""
        if self.kind == NAME:
            return self.text.lower()
        if self.kind == QUOTED and self.text[:1] == '"':
            return self.text[1:-1].replace('""', '"')
        return ""

    def says(self, *words: str) -> bool:
        """Whether it is one of these keywords, or marks, which a quoted name never is."""
        return self.kind not in (QUOTED, STRING) and self.text.lower() in words


def tokens(text: str) -> Iterator[Token]:
    """The tokens of a text, spaces and comments among them."""
    place = 0
    while place < len(text):
        end, kind = _next(text, place)
        yield Token(kind, text[place:end])
        place = end


def _next(text: str, place: int) -> tuple[int, str]:
    if text.startswith("/*", place):
        return _comment_end(text, place), SPACE
    if text[place] == "$" and (quote := _DOLLAR.match(text, place)):
        end = text.find(quote[0], quote.end())
        return (len(text) if end < 0 else end + len(quote[0])), STRING
    found = _TOKEN.match(text, place)
    if found is None or found.lastgroup is None:
        return place + 1, OPERATOR
    return found.end(), found.lastgroup


def _comment_end(text: str, place: int) -> int:
    depth = 0
    for edge in _COMMENT_EDGE.finditer(text, place):
        depth += 1 if edge[0] == "/*" else -1
        if depth == 0:
            return edge.end()
    return len(text)


def statements(text: str) -> list[list[Token]]:
    """The statements of a text, each without the semicolon after it; none for what is empty."""
    found: list[list[Token]] = [[]]
    for token in tokens(text):
        if token.kind == MARK and token.text == ";":
            found.append([])
        else:
            found[-1].append(token)
    return [trimmed for one in found if (trimmed := trim(one))]


def trim(statement: Sequence[Token]) -> list[Token]:
    """A statement without the spaces and comments around it."""
    said = [place for place, token in enumerate(statement) if token.kind != SPACE]
    return list(statement[said[0] : said[-1] + 1]) if said else []


def words(statement: Iterable[Token]) -> list[Token]:
    """A statement without any spaces and comments."""
    return [token for token in statement if token.kind != SPACE]


def joined(statement: Iterable[Token]) -> str:
    """The text of tokens."""
    return "".join(token.text for token in statement)


def literal(token: Token) -> str:
    """What a string says; what a name says; else its text."""
    text = token.text
    if token.kind != STRING:
        return token.word or text
    if text.startswith("$"):
        quote = text[: text.index("$", 1) + 1]
        return text.removeprefix(quote).removesuffix(quote)
    prefix, _, inner = text.partition("'")
    inner = inner.removesuffix("'").replace("''", "'")
    return _ESCAPE.sub(_unescaped, inner) if prefix in {"e", "E"} else inner


def _unescaped(found: re.Match[str]) -> str:
    said = found[1]
    if said[0] in "01234567":
        return chr(int(said, 8) & 0xFF)
    if len(said) > 1:
        number = int(said[1:], 16)
        is_one = number < 0x110000 and not 0xD800 <= number < 0xE000
        return chr(number) if is_one else "\N{REPLACEMENT CHARACTER}"
    return _LETTERS.get(said, said)
