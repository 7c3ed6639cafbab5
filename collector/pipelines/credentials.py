"""How an exporter says who it is: the header that its ``auth`` extension has it send.

What comes in: an extension's configuration. What goes out: a function that gives the header as it is now: a file with a
token is read again when it changes. Never shows what is in it.
"""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING, Any

from stepsize.collector.components.basicauth_extension import BasicAuthConfig
from stepsize.collector.components.bearertokenauth_extension import BearerTokenAuthConfig
from stepsize.collector.config.language import Secret
from stepsize.listening.watched import WatchedFile

if TYPE_CHECKING:
    from collections.abc import Callable

    Credentials = Callable[[], tuple[str, Secret]]


def can_sign(extension: Any) -> bool:
    """Whether an extension is one that exporters can use."""
    return isinstance(extension, BearerTokenAuthConfig) or (
        isinstance(extension, BasicAuthConfig) and extension.client_auth is not None
    )


def credentials(extension: Any) -> Credentials | None:
    """The header of an extension; None where there is no extension.

    Raises:
        ConfigError: the file that holds the token cannot be read.
    """
    if isinstance(extension, BasicAuthConfig) and extension.client_auth is not None:
        client = extension.client_auth
        packed = base64.b64encode(f"{client.username}:{client.password.reveal()}".encode()).decode()
        return lambda: ("Authorization", Secret(f"Basic {packed}"))
    if isinstance(extension, BearerTokenAuthConfig):
        scheme = f"{extension.scheme} " if extension.scheme else ""
        if extension.filename is not None:
            file = WatchedFile(extension.filename, _first_token)
            return lambda: (extension.header, Secret(scheme + file.get()))
        token = _first_token((extension.tokens or (extension.token,))[0].reveal())
        return lambda: (extension.header, Secret(scheme + token))
    return None


def _first_token(content: str) -> str:
    for line in content.splitlines():
        if token := line.strip():
            if not (token.isascii() and token.isprintable()):
                raise ValueError("its token cannot be sent in a header")
            return token
    raise ValueError("it holds no token")
