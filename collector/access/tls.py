"""TLS of listening servers: certificates from files, read again when they change.

What comes in: a ``tls`` section. What goes out: contexts for HTTP, credentials for gRPC. Never takes a half-written
pair: what does not fit together is refused at the start, and later leaves what was there before in place.
"""

from __future__ import annotations

import ssl
import time
from typing import TYPE_CHECKING, Any

from stepsize.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from stepsize.collector.components.server_tls import ServerTlsConfig

_VERSIONS = {"1.2": ssl.TLSVersion.TLSv1_2, "1.3": ssl.TLSVersion.TLSv1_3}


def server_context(config: ServerTlsConfig, where: str) -> ssl.SSLContext:
    """The context of a server; ``where`` names the section.

    Raises:
        ConfigError: a file cannot be read, or certificate and key do not fit together.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = _VERSIONS[config.min_version]
    if config.max_version:
        context.maximum_version = _VERSIONS[config.max_version]
    context.set_alpn_protocols(["http/1.1"])
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
        clock_s: a monotonic clock.

    Raises:
        ConfigError: they cannot be used at the start.
    """

    def __init__(self, config: ServerTlsConfig, where: str, clock_s: Callable[[], float] = time.monotonic) -> None:
        self._config = config
        self._where = where
        self._clock_s = clock_s
        self._stamps = self._stat()
        self._looked_s = clock_s()
        self.context = server_context(config, where)
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
        self.context = server_context(self._config, self._where)
        return True

    def grpc_credentials(self, failed: Callable[[ConfigError], None]) -> Any:
        """Credentials for gRPC, which asks for the files again at handshakes; ``failed`` is told why it cannot."""
        import grpc  # noqa: PLC0415 - 20 MiB of memory, and an embedded collector has none of it

        def fetch() -> Any:
            now_s = self._clock_s()
            if self.interval_s is None or now_s - self._looked_s < self.interval_s:
                return None  # as before
            self._looked_s = now_s
            try:
                return self._grpc_configuration() if self.renew() else None
            except ConfigError as error:
                failed(error)
                return None

        mutual = self._config.client_ca_file is not None
        return grpc.dynamic_ssl_server_credentials(self._grpc_configuration(), fetch, mutual)

    def _grpc_configuration(self) -> Any:
        import grpc  # noqa: PLC0415 - as above

        authorities = self._config.client_ca_file
        try:
            pair = (self._config.key_file.read_bytes(), self._config.cert_file.read_bytes())
            roots = authorities.read_bytes() if authorities else None
        except OSError as error:
            raise ConfigError(f"{self._where}: cannot read {error.filename}: {error.strerror}") from None
        return grpc.ssl_server_certificate_configuration([pair], root_certificates=roots)

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
