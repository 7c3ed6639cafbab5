"""SCRAM-SHA-256, the server's side.

What comes in: what a client says, the verifier of its user. What goes out: what the server says, or that it is not
admitted. Never knows a password. Sources: RFC 5802, RFC 7677; PostgreSQL's documentation, 55.3 (SASL authentication).
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import re
import secrets
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from stepsize.listening.users import Verifier

MECHANISM = "SCRAM-SHA-256"
_NONCE_BYTES = 18
_PRINTABLE = re.compile(r"[\x21-\x2b\x2d-\x7e]+")


class NotAdmittedError(Exception):
    """What the client says is no proof of its password, or no SCRAM."""


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
