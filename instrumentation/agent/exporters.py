"""Sends sealed requests the way OpenTelemetry's own OTLP exporters would send them.

What comes in: a `Request`. What goes out: an `Answer`. The exporters read the `OTEL_EXPORTER_OTLP_*` variables, so
that these mean here what they mean everywhere; but what an exporter is told of a failure it keeps to itself, it writes
a request anew each time, and it tries again by itself for up to a minute. So it is given nothing to send, a session
(HTTP) or a stub (gRPC) of ours to send it through, which puts the sealed request in its place, and the answer that all
is well.

What of the exporters this rests on (1.30 to 1.45): the HTTP one sends through ``session.request``; the gRPC one makes
its stub by calling ``self._stub`` with the channel.
"""

from __future__ import annotations

import logging
import time
from typing import TYPE_CHECKING, Any

import requests
from opentelemetry.sdk.metrics.export import MetricsData
from requests.structures import CaseInsensitiveDict

from stepsize.instrumentation.agent.delivery import (
    COMPRESSIONS,
    Answer,
    Delivery,
    Encoding,
    Request,
    of_grpc,
    of_http,
)
from stepsize.otlp_answers import retry_info_s, said_in_json, short

if TYPE_CHECKING:
    from collections.abc import Callable

    from opentelemetry.sdk.metrics.export import MetricExporter

_NOTHING = MetricsData(resource_metrics=[])
_STALE_S = 1.0
"""A connection that was closed at the other end fails within this."""
_GRPC_METHOD = "/opentelemetry.proto.collector.metrics.v1.MetricsService/Export"

_log = logging.getLogger(__name__)


class HttpExporter:
    """Sends over HTTP.

    Args:
        make: makes the exporter, which is to send through the session that it is given.
        session: what is truly sent through.
    """

    def __init__(self, make: Callable[[requests.Session], MetricExporter], session: requests.Session) -> None:
        self._session = _Substitute(session)
        self._exporter = make(self._session)

    def send(self, request: Request) -> Answer:
        """Send once, as long as the exporter's timeout allows."""
        self._session.mail.put(request)
        self._exporter.export(_NOTHING)
        return self._session.mail.answer

    def close(self) -> None:
        """Close the connection."""
        self._exporter.shutdown()
        self._session.close()


class GrpcExporter:
    """Sends over gRPC, with a new channel after each failure to reach anybody."""

    def __init__(self) -> None:
        self._stub: _Stub | None = None
        self._exporter: MetricExporter | None = None

    def send(self, request: Request) -> Answer:
        """Send once, as long as the exporter's timeout allows."""
        if self._exporter is None or self._stub is None:
            self._exporter, self._stub = _grpc_exporter()
        stub = self._stub
        stub.mail.put(_in_protobuf(request))
        self._exporter.export(_NOTHING)
        if stub.unreachable:
            self.close()
        return stub.mail.answer

    def close(self) -> None:
        """Close the channel."""
        if self._exporter is not None:
            self._exporter.shutdown()
        if self._stub is not None:
            self._stub.channel.close()
        self._exporter = self._stub = None


class _Mail:
    """A request that is to go out, and what came back."""

    def __init__(self) -> None:
        self.body = b""
        self.content_type = ""
        self.answer = Answer(Delivery.LATER)

    def put(self, request: Request) -> None:
        """Have this sent next."""
        self.body, self.content_type = request.body, request.encoding.value
        self.answer = Answer(Delivery.LATER, "the exporter sent nothing")


class _Substitute(requests.Session):
    """What the exporter takes for its session: sends what was sealed, and keeps what was answered."""

    def __init__(self, session: requests.Session) -> None:
        super().__init__()
        self.headers = CaseInsensitiveDict()  # the real session has its own
        self.mail = _Mail()
        self._session = session

    def request(self, method: str | bytes, url: str | bytes, *_: Any, **options: Any) -> requests.Response:
        """Send the sealed request instead; whatever comes of it, the exporter is told that all is well."""
        headers = CaseInsensitiveDict({**self.headers, **(options.pop("headers", None) or {})})
        headers["Content-Type"] = self.mail.content_type
        compress = COMPRESSIONS.get(str(headers.get("Content-Encoding", "")).lower())
        options["data"] = self.mail.body if compress is None else compress(self.mail.body)
        options.setdefault("verify", self.verify)
        options.setdefault("cert", self.cert)
        self.mail.answer = self._deliver(method, url, {**options, "headers": headers})
        well = requests.Response()
        well.status_code = requests.codes.ok
        return well

    def _deliver(self, method: str | bytes, url: str | bytes, options: dict[str, Any]) -> Answer:
        started_s = time.monotonic()
        try:
            try:
                response = self._session.request(method, url, **options)
            except requests.ConnectionError as error:
                # One that was kept open since the last time may have been closed at the other end meanwhile.
                if isinstance(error, requests.Timeout) or time.monotonic() - started_s > _STALE_S:
                    raise
                response = self._session.request(method, url, **options)
        except requests.RequestException as error:
            return Answer(Delivery.LATER, short(str(error)))
        return _answer(response)

    def close(self) -> None:
        self._session.close()
        super().close()


def _answer(response: requests.Response) -> Answer:
    well = 200 <= response.status_code < 300
    rejected, reason = _partial(response) if well else (0, _failure(response))
    return of_http(
        response.status_code,
        retry_after=response.headers.get("Retry-After"),
        now_unix_s=time.time(),
        rejected_points=rejected,
        reason=reason,
    )


def _partial(response: requests.Response) -> tuple[int, str]:
    """How many points a response says were rejected, and why. One that cannot be read says nothing."""
    if not response.content:
        return 0, ""
    try:
        if response.headers.get("Content-Type", "").startswith(Encoding.JSON.value):
            return said_in_json(response.content)
        from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import (  # noqa: PLC0415 - the stub's module
            ExportMetricsServiceResponse,
        )

        return _partial_of(ExportMetricsServiceResponse.FromString(response.content))
    except Exception as error:  # noqa: BLE001 - taken is taken
        _log.debug("cannot read the answer: %s", error)
        return 0, ""


def _failure(response: requests.Response) -> str:
    """What a response that is no success says in words: a ``google.rpc.Status`` or text."""
    kind = response.headers.get("Content-Type", "").partition(";")[0].strip()
    if kind == Encoding.JSON.value:
        return said_in_json(response.content)[1] or short(response.text)
    if kind != Encoding.PROTOBUF.value:
        return short(response.text)
    from google.protobuf.message import DecodeError  # noqa: PLC0415 - after a failure alone
    from google.rpc import status_pb2  # noqa: PLC0415 - as above

    try:
        return short(status_pb2.Status.FromString(response.content).message)
    except DecodeError:
        return ""


def _partial_of(response: Any) -> tuple[int, str]:
    return response.partial_success.rejected_data_points, short(response.partial_success.error_message)


class _Stub:
    """What the exporter takes for its stub: sends what was sealed, and keeps what was answered."""

    def __init__(self, channel: Any) -> None:
        from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import (  # noqa: PLC0415 - heavy
            ExportMetricsServiceResponse,
        )

        self.channel = channel
        self.mail = _Mail()
        self.unreachable = False
        self._response = ExportMetricsServiceResponse
        self._call = channel.unary_unary(_GRPC_METHOD, None, ExportMetricsServiceResponse.FromString)

    def Export(self, request: Any, **options: Any) -> Any:  # noqa: N802, ARG002 - the service's name; ours is sent
        """Send the sealed request in place of the exporter's; as above."""
        import grpc  # noqa: PLC0415 - 40 ms

        try:
            rejected, reason = _partial_of(self._call(self.mail.body, **options))
        except grpc.RpcError as error:
            code = error.code().name
            self.unreachable = code == "UNAVAILABLE"
            self.mail.answer = of_grpc(code, short(error.details() or ""), retry_info_s(error.trailing_metadata()))
        else:
            self.mail.answer = Answer(Delivery.TAKEN, reason, rejected_points=rejected)
        return self._response()


def _grpc_exporter() -> tuple[MetricExporter, _Stub]:
    """OpenTelemetry's exporter, and the stub of ours that it made with its channel."""
    from opentelemetry.exporter.otlp.proto.grpc import metric_exporter  # noqa: PLC0415 - 100 ms

    made: list[_Stub] = []

    def make_stub(channel: Any) -> _Stub:
        made.append(_Stub(channel))
        return made[-1]

    class Exporter(metric_exporter.OTLPMetricExporter):
        _stub = property(lambda _: make_stub, lambda *_: None)

    return Exporter(), made[-1]


def _in_protobuf(request: Request) -> Request:
    """As gRPC sends it: an agent without OpenTelemetry may have left it in JSON."""
    if request.encoding is Encoding.PROTOBUF:
        return request
    from google.protobuf import json_format  # noqa: PLC0415 - hardly ever needed
    from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import (  # noqa: PLC0415 - as above
        ExportMetricsServiceRequest,
    )

    parsed = json_format.Parse(request.body, ExportMetricsServiceRequest())
    return Request(parsed.SerializeToString(deterministic=True), request.points)
