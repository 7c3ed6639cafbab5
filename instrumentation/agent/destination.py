"""Where points go: an OTLP endpoint, or the collector that serves the data directory.

What comes in: settings, `MetricsData`. What goes out: a `Delivery`. Everything is sent by OpenTelemetry's own OTLP
exporters, which read the `OTEL_EXPORTER_OTLP_*` variables themselves; this module only picks one, and gives the HTTP
one a way onto a Unix socket. Blocks as long as the exporter does (`OTEL_EXPORTER_OTLP_TIMEOUT`), so the sender calls
it in a thread of its own, where the SDK is imported too.
"""

from __future__ import annotations

import logging
import os
import socket
from typing import TYPE_CHECKING, Any

import requests
import urllib3
from opentelemetry.sdk.metrics.export import MetricExportResult
from requests.adapters import HTTPAdapter
from urllib3.connection import HTTPConnection
from urllib3.connectionpool import HTTPConnectionPool

from stepsize import discovery
from stepsize.instrumentation.agent.sender import Delivery

if TYPE_CHECKING:
    from opentelemetry.sdk.metrics.export import MetricExporter, MetricsData

    from stepsize.discovery import CollectorAddress
    from stepsize.instrumentation.agent.embedded import EmbeddedCollector
    from stepsize.settings import Settings

_LOCAL_URL = "http+unix://collector/v1/metrics"
_LOCAL_TIMEOUT_S = 10.0
_PROBE_S = 1.0
_REFUSED = frozenset({400, 413, 415, 422})
"""Answers that say the request itself is wrong. A wrong token, path or server may be put right while points wait."""

_log = logging.getLogger(__name__)


class Endpoint:
    """The endpoint of `OTEL_EXPORTER_OTLP_ENDPOINT`, over gRPC or HTTP."""

    def __init__(self, settings: Settings) -> None:
        self._answers = _Answers()
        self._exporter = self._make(settings)

    def export(self, data: MetricsData) -> Delivery:
        """Send; a refusal can be told from a failure over HTTP only."""
        return _export(self._exporter, data, self._answers)

    def close(self) -> None:
        """Close the connection."""
        self._exporter.shutdown()

    def _make(self, settings: Settings) -> MetricExporter:
        if (settings.metrics_protocol or settings.protocol) == "grpc":
            from opentelemetry.exporter.otlp.proto.grpc import metric_exporter as grpc  # noqa: PLC0415 - 100 ms

            return grpc.OTLPMetricExporter()
        from opentelemetry.exporter.otlp.proto.http import metric_exporter as http  # noqa: PLC0415 - as above

        # A credential provider that the site has set up brings its own session, which ours would replace.
        if any(name.endswith("_CREDENTIAL_PROVIDER") and "OTLP_HTTP" in name for name in os.environ):
            return http.OTLPMetricExporter()
        return http.OTLPMetricExporter(session=self._answers.session())


class LocalCollector:
    """The collector that serves the data directory, over its Unix socket; one is brought where there is none."""

    def __init__(self, settings: Settings, embedded: EmbeddedCollector) -> None:
        self._settings = settings
        self._embedded = embedded
        self._answers = _Answers()
        self._address: CollectorAddress | None = None
        self._exporter: MetricExporter | None = None

    def export(self, data: MetricsData) -> Delivery:
        """Send to whoever serves the data directory now."""
        address = self._reachable()
        if address is None:
            return Delivery.FAILED
        if self._exporter is None or address != self._address:
            self._exporter, self._address = self._make(address), address
        return _export(self._exporter, data, self._answers)

    def close(self) -> None:
        """Close the connection; an embedded collector ends by itself once its standard input is closed."""
        if self._exporter is not None:
            self._exporter.shutdown()
        self._embedded.close()

    def _reachable(self) -> CollectorAddress | None:
        """Who serves the data directory and answers; an embedded collector is started where nobody does."""
        address = discovery.read_address(self._settings)
        if address is not None and _answers_at(address.socket):
            return address
        if not self._embedded.start():
            return None
        address = discovery.read_address(self._settings)
        return address if address is not None and _answers_at(address.socket) else None

    def _make(self, address: CollectorAddress) -> MetricExporter:
        from opentelemetry.exporter.otlp.proto.http import metric_exporter as http  # noqa: PLC0415 - as above

        session = self._answers.session()
        session.trust_env = False  # a proxy of the environment is not for a Unix socket
        session.mount("http+unix://", UnixAdapter(address.socket))
        headers = {"Authorization": f"Bearer {address.token}"}
        return http.OTLPMetricExporter(_LOCAL_URL, headers=headers, session=session, timeout=_LOCAL_TIMEOUT_S)


class _Answers:
    """Remembers the last HTTP status, which the exporters keep to themselves."""

    def __init__(self) -> None:
        self.last: int | None = None

    def forget(self) -> None:
        """Begin anew."""
        self.last = None

    def session(self) -> requests.Session:
        """A session that tells its answers here."""
        session = requests.Session()

        def remember(response: requests.Response, *_: Any, **__: Any) -> None:
            self.last = response.status_code

        session.hooks["response"].append(remember)
        return session


def _export(exporter: MetricExporter, data: MetricsData, answers: _Answers) -> Delivery:
    answers.forget()
    try:
        if exporter.export(data) is MetricExportResult.SUCCESS:
            return Delivery.TAKEN
    except Exception:  # noqa: BLE001 - whatever an exporter raises, its points are kept and sent again
        _log.exception("the exporter failed")
    return Delivery.REFUSED if answers.last in _REFUSED else Delivery.FAILED


def _answers_at(path: str) -> bool:
    """Whether somebody listens on a Unix socket: a file outlives its listener."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.settimeout(_PROBE_S)
        try:
            probe.connect(path)
        except OSError:
            return False
        return True


class UnixAdapter(HTTPAdapter):
    """Has requests talk HTTP over one Unix socket, whatever host the URL names."""

    def __init__(self, path: str) -> None:
        super().__init__()
        self._pool = _Pool(path)

    def get_connection_with_tls_context(self, *_: Any, **__: Any) -> HTTPConnectionPool:
        """The pool of connections to the socket (requests 2.32 and later)."""
        return self._pool

    def get_connection(self, *_: Any, **__: Any) -> HTTPConnectionPool:
        """As above, for requests before 2.32."""
        return self._pool

    def close(self) -> None:
        """Close the connections."""
        self._pool.close()
        super().close()


class _Pool(HTTPConnectionPool):
    def __init__(self, path: str) -> None:
        super().__init__("localhost")
        self._path = path

    def _new_conn(self) -> HTTPConnection:
        return _Connection(self._path)


class _Connection(HTTPConnection):
    def __init__(self, path: str) -> None:
        super().__init__("localhost")
        self._path = path

    def connect(self) -> None:
        timeout = self.timeout
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(timeout if isinstance(timeout, int | float) else None)
        try:
            self.sock.connect(self._path)
        except OSError as error:
            self.sock.close()
            raise urllib3.exceptions.NewConnectionError(self, f"nobody answers at {self._path}: {error}") from error
