"""Where points go: an OTLP endpoint, or the collector that serves the data directory.

What comes in: settings, sealed requests. What goes out: an `Answer` each. This module only picks an exporter, and gives
the HTTP one a way onto a Unix socket. Blocks as long as the exporter does (`OTEL_EXPORTER_OTLP_TIMEOUT`), so the sender
calls it in a thread of its own, where the SDK is imported too.
"""

from __future__ import annotations

import logging
import os
import socket
from typing import TYPE_CHECKING

import requests

from stepsize import discovery
from stepsize.instrumentation.agent.delivery import Answer, Delivery
from stepsize.instrumentation.agent.exporters import GrpcExporter, HttpExporter
from stepsize.instrumentation.agent.unix_http import UnixAdapter

if TYPE_CHECKING:
    from opentelemetry.sdk.metrics.export import MetricExporter

    from stepsize.discovery import CollectorAddress
    from stepsize.instrumentation.agent.delivery import Request
    from stepsize.instrumentation.agent.embedded import EmbeddedCollector
    from stepsize.settings import Settings

_LOCAL_URL = "http+unix://collector/v1/metrics"
_LOCAL_TIMEOUT_S = 10.0
_PROBE_S = 1.0
_PROVIDERS = "opentelemetry_otlp_credential_provider"
"""Entry points by which a site brings credentials (OpenTelemetry's exporters, ``_load_session_from_envvar``)."""
_PROVIDER_VARIABLES = (
    "OTEL_PYTHON_EXPORTER_OTLP_HTTP_CREDENTIAL_PROVIDER",
    "OTEL_PYTHON_EXPORTER_OTLP_HTTP_METRICS_CREDENTIAL_PROVIDER",
)

_log = logging.getLogger(__name__)


class Endpoint:
    """The endpoint of `OTEL_EXPORTER_OTLP_ENDPOINT`, over gRPC or HTTP."""

    def __init__(self, settings: Settings) -> None:
        grpc = settings.metrics_protocol_in_use == "grpc"
        self._exporter = GrpcExporter() if grpc else HttpExporter(_otlp_http, _session())

    def send(self, request: Request) -> Answer:
        """Send once."""
        return self._exporter.send(request)

    def close(self) -> None:
        """Close the connection."""
        self._exporter.close()


class LocalCollector:
    """The collector that serves the data directory, over its Unix socket; one is brought where there is none."""

    def __init__(self, settings: Settings, embedded: EmbeddedCollector) -> None:
        self._settings = settings
        self._embedded = embedded
        self._address: CollectorAddress | None = None
        self._exporter: HttpExporter | None = None

    def send(self, request: Request) -> Answer:
        """Send once to whoever serves the data directory now."""
        address = self._reachable()
        if address is None:
            return Answer(Delivery.LATER, f"no collector serves {self._settings.data}")
        if self._exporter is None or address != self._address:
            self._let_go()
            self._exporter, self._address = _unix_exporter(address), address
        return self._exporter.send(request)

    def close(self) -> None:
        """Close the connection; an embedded collector ends by itself once its standard input is closed."""
        self._let_go()
        self._embedded.close()

    def _let_go(self) -> None:
        if self._exporter is not None:
            self._exporter.close()
            self._exporter = None

    def _reachable(self) -> CollectorAddress | None:
        """Who serves the data directory and answers; an embedded collector is started where nobody does."""
        address = discovery.read_address(self._settings)
        if address is not None and _answers_at(address.socket):
            return address
        if not self._embedded.start():
            return None
        address = discovery.read_address(self._settings)
        return address if address is not None and _answers_at(address.socket) else None


def _otlp_http(session: requests.Session) -> MetricExporter:
    from opentelemetry.exporter.otlp.proto.http import metric_exporter  # noqa: PLC0415 - 100 ms

    return metric_exporter.OTLPMetricExporter(session=session)


def _session() -> requests.Session:
    """What to send through: of the credential provider that the site has set up, where it has one.

    Raises:
        LookupError: there is no such provider.
    """
    provider = next((os.environ[name] for name in _PROVIDER_VARIABLES if os.environ.get(name)), None)
    if provider is None:
        return requests.Session()
    from importlib.metadata import entry_points  # noqa: PLC0415 - hardly ever needed

    for found in entry_points(group=_PROVIDERS, name=provider):
        made = found.load()()
        if isinstance(made, requests.Session):
            return made
    raise LookupError(f"no credential provider {provider!r} that makes a requests.Session is installed")


def _unix_exporter(address: CollectorAddress) -> HttpExporter:
    real = requests.Session()
    real.trust_env = False  # a proxy of the environment is not for a Unix socket
    real.mount("http+unix://", UnixAdapter(address.socket))

    def make(session: requests.Session) -> MetricExporter:
        from opentelemetry.exporter.otlp.proto.http import Compression, metric_exporter  # noqa: PLC0415 - as above

        return metric_exporter.OTLPMetricExporter(
            _LOCAL_URL,
            headers={"Authorization": f"Bearer {address.token}"},
            session=session,
            timeout=_LOCAL_TIMEOUT_S,
            compression=Compression.NoCompression,  # nothing is far away
        )

    return HttpExporter(make, real)


def _answers_at(path: str) -> bool:
    """Whether somebody listens on a Unix socket: a file outlives its listener."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.settimeout(_PROBE_S)
        try:
            probe.connect(path)
        except OSError:
            return False
        return True
