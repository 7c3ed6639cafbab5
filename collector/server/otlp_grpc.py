"""OTLP/gRPC: the metrics service.

What comes in: ``Export`` calls, their requests as raw bytes. What goes out: responses once the points are durable,
``INVALID_ARGUMENT`` for what will never be valid, ``UNAVAILABLE`` with ``RetryInfo`` for what may be sent again. The
other OTLP services are answered ``UNIMPLEMENTED``, in words.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import grpc

from stepsize.collector.otlp import answer
from stepsize.errors import DataError, RetryableError, UnavailableError

if TYPE_CHECKING:
    from stepsize.collector.server.intake import Intake

_EXPORT = "/opentelemetry.proto.collector.metrics.v1.MetricsService/Export"
_OTLP = "/opentelemetry.proto.collector."
_RETRY_AFTER_S = 1
_DETAILS = "grpc-status-details-bin"


class GrpcReceiver:
    """A gRPC server that hands metrics to an intake."""

    def __init__(self, intake: Intake, *, max_message_bytes: int, max_concurrent_streams: int | None = None) -> None:
        options: list[tuple[str, int]] = [
            ("grpc.max_receive_message_length", max_message_bytes),
            ("grpc.so_reuseport", 0),  # or two collectors would share a port without a word
        ]
        if max_concurrent_streams:
            options.append(("grpc.max_concurrent_streams", max_concurrent_streams))
        self._server = grpc.aio.server(options=options, compression=grpc.Compression.NoCompression)
        self._server.add_generic_rpc_handlers((_Services(intake),))

    async def start(self, address: str) -> int:
        """Listen on ``HOST:PORT``; returns the port.

        Raises:
            UnavailableError: the address cannot be listened on.
        """
        try:
            port: int = self._server.add_insecure_port(address)
        except RuntimeError:
            port = 0
        if not port:
            raise UnavailableError(f"cannot listen on {address}")
        await self._server.start()
        return port

    async def stop(self, grace_s: float) -> None:
        """Take no more calls and end those that run, at most after ``grace_s``."""
        await self._server.stop(grace_s)


class _Services(grpc.GenericRpcHandler):  # type: ignore[misc]  # grpc ships no types
    def __init__(self, intake: Intake) -> None:
        self._intake = intake

    def service(self, handler_call_details: Any) -> Any:
        """The handler of a method, or None where grpc may answer that there is none."""
        method: str = handler_call_details.method
        if method == _EXPORT:
            return grpc.unary_unary_rpc_method_handler(self._export)
        if method.startswith(_OTLP):
            return grpc.unary_unary_rpc_method_handler(_refuse_signal)
        return None

    async def _export(self, request: bytes, context: Any) -> bytes:
        try:
            accepted = await self._intake.accept(request)
        except DataError as error:
            await _abort(context, grpc.StatusCode.INVALID_ARGUMENT, answer.INVALID_ARGUMENT, str(error))
        except RetryableError as error:
            await _abort(context, grpc.StatusCode.UNAVAILABLE, answer.UNAVAILABLE, str(error), _RETRY_AFTER_S)
        content: bytes = answer.success(accepted.rejected_points, accepted.reason).SerializeToString()
        return content


async def _refuse_signal(_request: bytes, context: Any) -> bytes:
    message = "stepsize takes metrics only; send traces and logs to another endpoint"
    await _abort(context, grpc.StatusCode.UNIMPLEMENTED, answer.UNIMPLEMENTED, message)
    return b""


async def _abort(context: Any, code: Any, number: int, message: str, retry_after_s: int | None = None) -> None:
    details = answer.status(number, message, retry_after_s).SerializeToString()
    await context.abort(code, message, ((_DETAILS, details),))
