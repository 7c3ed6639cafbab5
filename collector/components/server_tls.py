"""``tls`` of a receiver or extension: certificates of a listening server.

Keys as upstream's configtls. Keys that stand for what OpenSSL does not offer here (``cipher_suites``,
``curve_preferences``, ``tpm``, a PEM inside the configuration) are refused by name.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from stepsize.collector.config.language import choice, duration_s, flag, option, required_text


def file_path(value: Any) -> Path:
    """A file, ``~`` expanded."""
    return Path(required_text(value)).expanduser().absolute()


@dataclass(frozen=True, slots=True)
class ServerTlsConfig:
    """Certificate and key of a server, and who may connect."""

    cert_file: Path = option(file_path, says="the server's certificate, those between it and its authority after it")
    key_file: Path = option(file_path, says="the certificate's key, without a passphrase")
    client_ca_file: Path | None = option(
        file_path, default=None, says="only clients with a certificate of these authorities may connect (mTLS)"
    )
    client_ca_file_reload: bool = option(flag, default=False, says="read `client_ca_file` again when it changes")
    min_version: str = option(choice("1.2", "1.3"), default="1.2", says="the oldest version of TLS")
    max_version: str = option(choice("", "1.2", "1.3"), default="", says="the newest version; empty for no bound")
    reload_interval_s: float = option(
        duration_s,
        default=0.0,
        key="reload_interval",
        says="how often the files are looked at for newer ones; 0 for never",
    )

    def validate(self) -> None:
        """Refuse what cannot work."""
        if self.max_version and self.max_version < self.min_version:
            raise ValueError("min_version cannot be greater than max_version")
