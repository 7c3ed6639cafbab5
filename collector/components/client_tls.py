"""``tls`` of an exporter: whom it trusts and how it shows who it is.

Keys as upstream's configtls ``ClientConfig``; what gRPC for Python cannot do is known to HTTP alone. Files are read
when the exporter starts, and again at a reload.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from stepsize.collector.config.language import Secret, choice, flag, option, secret, text
from stepsize.errors import ConfigError

_VERSIONS = ("1.2", "1.3")


def existing_file(value: Any) -> str:
    """A file that is there."""
    path = text(value)
    if path and not Path(path).expanduser().is_file():
        raise ValueError(f"there is no file {path}")
    return path


@dataclass(frozen=True, slots=True)
class GrpcClientTlsConfig:
    """TLS of a gRPC client."""

    insecure: bool = option(flag, default=False, says="whether it goes without TLS")
    ca_file: str = option(
        existing_file, default="", says="who signs the server's certificate; the system's where left out"
    )
    ca_pem: str = option(text, default="", says="the same, written here")
    cert_file: str = option(existing_file, default="", says="the client's certificate")
    cert_pem: str = option(text, default="", says="the same, written here")
    key_file: str = option(existing_file, default="", says="the client's key")
    key_pem: Secret | None = option(secret, default=None, says="the same, written here")
    server_name_override: str = option(text, default="", says="the name that the server's certificate has to have")

    def validate(self) -> None:
        """Refuse what cannot work."""
        for name in ("ca", "cert", "key"):
            if getattr(self, f"{name}_file") and getattr(self, f"{name}_pem"):
                raise ValueError(f"give {name}_file or {name}_pem, not both")
        if bool(self.cert_file or self.cert_pem) != bool(self.key_file or self.key_pem):
            raise ValueError("a certificate needs its key, and a key its certificate")

    def ca(self) -> bytes | None:
        """The signers' certificates; None for the system's."""
        return _content(self.ca_file, self.ca_pem)

    def certificate(self) -> bytes | None:
        """The client's certificate."""
        return _content(self.cert_file, self.cert_pem)

    def key(self) -> bytes | None:
        """The client's key."""
        return _content(self.key_file, self.key_pem.reveal() if self.key_pem else "")


@dataclass(frozen=True, slots=True)
class HttpClientTlsConfig(GrpcClientTlsConfig):
    """TLS of an HTTP client. ``insecure`` is of no use: the endpoint's scheme says whether there is TLS."""

    insecure_skip_verify: bool = option(flag, default=False, says="whether any certificate is believed")
    min_version: str = option(choice(*_VERSIONS), default="1.2", says="the oldest version of TLS: `1.2` or `1.3`")
    max_version: str = option(choice("", *_VERSIONS), default="", says="the newest")

    def validate(self) -> None:
        """Refuse what cannot work."""
        GrpcClientTlsConfig.validate(self)
        if self.max_version and self.max_version < self.min_version:
            raise ValueError("max_version must not be below min_version")


def _content(path: str, written: str) -> bytes | None:
    if path:
        try:
            return Path(path).expanduser().read_bytes()
        except OSError as error:
            raise ConfigError(f"cannot read {path}: {error.strerror}") from None
    return written.encode() or None
