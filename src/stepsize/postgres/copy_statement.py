"""``COPY … TO STDOUT`` as a client writes it: what is copied, and how.

What comes in: the tokens of a statement. What goes out: a :class:`Copy`, or the :class:`SqlError` that Postgres has for
it. Pure. Both the options in brackets and those of before (``WITH CSV HEADER``, ``BINARY``) are read.
Source: PostgreSQL's documentation, COPY; src/backend/commands/copy.c (what is refused, and how).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NoReturn

from stepsize.postgres import lexer
from stepsize.postgres.errors import SqlError
from stepsize.postgres.lexer import MARK, NAME, NUMBER, QUOTED, STRING, Token

if TYPE_CHECKING:
    from collections.abc import Sequence

CSV, BINARY = "csv", "binary"
_FORMATS = ("text", CSV, BINARY)
_OF_THE_OTHER_WAY = ("force_not_null", "force_null", "on_error", "default", "log_verbosity", "reject_limit", "freeze")
_NO_DELIMITERS = frozenset("\\.abcdefghijklmnopqrstuvwxyz0123456789")
"""In the text format, where a backslash before them says something."""
_TRUE, _FALSE = frozenset({"true", "on", "1"}), frozenset({"false", "off", "0"})


@dataclass(frozen=True, slots=True)
class Options:
    """How rows are written.

    Attributes:
        form: ``text``, :data:`CSV` or :data:`BINARY`.
        has_header: whether a line with the names of the columns comes first.
        delimiter: between values, one character of one byte.
        null: what stands for NULL.
        quote: around values, one byte; in CSV alone, as the next two.
        escape: before a quote in a value.
        forced: columns whose values are always quoted; None for all.
    """

    form: str = "text"
    has_header: bool = False
    delimiter: str = "\t"
    null: str = "\\N"
    quote: str = '"'
    escape: str = '"'
    forced: frozenset[str] | None = field(default_factory=frozenset)


@dataclass(frozen=True, slots=True)
class Copy:
    """A query whose rows are copied to the client."""

    query: tuple[Token, ...]
    options: Options


def read(statement: Sequence[Token]) -> Copy:
    """What a COPY asks for.

    Raises:
        SqlError: it would write, reads or writes a file, or is none that is understood.
        IndexError: it ends too early.
    """
    words = lexer.words(statement)
    is_binary = words[1].says("binary") and words[2].text != "."
    place = 2 if is_binary else 1
    if words[place].text == "(":
        end = _closing(words, place)
        query = tuple(lexer.trim(_between(statement, words[place], words[end])))
        place = end + 1
    else:
        query, place = _of_table(words, place)
    if words[place].says("from"):
        raise SqlError("25006", "cannot execute COPY FROM in a read-only transaction")
    _expect(words[place], "to")
    _to_client(words[place + 1])
    said = _said(words[place + 2 :])
    if is_binary:
        said.setdefault("format", BINARY)
    return Copy(query, _options(said))


def _fail(one: Token) -> NoReturn:
    raise SqlError("42601", f'syntax error at or near "{one.text}"')


def _expect(one: Token, text: str) -> None:
    if not one.says(text):
        _fail(one)


def _to_client(target: Token) -> None:
    if target.kind == STRING or target.says("program"):
        what = "an external program" if target.says("program") else "a file"
        hint = "Anyone can COPY to stdout. psql's \\copy command also works for anyone."
        raise SqlError("42501", f"permission denied to COPY to {what}", hint=hint)
    if not target.says("stdout", "stdin"):  # either word is the client, as in Postgres
        _fail(target)


def _closing(words: Sequence[Token], place: int) -> int:
    depth = 0
    for at in range(place, len(words)):
        depth += (words[at].text == "(") - (words[at].text == ")")
        if depth == 0:
            return at
    raise IndexError


def _between(statement: Sequence[Token], opening: Token, closing: Token) -> Sequence[Token]:
    """What is between two tokens of a statement, spaces and all."""
    places = [place for place, one in enumerate(statement) if one is opening or one is closing]
    return statement[places[0] + 1 : places[-1]]


def _of_table(words: Sequence[Token], place: int) -> tuple[tuple[Token, ...], int]:
    """The query of ``COPY name (columns)``, and what follows."""
    end = place + 1
    while words[end].text == ".":
        end += 2
    name = words[place:end]
    if any(one.kind not in {NAME, QUOTED} for one in name[::2]):
        _fail(name[0])
    columns: Sequence[Token] = (Token(MARK, "*"),)
    if words[end].text == "(":
        last = _closing(words, end)
        columns = words[end + 1 : last]
        end = last + 1
        _names(columns)
    space = Token(lexer.SPACE, " ")
    return (Token(NAME, "SELECT"), space, *columns, space, Token(NAME, "FROM"), space, *name), end


def _names(words: Sequence[Token]) -> frozenset[str]:
    """Of ``a, "B"``."""
    for place, one in enumerate(words):
        if (not one.word) if place % 2 == 0 else (one.text != ","):
            _fail(one)
    if len(words) % 2 == 0:
        raise SqlError("42601", 'syntax error at or near ")"')
    return frozenset(one.word for one in words[::2])


# -- options ---------------------------------------------------------------------------------------------------------

_Value = str | frozenset[str] | None


def _said(words: Sequence[Token]) -> dict[str, _Value]:
    """Options by their names; None for all columns."""
    rest = list(words)
    if rest and rest[0].says("with"):
        rest.pop(0)
    if rest and rest[0].text == "(":
        end = _closing(rest, 0)
        if end + 1 < len(rest):
            _fail(rest[end + 1])
        return _in_brackets(rest[1:end])
    return _of_before(rest)


def _in_brackets(words: Sequence[Token]) -> dict[str, _Value]:
    found: dict[str, _Value] = {}
    place = 0
    while True:
        name = words[place].word
        if not name:
            _fail(words[place])
        place, value = _value(words, place + 1)
        _add(found, name, value)
        if place == len(words):
            return found
        _expect(words[place], ",")
        place += 1


def _value(words: Sequence[Token], place: int) -> tuple[int, _Value]:
    """An option's value, and what is behind it; an empty set where nothing was said."""
    if place == len(words) or words[place].text == ",":
        return place, frozenset()
    if words[place].text == "*":
        return place + 1, None
    if words[place].text == "(":
        end = _closing(words, place)
        return end + 1, _names(words[place + 1 : end])
    if words[place].kind not in {STRING, NAME, QUOTED, NUMBER}:
        _fail(words[place])
    return place + 1, lexer.literal(words[place])


def _of_before(words: Sequence[Token]) -> dict[str, _Value]:
    """Options as they were written before there were brackets: ``CSV HEADER DELIMITER AS ';' FORCE QUOTE a, b``."""
    found: dict[str, _Value] = {}
    place = 0
    while place < len(words):
        one = words[place]
        place += 1
        if one.says("binary", "csv"):
            _add(found, "format", one.text.lower())
        elif one.says("header"):
            _add(found, "header", "true")
        elif one.says("delimiter", "null", "quote", "escape", "encoding"):
            place += words[place].says("as")
            if words[place].kind != STRING:
                _fail(words[place])
            _add(found, one.text.lower(), lexer.literal(words[place]))
            place += 1
        elif one.says("force") and words[place].says("quote"):
            end = place + 2
            while end + 1 < len(words) and words[end].text == ",":
                end += 2
            is_all = words[place + 1].text == "*"
            _add(found, "force_quote", None if is_all else _names(words[place + 1 : end]))
            place = end
        else:
            _fail(one)
    return found


def _add(found: dict[str, _Value], name: str, value: _Value) -> None:
    if name in found:
        raise SqlError("42601", "conflicting or redundant options")
    found[name] = value


def _options(said: dict[str, _Value]) -> Options:
    """What was said, checked as Postgres checks it."""
    for name in said:
        if name in _OF_THE_OTHER_WAY:
            raise SqlError("0A000", f"COPY {name.upper()} cannot be used with COPY TO")
        if name not in {"format", "header", "delimiter", "null", "quote", "escape", "encoding", "force_quote"}:
            raise SqlError("42601", f'option "{name}" not recognized')
    form = _text(said, "format", "text").lower()
    if form not in _FORMATS:
        raise SqlError("22023", f'COPY format "{form}" not recognized')
    is_csv = form == CSV
    if form == BINARY and (wrong := next((one for one in ("delimiter", "null", "header") if one in said), "")):
        code = "0A000" if wrong == "header" else "42601"
        raise SqlError(code, f"cannot specify {wrong.upper()} in BINARY mode")
    if not is_csv and (wrong := next((one for one in ("quote", "escape", "force_quote") if one in said), "")):
        raise SqlError("0A000", f"COPY {wrong.replace('_', ' ')} available only in CSV mode")
    if _text(said, "encoding", "utf8").lower().replace("-", "").replace("_", "") not in {"utf8", "unicode"}:
        raise SqlError("22023", 'argument to option "encoding" must be UTF8 here')
    quote = _text(said, "quote", '"')
    forced = said.get("force_quote", frozenset())
    if isinstance(forced, str) or ("force_quote" in said and forced == frozenset()):
        raise SqlError("22023", 'argument to option "force_quote" must be a list of column names')
    options = Options(
        form=form,
        has_header=_flag(said.get("header", "false")),
        delimiter=_text(said, "delimiter", "," if is_csv else "\t"),
        null=_text(said, "null", "" if is_csv else "\\N"),
        quote=quote,
        escape=_text(said, "escape", quote),
        forced=forced,
    )
    _check(options)
    return options


def _text(said: dict[str, _Value], name: str, default: str) -> str:
    value = said.get(name, default)
    if not isinstance(value, str):
        raise SqlError("42601", f"{name} requires a parameter")
    return value


def _flag(value: _Value) -> bool:
    word = "true" if value == frozenset() else str(value).lower()
    if word == "match":
        raise SqlError("0A000", 'cannot use "match" with HEADER in COPY TO')
    if word not in _TRUE | _FALSE:
        raise SqlError("42601", "header requires a Boolean value")
    return word in _TRUE


def _check(options: Options) -> None:
    """Refuse what could not be read again."""
    is_csv = options.form == CSV
    for name, value in (("delimiter", options.delimiter), ("quote", options.quote), ("escape", options.escape)):
        if len(value.encode()) != 1:
            raise SqlError("0A000", f"COPY {name} must be a single one-byte character")
    if options.delimiter in "\r\n":
        raise SqlError("22023", "COPY delimiter cannot be newline or carriage return")
    if set(options.null) & set("\r\n"):
        raise SqlError("22023", "COPY null representation cannot use newline or carriage return")
    if not is_csv and options.delimiter in _NO_DELIMITERS:
        raise SqlError("22023", f'COPY delimiter cannot be "{options.delimiter}"')
    if is_csv and options.delimiter == options.quote:
        raise SqlError("22023", "COPY delimiter and quote must be different")
    if options.delimiter in options.null:
        raise SqlError("0A000", "COPY delimiter must not appear in the NULL specification")
    if is_csv and options.quote in options.null:
        raise SqlError("0A000", "CSV quote character must not appear in the NULL specification")
