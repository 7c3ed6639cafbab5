"""TLS of listening servers: certificates from files, read again when they change.

What comes in: a ``tls`` section. What goes out: contexts. Never takes a half-written pair: what does not fit together
is refused at the start, and later leaves what was there before in place.
"""

from __future__ import annotations

import ssl
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from stepsize.errors import ConfigError

if TYPE_CHECKING:
    from pathlib import Path

_ALPN = {"http": "http/1.1", "grpc": "h2", "postgres": "postgresql"}
_VERSIONS = {"1.2": ssl.TLSVersion.TLSv1_2, "1.3": ssl.TLSVersion.TLSv1_3}


class TlsSection(Protocol):
    """Certificate and key of a server, who may connect, which versions, and whether the files are looked at again."""

    @property
    def cert_file(self) -> Path: ...  # noqa: D102 - as the configuration's keys are documented
    @property
    def key_file(self) -> Path: ...  # noqa: D102 - as above
    @property
    def client_ca_file(self) -> Path | None: ...  # noqa: D102 - as above
    @property
    def client_ca_file_reload(self) -> bool: ...  # noqa: D102 - as above
    @property
    def min_version(self) -> str: ...  # noqa: D102 - as above
    @property
    def max_version(self) -> str: ...  # noqa: D102 - as above
    @property
    def reload_interval_s(self) -> float: ...  # noqa: D102 - as above


@dataclass(frozen=True, slots=True)
class TlsFiles:
    """As :class:`TlsSection`, where no configuration says it."""

    cert_file: Path
    key_file: Path
    client_ca_file: Path | None = None
    client_ca_file_reload: bool = False
    min_version: str = "1.2"
    max_version: str = ""
    reload_interval_s: float = 1.0


def server_context(config: TlsSection, where: str, protocol: str) -> ssl.SSLContext:
    """The context of a server of ``http`` (1.1), ``grpc`` (HTTP/2) or ``postgres``; ``where`` names the section.

    Raises:
        ConfigError: a file cannot be read, or certificate and key do not fit together.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = _VERSIONS[config.min_version]
    if config.max_version:
        context.maximum_version = _VERSIONS[config.max_version]
    context.set_alpn_protocols([_ALPN[protocol]])
    try:
        context.load_cert_chain(config.cert_file, config.key_file, password=_no_password)
    except OSError as error:  # ssl.SSLError too
        raise ConfigError(f"{where}: {_why(error, config.cert_file, config.key_file)}") from None
    if config.client_ca_file is not None:
        context.verify_mode = ssl.CERT_REQUIRED
        try:
            context.load_verify_locations(config.client_ca_file)
        except OSError as error:
            raise ConfigError(f"{where}: {_why(error, config.client_ca_file)}") from None
    return context


def _no_password() -> str:
    raise ssl.SSLError("the key is encrypted; give one without a passphrase")


def _why(error: OSError, *paths: Path) -> str:
    names = " and ".join(map(str, paths))
    if isinstance(error, ssl.SSLError):
        reason = str(error.reason or error.args[-1]).replace("_", " ").lower()
        return f"cannot use {names}: {reason}"
    return f"cannot read {names}: {error.strerror}"


class WatchedTls:
    """The files of one section, and whether they have changed.

    Args:
        config: the section.
        where: its name.
        protocol: see :func:`server_context`.

    Raises:
        ConfigError: they cannot be used at the start.
    """

    def __init__(self, config: TlsSection, where: str, protocol: str = "http") -> None:
        self._config = config
        self._where = where
        self._protocol = protocol
        self._stamps = self._stat()
        self.context = server_context(config, where, protocol)
        """The context that holds now."""

    @property
    def interval_s(self) -> float | None:
        """How often :meth:`renew` is worth calling; None for never."""
        return self._config.reload_interval_s or (1.0 if self._config.client_ca_file_reload else None)

    def renew(self) -> bool:
        """Read the files again where they changed; whether :attr:`context` is a new one.

        Raises:
            ConfigError: they changed and cannot be used; the context stays.
        """
        stamps = self._stat()
        if stamps == self._stamps:
            return False
        self._stamps = stamps
        self.context = server_context(self._config, self._where, self._protocol)
        return True

    def _stat(self) -> tuple[tuple[int, int, int] | None, ...]:
        config = self._config
        found: list[tuple[int, int, int] | None] = []
        for path in (config.cert_file, config.key_file, config.client_ca_file):
            try:
                stat = path.stat() if path else None
            except OSError:
                stat = None
            found.append((stat.st_mtime_ns, stat.st_size, stat.st_ino) if stat else None)
        return tuple(found)
