"""``extensions: basicauth``: users and passwords, for a receiver that names it under ``auth``, or of an exporter.

Keys as upstream's basicauthextension: ``htpasswd`` where clients sign in here, ``client_auth`` where an exporter signs
in elsewhere. What stands inline counts more than what stands in the file for the same user.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path  # noqa: TC003 - dataclasses keep their annotations readable
from typing import TYPE_CHECKING

from stepsize.collector.components.server_tls import file_path
from stepsize.collector.config.language import Secret, Section, option, secret, text

if TYPE_CHECKING:
    from collections.abc import Callable

    from stepsize.collector.access.passwords import PasswordAuthenticator


@dataclass(frozen=True, slots=True)
class HtpasswdConfig:
    """Who may sign in."""

    file: Path | None = option(file_path, default=None, says="a file as `htpasswd` writes it; read when it changes")
    inline: Secret = option(secret, default=Secret(""), says="the same, in the configuration")

    def validate(self) -> None:
        """Refuse what cannot work."""
        if self.file is None and not self.inline.reveal().strip():
            raise ValueError("give file or inline")


@dataclass(frozen=True, slots=True)
class ClientAuthConfig:
    """How an exporter signs in."""

    username: str = option(text, says="the user")
    password: Secret = option(secret, says="the password")


@dataclass(frozen=True, slots=True)
class BasicAuthConfig:
    """One of the two."""

    htpasswd: HtpasswdConfig | None = option(Section(HtpasswdConfig), default=None, says="for receivers")
    client_auth: ClientAuthConfig | None = option(Section(ClientAuthConfig), default=None, says="for exporters")

    def validate(self) -> None:
        """Refuse what cannot work."""
        if (self.htpasswd is None) == (self.client_auth is None):
            raise ValueError("give one of htpasswd (for receivers) and client_auth (for exporters)")


def password_authenticator(config: HtpasswdConfig, where: str, tell: Callable[[str], None]) -> PasswordAuthenticator:
    """What a receiver asks; ``where`` names the extension, ``tell`` takes a line where a newer file is not used.

    Raises:
        ConfigError: a line of the users cannot be used, or the file cannot be read.
    """
    from stepsize.collector.access.passwords import PasswordAuthenticator, parse_htpasswd  # noqa: PLC0415 - as above
    from stepsize.errors import ConfigError  # noqa: PLC0415 - as above
    from stepsize.listening.watched import watched  # noqa: PLC0415 - configurations are checked without it

    try:
        inline = parse_htpasswd(config.inline.reveal()) if config.inline.reveal().strip() else {}
    except ValueError as error:
        raise ConfigError(f"{where}.htpasswd.inline: {error}") from None
    if config.file is None:
        return PasswordAuthenticator(lambda: inline)
    file = watched(config.file, parse_htpasswd, f"{where}.htpasswd.file", tell)
    return PasswordAuthenticator(lambda: {**file.get(), **inline})
