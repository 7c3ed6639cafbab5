"""``extensions: bearertokenauth``: who sends a known token may send to a receiver that names it under ``auth``.

Keys as upstream's bearertokenauthextension. A file of tokens (one a line) is read again when it changes; where it is
given, ``token`` and ``tokens`` do not count.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path  # noqa: TC003 - dataclasses keep their annotations readable
from typing import TYPE_CHECKING, Any

from stepsize.collector.components.server_tls import file_path
from stepsize.collector.config.language import Secret, option, required_text, secret, text

if TYPE_CHECKING:
    from collections.abc import Callable

    from stepsize.collector.access.authenticator import TokenAuthenticator


def _secrets(value: Any) -> tuple[Secret, ...]:
    if not isinstance(value, list):
        raise TypeError("expected a list of tokens")
    return tuple(map(secret, value))


@dataclass(frozen=True, slots=True)
class BearerTokenAuthConfig:
    """The tokens."""

    scheme: str = option(text, default="Bearer", says="what stands before the token")
    header: str = option(required_text, default="Authorization", says="the header that carries it")
    token: Secret = option(secret, default=Secret(""), says="the token")
    tokens: tuple[Secret, ...] = option(_secrets, default=(), says="several tokens, each of which is good")
    filename: Path | None = option(
        file_path, default=None, says="a file with one token a line, in place of the two above"
    )

    def validate(self) -> None:
        """Refuse what cannot work."""
        if self.token.reveal() and self.tokens:
            raise ValueError("either tokens or token should be provided, not both")
        if self.filename is None and not any(one.reveal().strip() for one in (self.token, *self.tokens)):
            raise ValueError("no bearer token provided: give token, tokens or filename")


def token_authenticator(config: BearerTokenAuthConfig, where: str, tell: Callable[[str], None]) -> TokenAuthenticator:
    """What a receiver asks; ``where`` names the extension, ``tell`` takes a line where a newer file is not used.

    Raises:
        ConfigError: the file cannot be read.
    """
    from stepsize.collector.access.authenticator import TokenAuthenticator, token_digests  # noqa: PLC0415 - as above
    from stepsize.listening.watched import watched  # noqa: PLC0415 - configurations are checked without it

    if config.filename is not None:
        file = watched(config.filename, lambda content: token_digests(content.splitlines()), f"{where}.filename", tell)
        return TokenAuthenticator(file.get, config.scheme, config.header)
    known = token_digests(one.reveal() for one in (config.token, *config.tokens))
    return TokenAuthenticator(lambda: known, config.scheme, config.header)
