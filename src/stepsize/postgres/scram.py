"""SCRAM-SHA-256, the server's side, and the verifiers that it checks against.

What comes in: what a client says, the verifier of its user. What goes out: what the server says, or that it is not
admitted. Never knows a password but the one it makes a verifier of; never lets a client tell whether a user exists.
Sources: RFC 5802, RFC 7677; PostgreSQL's documentation, 55.3 (SASL authentication), and pg_authid (verifiers).
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import re
import secrets
import stringprep
import unicodedata
from dataclasses import dataclass

MECHANISM = "SCRAM-SHA-256"
_ITERATIONS = 4096
"""PostgreSQL's own; a verifier may say another number."""
_MOST_ITERATIONS = 10_000_000
_SALT_BYTES = 16
_NONCE_BYTES = 18
_VERIFIER = re.compile(r"SCRAM-SHA-256\$(\d{1,8}):([A-Za-z0-9+/=]+)\$([A-Za-z0-9+/=]+):([A-Za-z0-9+/=]+)")
_PRINTABLE = re.compile(r"[\x21-\x2b\x2d-\x7e]+")


class NotAdmittedError(Exception):
    """What the client says is no proof of its password, or no SCRAM."""


@dataclass(frozen=True, slots=True)
class Verifier:
    """What is kept of a password."""

    iterations: int
    salt: bytes
    stored_key: bytes
    server_key: bytes

    @classmethod
    def parse(cls, text: str) -> Verifier:
        """One as PostgreSQL stores it.

        Raises:
            ValueError: it is none.
        """
        found = _VERIFIER.fullmatch(text)
        if found is None:
            raise ValueError("expected SCRAM-SHA-256$ITERATIONS:SALT$STORED_KEY:SERVER_KEY")
        try:
            salt, stored, server = (base64.b64decode(one, validate=True) for one in found.groups()[1:])
        except binascii.Error:
            raise ValueError("the verifier is no base64") from None
        iterations = int(found[1])
        if not 1 <= iterations <= _MOST_ITERATIONS or len(stored) != len(server) or len(stored) != 32:
            raise ValueError("the verifier is cut off, or asks for too many iterations")
        return cls(iterations, salt, stored, server)

    @classmethod
    def of(cls, password: str, salt: bytes | None = None, iterations: int = _ITERATIONS) -> Verifier:
        """That of a password."""
        salt = secrets.token_bytes(_SALT_BYTES) if salt is None else salt
        salted = hashlib.pbkdf2_hmac("sha256", prepared(password), salt, iterations)
        client_key = hmac.digest(salted, b"Client Key", "sha256")
        stored_key = hashlib.sha256(client_key).digest()
        return cls(iterations, salt, stored_key, hmac.digest(salted, b"Server Key", "sha256"))

    @classmethod
    def mock(cls, user: str, secret: bytes, iterations: int = _ITERATIONS) -> Verifier:
        """One that nobody has the password of, the same for a user each time while ``secret`` is."""
        salt = hmac.digest(secret, user.encode("utf-8", "surrogateescape"), "sha256")[:_SALT_BYTES]
        return cls(iterations, salt, secrets.token_bytes(32), secrets.token_bytes(32))

    def __str__(self) -> str:
        """As PostgreSQL stores it."""
        salt, stored, server = (base64.b64encode(one).decode() for one in (self.salt, self.stored_key, self.server_key))
        return f"SCRAM-SHA-256${self.iterations}:{salt}${stored}:{server}"

    def __repr__(self) -> str:
        """Without what it keeps."""
        return "Verifier(…)"


def prepared(password: str) -> bytes:
    """A password as it is hashed: by SASLprep (RFC 4013), or as it is where that forbids it, as PostgreSQL does."""
    mapped = "".join(
        " " if stringprep.in_table_c12(one) else one for one in password if not stringprep.in_table_b1(one)
    )
    normal = unicodedata.ucd_3_2_0.normalize("NFKC", mapped)
    forbidden = (
        *(stringprep.in_table_a1, stringprep.in_table_c12, stringprep.in_table_c21_c22, stringprep.in_table_c3),
        *(stringprep.in_table_c4, stringprep.in_table_c5, stringprep.in_table_c6, stringprep.in_table_c7),
        *(stringprep.in_table_c8, stringprep.in_table_c9),
    )
    if not normal or any(test(one) for one in normal for test in forbidden) or _is_mixed(normal):
        return password.encode("utf-8", "surrogateescape")
    return normal.encode()


def _is_mixed(text: str) -> bool:
    """Whether it mixes directions of writing as RFC 3454, 6, forbids."""
    if not any(map(stringprep.in_table_d1, text)):
        return False
    ends_well = stringprep.in_table_d1(text[0]) and stringprep.in_table_d1(text[-1])
    return not ends_well or any(map(stringprep.in_table_d2, text))


class Exchange:
    """One authentication: :meth:`first`, then :meth:`final`.

    Args:
        verifier: of the user, or a mock of one.
        nonce: the server's part; any printable text without a comma that is never used twice.
    """

    def __init__(self, verifier: Verifier, nonce: str | None = None) -> None:
        self._verifier = verifier
        self._nonce = nonce or base64.b64encode(secrets.token_bytes(_NONCE_BYTES)).decode()
        self._header = self._client_first = self._server_first = ""

    def first(self, said: bytes) -> str:
        """What answers the client's first message.

        Raises:
            NotAdmittedError: it is none.
        """
        text = _text(said)
        flag, identity, rest = (*text.split(",", 2), "", "")[:3]
        if flag not in {"n", "y"} or identity:  # p=: channel binding, which is not offered; a=: somebody else's name
            raise NotAdmittedError
        fields = rest.split(",")
        if len(fields) < 2 or not fields[0].startswith("n=") or not fields[1].startswith("r="):
            raise NotAdmittedError
        nonce = fields[1][2:]
        if not _PRINTABLE.fullmatch(nonce):
            raise NotAdmittedError
        self._header, self._client_first = f"{flag},,", rest
        self._nonce = nonce + self._nonce
        salt = base64.b64encode(self._verifier.salt).decode()
        self._server_first = f"r={self._nonce},s={salt},i={self._verifier.iterations}"
        return self._server_first

    def final(self, said: bytes) -> str:
        """What answers the client's last message: it has the password.

        Raises:
            NotAdmittedError: it has not.
        """
        without_proof, _, encoded = _text(said).rpartition(",p=")
        fields = without_proof.split(",")
        try:
            proof = base64.b64decode(encoded, validate=True)
            binding = base64.b64decode(fields[0].removeprefix("c="), validate=True).decode("ascii")
        except (binascii.Error, ValueError):
            raise NotAdmittedError from None
        is_same = len(fields) >= 2 and fields[0].startswith("c=") and fields[1] == f"r={self._nonce}"
        if not is_same or binding != self._header or len(proof) != 32 or not self._server_first:
            raise NotAdmittedError
        signed = f"{self._client_first},{self._server_first},{without_proof}".encode()
        signature = hmac.digest(self._verifier.stored_key, signed, "sha256")
        client_key = bytes(one ^ other for one, other in zip(proof, signature, strict=True))
        if not hmac.compare_digest(hashlib.sha256(client_key).digest(), self._verifier.stored_key):
            raise NotAdmittedError
        return "v=" + base64.b64encode(hmac.digest(self._verifier.server_key, signed, "sha256")).decode()


def _text(said: bytes) -> str:
    try:
        return said.decode()
    except UnicodeDecodeError:
        raise NotAdmittedError from None


def parse_users(text: str) -> dict[str, Verifier]:
    """Users and verifiers, of lines ``USER:SCRAM-SHA-256$…``; empty lines and those that begin with # do not count.

    Raises:
        ValueError: a line is not understood; the message names its number and never its content.
    """
    users: dict[str, Verifier] = {}
    for number, line in enumerate(text.splitlines(), 1):
        if not line.strip() or line.startswith("#"):
            continue
        user, _, verifier = line.strip().partition(":SCRAM-SHA-256$")
        if not user or not verifier:
            raise ValueError(f"line {number}: expected USER:SCRAM-SHA-256$…; stepsize sql --hash-password makes one")
        try:
            users[user] = Verifier.parse(f"SCRAM-SHA-256${verifier}")
        except ValueError as error:
            raise ValueError(f"line {number}: {error}") from None
    if not users:
        raise ValueError("no user in it")
    return users
