"""Sends requests over OTLP/gRPC.

What comes in: bytes of an ``ExportMetricsServiceRequest``. What goes out: an :class:`Outcome`. The bytes are sent as
they are: nothing is parsed on the way.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import grpc
from google.protobuf.message import DecodeError
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceResponse

from stepsize.collector.pipelines.outcome import Outcome, Verdict
from stepsize.otlp_answers import grpc_may_come_again, retry_info_s, short

if TYPE_CHECKING:
    from stepsize.collector.components.otlp_exporter import OtlpExporterConfig
    from stepsize.collector.pipelines.credentials import Credentials

_EXPORT = "/opentelemetry.proto.collector.metrics.v1.MetricsService/Export"


class GrpcSender:
    """One exporter's channel; ``signed`` gives the header that says who it is."""

    def __init__(self, config: OtlpExporterConfig, signed: Credentials | None = None) -> None:
        self._config = config
        self._signed = signed
        self._metadata = tuple((name.lower(), value.reveal()) for name, value in config.headers)
        compression = grpc.Compression.Gzip if config.compression == "gzip" else grpc.Compression.NoCompression
        options: list[tuple[str, Any]] = [
            ("grpc.primary_user_agent", "stepsize-collector"),
            ("grpc.enable_retries", 0),  # retries are the exporter's, which counts them
            # A server that comes back is to be found again by the next attempt, not after gRPC's own two minutes.
            ("grpc.max_reconnect_backoff_ms", 5000),
        ]
        tls = config.tls
        if config.authority:
            options.append(("grpc.default_authority", config.authority))
        if tls.server_name_override:
            options.append(("grpc.ssl_target_name_override", tls.server_name_override))
        if config.plaintext:
            self._channel = grpc.insecure_channel(config.target, options, compression)
        else:
            credentials = grpc.ssl_channel_credentials(tls.ca(), tls.key(), tls.certificate())
            self._channel = grpc.secure_channel(config.target, credentials, options, compression)
        self._export = self._channel.unary_unary(_EXPORT)

    def send(self, request: bytes) -> Outcome:
        """Send one request; blocks for the configured timeout at most."""
        try:
            answer = self._export(request, timeout=self._config.timeout_s, metadata=self._with_credentials())
        except grpc.RpcError as error:
            return self._outcome(error)
        try:
            partial = ExportMetricsServiceResponse.FromString(answer).partial_success
        except DecodeError:
            return Outcome(Verdict.TAKEN)
        return Outcome(Verdict.TAKEN, short(partial.error_message), rejected_points=partial.rejected_data_points)

    def close(self) -> None:
        """Let go of the channel."""
        self._channel.close()

    def _with_credentials(self) -> tuple[tuple[str, str], ...]:
        if self._signed is None:
            return self._metadata
        name, value = self._signed()
        return (*self._metadata, (name.lower(), value.reveal()))

    def _outcome(self, error: Any) -> Outcome:
        code, retry_after_s = error.code().name, retry_info_s(error.trailing_metadata())
        reason = f"{self._config.target} answered {code}: {short(str(error.details()))}"
        if grpc_may_come_again(code, is_told_when=retry_after_s is not None):
            return Outcome(Verdict.AGAIN, reason, retry_after_s)
        return Outcome(Verdict.NEVER, reason)
