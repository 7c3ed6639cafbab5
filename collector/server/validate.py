"""What ``--validate`` finds beyond the configuration's text: files and directories that cannot be used.

What comes in: a configuration. What goes out: nothing, or one line about what is wrong. Never listens, connects or
writes.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from stepsize.collector.components.file_exporter import FileExporterConfig
from stepsize.collector.components.otlp_exporter import OtlpExporterConfig
from stepsize.collector.components.otlphttp_exporter import OtlpHttpExporterConfig
from stepsize.collector.components.parquet_exporter import ParquetExporterConfig
from stepsize.collector.pipelines.credentials import credentials
from stepsize.collector.pipelines.http_sender import tls_context
from stepsize.collector.server.in_flight import InFlight
from stepsize.collector.server.listeners import Sockets
from stepsize.collector.server.servers import Servers
from stepsize.collector.telemetry.log import Log
from stepsize.collector.telemetry.registry import Registry
from stepsize.errors import ConfigError

if TYPE_CHECKING:
    from stepsize.collector.config.service import CollectorConfig


def check_files(config: CollectorConfig) -> None:
    """See that certificates and credentials can be read and used, and that files can be made where they are to be.

    Raises:
        ConfigError: one cannot.
    """
    Servers(config, Registry(), Log(lambda _line: None), InFlight(0), Sockets()).check()
    for name, one in config.exporters.items():
        where = f"exporters.{name}"
        if isinstance(one, FileExporterConfig):
            _check_place(one.path.parent, f"{where}.path", may_be_made=one.create_directory)
        if isinstance(one, ParquetExporterConfig):
            for key, directory in (("directory", one.directory), ("state_directory", one.state_directory)):
                if isinstance(directory, Path):
                    _check_place(directory, f"{where}.{key}", may_be_made=True)
        if isinstance(one, (OtlpExporterConfig, OtlpHttpExporterConfig)):
            _check_sending(one, where, config)


def _check_sending(one: OtlpExporterConfig | OtlpHttpExporterConfig, where: str, config: CollectorConfig) -> None:
    if isinstance(one, OtlpHttpExporterConfig) and one.metrics_url.startswith("https:"):
        try:
            tls_context(one.tls)
        except ConfigError as error:
            raise ConfigError(f"{where}: {error}") from None
    if one.auth is not None:
        try:
            credentials(config.extensions[one.auth.authenticator])
        except ConfigError as error:
            raise ConfigError(f"extensions.{one.auth.authenticator}.filename: {error}") from None


def _check_place(directory: Path, key: str, *, may_be_made: bool) -> None:
    """See that a directory is there and can be written to, or could be made."""
    nearest = next(found for found in (directory, *directory.parents) if os.path.lexists(found))
    if nearest != directory and not may_be_made:
        raise ConfigError(f"{key}: there is no directory {directory}; make it, or set create_directory: true")
    if not nearest.is_dir():
        raise ConfigError(f"{key}: {nearest} is not a directory")
    if not os.access(nearest, os.W_OK | os.X_OK):
        raise ConfigError(f"{key}: {nearest} cannot be written to by this user")
