"""Who may send: the rule that receivers ask before they read a body.

What comes in: the value of a request's header for credentials. What goes out: whether it is admitted. Never says which
part of a credential was wrong, never compares secrets in a time that tells of them, never shows one.
"""

from __future__ import annotations

import hashlib
import hmac
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable


class Authenticator(Protocol):
    """What a receiver asks."""

    header: str
    """Name, in lower case, of the header or metadata that carries the credentials."""
    challenge: str
    """What ``WWW-Authenticate`` says to who is not admitted (RFC 9110, 11.6.1)."""

    async def admits(self, credentials: str) -> bool:
        """Whether the sender of ``credentials`` may go on; empty where none were sent.

        Raises:
            UnavailableError: too many are being checked right now, or it is not known who may send.
        """
        ...


class TokenAuthenticator:
    """Admits who sends one of the known tokens.

    Args:
        digests: the :func:`digest` of each token, as of now.
        scheme: what stands before the token and a space; empty where the token stands alone.
        header: the header's name.
    """

    def __init__(self, digests: Callable[[], tuple[bytes, ...]], scheme: str, header: str) -> None:
        self._digests = digests
        self._scheme = scheme
        self.header = header.lower()
        self.challenge = scheme or "Bearer"

    async def admits(self, credentials: str) -> bool:
        """As :class:`Authenticator`."""
        scheme, _, token = credentials.partition(" ") if self._scheme else ("", "", credentials)
        sent = digest(token)
        # Every known token is compared, so that the time does not tell which one was near.
        equal = [hmac.compare_digest(sent, known) for known in self._digests()]
        return any(equal) and scheme.lower() == self._scheme.lower() and bool(token)


def digest(token: str) -> bytes:
    """What of a token is kept and compared: of one length for all, so that a token's length does not show."""
    return hashlib.sha256(token.encode("utf-8", "surrogateescape")).digest()


def token_digests(tokens: Iterable[str]) -> tuple[bytes, ...]:
    """The digests of tokens; empty ones and the space around them do not count.

    Raises:
        ValueError: there is none.
    """
    found = tuple(digest(token.strip()) for token in tokens if token.strip())
    if not found:
        raise ValueError("no token in it")
    return found
