"""OTLP/gRPC: the metrics service.

What comes in: ``Export`` calls, their requests as raw bytes. What goes out: responses once the points are durable,
``INVALID_ARGUMENT`` for what will never be valid, ``RESOURCE_EXHAUSTED`` for what is too large, ``UNAVAILABLE`` with
``RetryInfo`` for what may be sent again. The other OTLP services are answered ``UNIMPLEMENTED``, in words. Who may not
send, and who comes while there is no room, is told so before the message is read.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import grpc

from stepsize.collector.otlp import answer
from stepsize.collector.server.refusals import CREDENTIALS, SIGNAL
from stepsize.errors import StepsizeError, UnavailableError

if TYPE_CHECKING:
    from collections.abc import Callable

    from stepsize.collector.access.authenticator import Authenticator
    from stepsize.collector.access.tls import WatchedTls
    from stepsize.collector.components.otlp_receiver import GrpcConfig
    from stepsize.collector.server.reception import Reception
    from stepsize.errors import ConfigError

_EXPORT = "/opentelemetry.proto.collector.metrics.v1.MetricsService/Export"
_OTLP = "/opentelemetry.proto.collector."
_DETAILS = "grpc-status-details-bin"
_READING_BYTES = 64 << 10
"""What a call may fill before its message is there: HTTP/2's first window."""
_MAX_METADATA_BYTES = 16 << 10
_HANDSHAKE_MS = 10_000
_CODES = {code.value[0]: code for code in grpc.StatusCode}


class GrpcReceiver:
    """A gRPC server that hands metrics to a reception."""

    def __init__(self, reception: Reception, config: GrpcConfig, authenticator: Authenticator | None = None) -> None:
        self._server = grpc.aio.server(options=_options(config), compression=grpc.Compression.NoCompression)
        self._server.add_generic_rpc_handlers((_Services(reception, config.read_timeout_s, authenticator),))

    async def start(self, address: str, tls: WatchedTls | None, failed: Callable[[ConfigError], None]) -> int:
        """Listen on ``HOST:PORT``; returns the port. ``failed`` is told why newer certificates are not used.

        Raises:
            UnavailableError: the address cannot be listened on.
        """
        try:
            port: int = (
                self._server.add_insecure_port(address)
                if tls is None
                else self._server.add_secure_port(address, tls.grpc_credentials(failed))
            )
        except RuntimeError:
            port = 0
        if not port:
            raise UnavailableError(f"cannot listen on {address}")
        await self._server.start()
        return port

    async def stop(self, grace_s: float) -> None:
        """Take no more calls and end those that run, at most after ``grace_s``."""
        await self._server.stop(grace_s)


def _options(config: GrpcConfig) -> list[tuple[str, int]]:
    """The configuration as gRPC's channel arguments (grpc/impl/channel_arg_names.h); what is 0 is left to gRPC."""
    parameters, policy = config.keepalive.server_parameters, config.keepalive.enforcement_policy
    optional_ms = {
        "grpc.max_connection_idle_ms": parameters.max_connection_idle_s,
        "grpc.max_connection_age_ms": parameters.max_connection_age_s,
        "grpc.max_connection_age_grace_ms": parameters.max_connection_age_grace_s,
        "grpc.keepalive_time_ms": parameters.time_s,
        "grpc.keepalive_timeout_ms": parameters.timeout_s,
        "grpc.http2.min_recv_ping_interval_without_data_ms": policy.min_time_s,
    }
    return [
        ("grpc.max_receive_message_length", config.max_message_bytes),
        ("grpc.max_allowed_incoming_connections", config.max_connections),
        ("grpc.max_metadata_size", _MAX_METADATA_BYTES),
        ("grpc.server_handshake_timeout_ms", _HANDSHAKE_MS),
        ("grpc.keepalive_permit_without_calls", int(policy.permit_without_stream)),
        ("grpc.so_reuseport", 0),  # or two collectors would share a port without a word
        *([("grpc.max_concurrent_streams", config.max_concurrent_streams)] if config.max_concurrent_streams else []),
        *((name, max(1, round(1000 * value_s))) for name, value_s in optional_ms.items() if value_s),
    ]


class _Services(grpc.GenericRpcHandler):  # type: ignore[misc]  # grpc ships no types
    def __init__(self, reception: Reception, read_timeout_s: float, authenticator: Authenticator | None) -> None:
        self._reception = reception
        self._read_timeout_s = read_timeout_s
        self._authenticator = authenticator
        # To the wire a stream of one message is a single message; to us it can be refused before it is read.
        self._export_handler = grpc.stream_unary_rpc_method_handler(self._export)
        self._other_handler = grpc.stream_unary_rpc_method_handler(self._refuse_signal)

    def service(self, handler_call_details: Any) -> Any:
        """The handler of a method, or None where grpc may answer that there is none."""
        method: str = handler_call_details.method
        if method == _EXPORT:
            return self._export_handler
        return self._other_handler if method.startswith(_OTLP) else None

    async def _export(self, _requests: Any, context: Any) -> bytes:
        reception = self._reception
        try:
            if self._authenticator is not None:
                await self._authenticate(self._authenticator, context)
            reception.check()
            with reception.in_flight.held(_READING_BYTES):
                request = await self._read(context)
                with reception.in_flight.held(max(0, len(request) - _READING_BYTES)):
                    accepted = await reception.accept(request)
        except StepsizeError as error:
            turned = reception.turn_away(error)
            await _abort(context, turned.grpc, turned.message, turned.retry_after_s)
        content: bytes = answer.success(accepted.rejected_points, accepted.reason).SerializeToString()
        return content

    async def _authenticate(self, authenticator: Authenticator, context: Any) -> None:
        credentials = ""
        for key, value in context.invocation_metadata():
            if key == authenticator.header:
                credentials = value
        if not await authenticator.admits(credentials):
            self._reception.metrics.refused(CREDENTIALS)
            message = f"the credentials in {authenticator.header} are missing or not good"
            await _abort(context, answer.UNAUTHENTICATED, message)

    async def _read(self, context: Any) -> bytes:
        try:
            request = await asyncio.wait_for(context.read(), self._read_timeout_s)
        except asyncio.TimeoutError:
            self._reception.metrics.refused("read_timeout")
            await _abort(context, answer.DEADLINE_EXCEEDED, "the request did not arrive in time")
        if not isinstance(request, bytes):  # the client ended the call without a message
            await _abort(context, answer.INVALID_ARGUMENT, "the call has no message")
        content: bytes = request
        return content

    async def _refuse_signal(self, _requests: Any, context: Any) -> bytes:
        self._reception.metrics.refused(SIGNAL)
        message = "stepsize takes metrics only; send traces and logs to another endpoint"
        await _abort(context, answer.UNIMPLEMENTED, message)
        return b""


async def _abort(context: Any, code: int, message: str, retry_after_s: int | None = None) -> None:
    details = answer.status(code, message, retry_after_s).SerializeToString()
    await context.abort(_CODES[code], message, ((_DETAILS, details),))
