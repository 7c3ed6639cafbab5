"""Who may connect with a password, as PostgreSQL keeps it: users and SCRAM-SHA-256 verifiers, in lines of a file.

What comes in: the text of such a file, or a password. What goes out: verifiers. Never keeps a password, and never shows
what it keeps. Sources: RFC 5802, RFC 7677; PostgreSQL's documentation, pg_authid.
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

_ITERATIONS = 4096
"""PostgreSQL's own; a verifier may say another number."""
_MOST_ITERATIONS = 10_000_000
_SALT_BYTES = 16
_VERIFIER = re.compile(r"SCRAM-SHA-256\$(\d{1,8}):([A-Za-z0-9+/=]+)\$([A-Za-z0-9+/=]+):([A-Za-z0-9+/=]+)")


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
