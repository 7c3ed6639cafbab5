"""Messages of PostgreSQL's protocol 3.0: bytes to values on the way in, values to bytes on the way out.

What comes in: bytes of a client, cut anywhere. What goes out: frozen values, or a :class:`ProtocolError`, the one
exception for bytes after which nobody knows where a message begins; messages of a server as bytes. Does no I/O, and
keeps no more than one message.
Source: PostgreSQL's documentation, 55.7 (message formats).
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

from stepsize.postgres.errors import ProtocolError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from stepsize.postgres.errors import SqlError

MAX_STARTUP_BYTES = 10_000
"""PostgreSQL's own bound of what a client may send before it has said who it is."""
MAX_PASSWORD_BYTES = 65_535
MAX_MESSAGE_BYTES = 8 << 20
"""Of a statement with its values: a query of a reader is far shorter."""

_SSL_REQUEST, _GSS_REQUEST, _CANCEL_REQUEST = 80_877_103, 80_877_104, 80_877_102


@dataclass(frozen=True, slots=True)
class EncryptionRequest:
    """Whether the server speaks TLS, or GSSAPI."""

    is_tls: bool


@dataclass(frozen=True, slots=True)
class CancelRequest:
    """Stop what the connection with this number and secret is doing."""

    process: int
    secret: bytes


@dataclass(frozen=True, slots=True)
class Startup:
    """The version that the client speaks and its parameters."""

    major: int
    minor: int
    parameters: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Password:
    """A password, or what SASL says."""

    content: bytes


@dataclass(frozen=True, slots=True)
class Query:
    """Statements of the simple protocol."""

    text: str


@dataclass(frozen=True, slots=True)
class Parse:
    """Make a statement with this name, of parameters of these types (0: not said)."""

    name: str
    text: str
    types: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Bind:
    """Make a portal of a statement with these values; formats are 0 for text, 1 for binary."""

    portal: str
    statement: str
    formats: tuple[int, ...]
    values: tuple[bytes | None, ...]
    result_formats: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Describe:
    """Tell of a statement, or of a portal."""

    is_portal: bool
    name: str


@dataclass(frozen=True, slots=True)
class Execute:
    """Run a portal for at most ``rows`` rows; 0 for all."""

    portal: str
    rows: int


@dataclass(frozen=True, slots=True)
class Close:
    """Forget a statement, or a portal."""

    is_portal: bool
    name: str


@dataclass(frozen=True, slots=True)
class Sync:
    """The end of a series of messages."""


@dataclass(frozen=True, slots=True)
class Flush:
    """Send what there is."""


@dataclass(frozen=True, slots=True)
class Terminate:
    """The client goes."""


@dataclass(frozen=True, slots=True)
class FunctionCall:
    """A protocol of its own for one function, which nobody uses any more."""

    content: bytes


@dataclass(frozen=True, slots=True)
class CopyMessage:
    """Data of a COPY, which the protocol has servers ignore where none runs."""

    content: bytes


@dataclass(frozen=True, slots=True)
class Malformed:
    """A message whose content is none; where the next one begins is known. ``is_query``: of the simple protocol."""

    code: str
    message: str
    is_query: bool


First: TypeAlias = EncryptionRequest | CancelRequest | Startup
Message: TypeAlias = (
    Password
    | Query
    | Parse
    | Bind
    | Describe
    | Execute
    | Close
    | Sync
    | Flush
    | Terminate
    | FunctionCall
    | CopyMessage
    | Malformed
)


class Parser:
    """What a client sends, as messages: :meth:`next_first` up to a :class:`Startup`, then :meth:`next`."""

    def __init__(self) -> None:
        self._buffer = bytearray()
        self.max_bytes = MAX_PASSWORD_BYTES
        """Of a message; to be raised once it is known who sends."""

    @property
    def waiting_bytes(self) -> int:
        """How many bytes are here that no message was made of yet."""
        return len(self._buffer)

    def feed(self, data: bytes) -> None:
        """Take bytes."""
        self._buffer += data

    def next_first(self) -> First | None:
        """A message of the start-up, which has no type; None while it is not whole.

        Raises:
            ProtocolError: it is none.
        """
        body = self._take(0, MAX_STARTUP_BYTES)
        return None if body is None else _first(body)

    def next(self) -> Message | None:
        """The next message, :class:`Malformed` where that is all that is wrong; None while it is not whole.

        Raises:
            ProtocolError: it is none, or too long.
        """
        if not self._buffer:
            return None
        kind = self._buffer[:1]
        build = _BUILDERS.get(bytes(kind))
        if build is None:
            raise ProtocolError(f"invalid frontend message type {kind[0]}")
        body = self._take(1, self.max_bytes)
        if body is None:
            return None
        content = _Body(body)
        try:
            message = build(content)
        except (struct.error, IndexError):
            code, why = "08P01", f"a message of type {chr(kind[0])} ends before its content does"
        except UnicodeDecodeError:
            code, why = "22021", 'invalid byte sequence for encoding "UTF8"'
        else:
            if not content.rest():
                return message
            code, why = "08P01", f"a message of type {chr(kind[0])} goes on after its content"
        return Malformed(code, why, is_query=kind == b"Q")

    def _take(self, start: int, most: int) -> bytes | None:
        if len(self._buffer) < start + 4:
            return None
        (length,) = struct.unpack_from("!i", self._buffer, start)
        if not 4 <= length <= most:
            raise ProtocolError(f"invalid length of a message: {length} bytes, at most {most} are taken")
        if len(self._buffer) < start + length:
            return None
        body = bytes(self._buffer[start + 4 : start + length])
        del self._buffer[: start + length]
        return body


class _Body:
    """The content of a message, read from its beginning."""

    def __init__(self, content: bytes) -> None:
        self._content = content
        self._place = 0

    def text(self) -> str:
        end = self._content.find(b"\0", self._place)
        if end < 0:
            raise IndexError
        found = self._content[self._place : end]
        self._place = end + 1
        return found.decode()

    def number(self, kind: str) -> int:
        (value,) = struct.unpack_from(f"!{kind}", self._content, self._place)
        self._place += struct.calcsize(f"!{kind}")
        return int(value)

    def numbers(self, kind: str) -> tuple[int, ...]:
        count = self.number("H")
        return tuple(self.number(kind) for _ in range(count))

    def value(self) -> bytes | None:
        size = self.number("i")
        if size == -1:
            return None
        found = self.rest(size)
        if size < 0 or len(found) != size:
            raise IndexError
        return found

    def rest(self, size: int | None = None) -> bytes:
        end = len(self._content) if size is None else self._place + max(size, 0)
        found = self._content[self._place : end]
        self._place += len(found)
        return found


def _first(body: bytes) -> First:
    if len(body) < 4:
        raise ProtocolError("invalid length of startup packet")
    (code,) = struct.unpack_from("!I", body)
    if code in {_SSL_REQUEST, _GSS_REQUEST}:
        return EncryptionRequest(code == _SSL_REQUEST)
    if code == _CANCEL_REQUEST:
        if len(body) < 12:
            raise ProtocolError("invalid length of a request to cancel")
        return CancelRequest(struct.unpack_from("!I", body, 4)[0], body[8:])
    major, minor = code >> 16, code & 0xFFFF
    if major != 3:
        raise ProtocolError(f"unsupported frontend protocol {major}.{minor}: server supports 3.0", code="0A000")
    if body[-1:] != b"\0":
        raise ProtocolError("invalid startup packet layout: expected terminator as last byte")
    try:
        texts = [one.decode() for one in body[4:].split(b"\0")]
    except UnicodeDecodeError:
        raise ProtocolError('invalid byte sequence for encoding "UTF8"', code="22021") from None
    pairs = texts[: texts.index("")]
    if len(pairs) % 2:
        raise ProtocolError("invalid startup packet layout: a parameter without a value")
    return Startup(major, minor, dict(zip(pairs[::2], pairs[1::2], strict=True)))


def sasl_initial(content: bytes) -> tuple[str, bytes]:
    """The mechanism that a client has chosen, and what it says first.

    Raises:
        ProtocolError: it is no such message.
    """
    try:
        body = _Body(content)
        return body.text(), body.value() or b""
    except (struct.error, IndexError, UnicodeDecodeError):
        raise ProtocolError("malformed SASL response") from None


def _bind(body: _Body) -> Bind:
    portal, statement, formats = body.text(), body.text(), body.numbers("H")
    values = tuple(body.value() for _ in range(body.number("H")))
    return Bind(portal, statement, formats, values, body.numbers("H"))


def _target(body: _Body) -> tuple[bool, str]:
    kind = body.rest(1)
    if kind not in {b"S", b"P"}:
        raise IndexError
    return kind == b"P", body.text()


def _parse(body: _Body) -> Parse:
    return Parse(body.text(), body.text(), body.numbers("I"))


_BUILDERS: dict[bytes, Callable[[_Body], Message]] = {
    b"p": lambda body: Password(body.rest()),
    b"Q": lambda body: Query(body.text()),
    b"P": _parse,
    b"B": _bind,
    b"D": lambda body: Describe(*_target(body)),
    b"E": lambda body: Execute(body.text(), body.number("i")),
    b"C": lambda body: Close(*_target(body)),
    b"S": lambda _: Sync(),
    b"H": lambda _: Flush(),
    b"X": lambda _: Terminate(),
    b"F": lambda body: FunctionCall(body.rest()),
    **dict.fromkeys((b"d", b"c", b"f"), lambda body: CopyMessage(body.rest())),
}


def _message(kind: bytes, body: bytes = b"") -> bytes:
    return kind + struct.pack("!i", len(body) + 4) + body


def _text(value: str) -> bytes:
    return value.replace("\0", "").encode("utf-8", "replace") + b"\0"


PARSE_COMPLETE = _message(b"1")
BIND_COMPLETE = _message(b"2")
CLOSE_COMPLETE = _message(b"3")
NO_DATA = _message(b"n")
PORTAL_SUSPENDED = _message(b"s")
EMPTY_QUERY = _message(b"I")
COPY_DONE = _message(b"c")
AUTHENTICATION_OK = _message(b"R", struct.pack("!i", 0))


def authentication_sasl(mechanisms: Iterable[str]) -> bytes:
    """Which mechanisms there are."""
    return _message(b"R", struct.pack("!i", 10) + b"".join(map(_text, mechanisms)) + b"\0")


def authentication_sasl_continue(content: str) -> bytes:
    """What SASL says next."""
    return _message(b"R", struct.pack("!i", 11) + content.encode())


def authentication_sasl_final(content: str) -> bytes:
    """What SASL says last."""
    return _message(b"R", struct.pack("!i", 12) + content.encode())


def negotiate(unknown: Sequence[str]) -> bytes:
    """The protocol is 3.0, and these of the options asked for are not known."""
    return _message(b"v", struct.pack("!ii", 3 << 16, len(unknown)) + b"".join(map(_text, unknown)))


def parameter_status(name: str, value: str) -> bytes:
    """A setting, as it is now."""
    return _message(b"S", _text(name) + _text(value))


def backend_key(process: int, secret: bytes) -> bytes:
    """What to cancel by."""
    return _message(b"K", struct.pack("!I", process) + secret)


def ready(status: bytes) -> bytes:
    """The next statement may come; ``status``: I outside, T in, E in a failed transaction."""
    return _message(b"Z", status)


def complete(tag: str) -> bytes:
    """A statement is done."""
    return _message(b"C", _text(tag))


def row_description(fields: Iterable[tuple[str, int, int, int, int]]) -> bytes:
    """The columns: name, OID, size of its type, type modifier, format."""
    parts = [
        _text(name) + struct.pack("!IhIhih", 0, 0, oid, size, modifier, form)
        for name, oid, size, modifier, form in fields
    ]
    return _message(b"T", struct.pack("!H", len(parts)) + b"".join(parts))


def copy_out(form: int, columns: int) -> bytes:
    """Rows are copied from here on, so many columns in this format."""
    return _message(b"H", struct.pack(f"!bH{columns}H", form, columns, *[form] * columns))


def copy_data(content: bytes) -> bytes:
    """A row that is copied, or what comes before or after them."""
    return _message(b"d", content)


def parameter_description(types: Sequence[int]) -> bytes:
    """The types of a statement's parameters."""
    return _message(b"t", struct.pack(f"!H{len(types)}I", len(types), *types))


def error(failed: SqlError) -> bytes:
    """What went wrong."""
    return _message(b"E", _fields(failed.severity, failed.code, str(failed), failed.hint, failed.position))


def notice(message: str, code: str = "00000", severity: str = "NOTICE") -> bytes:
    """Something that a user may want to know."""
    return _message(b"N", _fields(severity, code, message))


def _fields(severity: str, code: str, message: str, hint: str = "", position: int = 0) -> bytes:
    fields = {"S": severity, "V": severity, "C": code, "M": message, "H": hint, "P": str(position or "")}
    return b"".join(kind.encode() + _text(value) for kind, value in fields.items() if value) + b"\0"
