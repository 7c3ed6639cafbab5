"""What ``--validate`` finds beyond the configuration's text: files that cannot be used.

What comes in: a configuration. What goes out: nothing, or one line about what is wrong. Never listens, connects or
writes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from stepsize.collector.components.otlp_exporter import OtlpExporterConfig
from stepsize.collector.components.otlphttp_exporter import OtlpHttpExporterConfig
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
    """See that certificates, keys and credentials can be read and used.

    Raises:
        ConfigError: one cannot.
    """
    Servers(config, Registry(), Log(lambda _line: None), InFlight(0), Sockets()).check()
    for name, one in config.exporters.items():
        if not isinstance(one, (OtlpExporterConfig, OtlpHttpExporterConfig)):
            continue
        try:
            if isinstance(one, OtlpHttpExporterConfig) and one.metrics_url.startswith("https:"):
                tls_context(one.tls)
            if one.auth is not None:
                credentials(config.extensions[one.auth.authenticator])
        except ConfigError as error:
            raise ConfigError(f"exporters.{name}: {error}") from None
