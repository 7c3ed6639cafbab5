"""Users and passwords, as `htpasswd` writes them, and Basic authentication (RFC 7617) against them.

What comes in: lines ``USER:HASH``, credentials of requests. What goes out: who is admitted. Never lets the time tell
whether a user exists, never checks a slow hash on the event loop, and never more than a few at once.

Hashes that are understood: bcrypt (``htpasswd -B``; needs the `bcrypt` package), ``{SSHA}`` and ``{SHA}`` (salted and
plain SHA-1: for generated passwords only), and, as the Collector does, a password as it is. The others are refused by
name when they are read.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import hashlib
import hmac
import re
import secrets
from collections import OrderedDict
from typing import TYPE_CHECKING

from stepsize.errors import UnavailableError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

_BCRYPT = re.compile(r"\$2[abxy]\$\d\d\$.{53}")
_REFUSED = {
    "$apr1$": "Apache's MD5",
    "$1$": "MD5",
    "$5$": "SHA-256 crypt",
    "$6$": "SHA-512 crypt",
    "$y$": "yescrypt",
    "$argon2": "argon2",
}
_SHA_BYTES = 20
_REMEMBERED = 1024
_CHECKED_AT_ONCE = 2
_WAITING = 64


def parse_htpasswd(text: str) -> dict[str, str]:
    """Users and the hashes of their passwords.

    Raises:
        ValueError: a line is not understood; the message names the line's number and never its content.
    """
    users: dict[str, str] = {}
    for number, line in enumerate(text.splitlines(), 1):
        if not line.strip() or line.startswith("#"):
            continue
        user, colon, hashed = line.strip().partition(":")
        if not colon or not user or not hashed:
            raise ValueError(f"line {number}: expected USER:HASH")
        if problem := _problem(hashed):
            raise ValueError(f"line {number}: {problem}")
        users[user] = hashed
    if not users:
        raise ValueError("no user in it")
    return users


def _problem(hashed: str) -> str:
    for prefix, name in _REFUSED.items():
        if hashed.startswith(prefix):
            return f"{name} hashes ({prefix}) are not supported; make a bcrypt one with htpasswd -B"
    if _BCRYPT.fullmatch(hashed):
        try:
            import bcrypt  # type: ignore[import-not-found,unused-ignore]  # noqa: F401, PLC0415 - optional
        except ImportError:
            return "bcrypt hashes need the bcrypt package: pip install bcrypt"
    if hashed.startswith(("{SHA}", "{SSHA}")):
        try:
            raw = base64.b64decode(hashed.partition("}")[2], validate=True)
        except binascii.Error:
            raw = b""
        if len(raw) < _SHA_BYTES:
            return "the hash is cut off"
    return ""


class PasswordAuthenticator:
    """Admits who sends a known user's password.

    Args:
        users: users and hashes, as of now.
    """

    header = "authorization"
    challenge = 'Basic realm="stepsize", charset="UTF-8"'

    def __init__(self, users: Callable[[], Mapping[str, str]]) -> None:
        self._users = users
        self._key = secrets.token_bytes(32)
        self._admitted: OrderedDict[bytes, None] = OrderedDict()
        self._slots = asyncio.Semaphore(_CHECKED_AT_ONCE)
        self._waiting = 0

    async def admits(self, credentials: str) -> bool:
        """As :class:`~stepsize.collector.access.authenticator.Authenticator`."""
        user, password = _decoded(credentials)
        users = self._users()
        known = users.get(user)
        # Somebody unknown is checked against a hash like the others, and does not match it.
        hashed = known if known is not None else next(iter(users.values()))
        # Who was admitted with this hash is known again without paying for the hash: clients sign in at each request.
        mark = hmac.digest(self._key, repr((user, password, hashed)).encode(), "sha256")
        if known is not None and mark in self._admitted:
            self._admitted.move_to_end(mark)
            return True
        equal = await self._check(password, hashed)
        if not equal or known is None:
            return False
        self._admitted[mark] = None
        if len(self._admitted) > _REMEMBERED:
            self._admitted.popitem(last=False)
        return True

    async def _check(self, password: str, hashed: str) -> bool:
        if not hashed.startswith("$2"):
            return _equals(password, hashed)
        if self._waiting >= _WAITING:
            raise UnavailableError("too many passwords are being checked; send again later")
        self._waiting += 1
        try:
            async with self._slots:
                return await asyncio.to_thread(_equals, password, hashed)
        finally:
            self._waiting -= 1


def _decoded(credentials: str) -> tuple[str, str]:
    scheme, _, encoded = credentials.partition(" ")
    if scheme.lower() != "basic":
        return "", ""
    try:
        user, _, password = base64.b64decode(encoded.strip(), validate=True).decode("utf-8").partition(":")
    except (binascii.Error, ValueError):
        return "", ""
    return user, password


def _equals(password: str, hashed: str) -> bool:
    content = password.encode()
    if _BCRYPT.fullmatch(hashed):
        import bcrypt  # type: ignore[import-not-found,unused-ignore]  # noqa: PLC0415 - optional; was there when read

        return bool(bcrypt.checkpw(content[:72], hashed.encode()))  # what bcrypt does not look at, newer ones refuse
    for prefix in ("{SHA}", "{SSHA}"):
        if hashed.startswith(prefix):
            raw = base64.b64decode(hashed.removeprefix(prefix))
            made = hashlib.sha1(content + raw[_SHA_BYTES:]).digest()  # noqa: S324 - the format's
            return hmac.compare_digest(made, raw[:_SHA_BYTES])
    return hmac.compare_digest(hashlib.sha256(content).digest(), hashlib.sha256(hashed.encode()).digest())
