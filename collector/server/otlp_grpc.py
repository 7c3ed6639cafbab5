"""OTLP/gRPC: the metrics service.

What comes in: ``Export`` calls, their requests as raw bytes. What goes out: responses once the points are durable,
``INVALID_ARGUMENT`` for what will never be valid, ``RESOURCE_EXHAUSTED`` for what is too large, ``UNAVAILABLE`` with
``RetryInfo`` for what may be sent again. The other OTLP services are answered ``UNIMPLEMENTED``, in words. Who may not
send, and who comes while there is no room, is told so before the message is read.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from stepsize.collector.http2.owner import Limits
from stepsize.collector.otlp import answer
from stepsize.collector.server.content import unpacked
from stepsize.collector.server.grpc_calls import GrpcLimits
from stepsize.collector.server.grpc_messages import ENCODINGS
from stepsize.collector.server.refusals import CREDENTIALS, INVALID, SIGNAL, Refusal
from stepsize.errors import StepsizeError

if TYPE_CHECKING:
    from stepsize.collector.access.authenticator import Authenticator
    from stepsize.collector.components.otlp_receiver import GrpcConfig
    from stepsize.collector.http2.headers import Head
    from stepsize.collector.server.grpc_calls import Call
    from stepsize.collector.server.reception import Reception

_EXPORT = "/opentelemetry.proto.collector.metrics.v1.MetricsService/Export"
_OTLP = "/opentelemetry.proto.collector."
_STREAMS = 1024
_PING_GAP_S, _PING_AFTER_S, _PING_TIMEOUT_S = 300.0, 7200.0, 20.0
"""What the keepalive settings that are 0 mean: what gRPC's own servers do."""


class OtlpGrpc:
    """Answers the calls of one receiver.

    Args:
        reception: takes the requests.
        max_message_bytes: largest request, unpacked.
        authenticator: who may send; None admits everybody.
    """

    def __init__(self, reception: Reception, max_message_bytes: int, authenticator: Authenticator | None) -> None:
        self._reception = reception
        self._max_message_bytes = max_message_bytes
        self._authenticator = authenticator

    def opened(self, call: Call, head: Head) -> Refusal | None:
        """As :class:`~stepsize.collector.server.grpc_calls.Service`."""
        path = head.path
        if path != _EXPORT:
            signal = path.startswith(_OTLP)
            message = (
                "stepsize takes metrics only; send traces and logs to another endpoint"
                if signal
                else "there is no such method; metrics are taken by opentelemetry.proto.collector.metrics.v1"
            )
            self.refused(SIGNAL if signal else INVALID)
            return Refusal(SIGNAL if signal else INVALID, 404, answer.UNIMPLEMENTED, message)
        self._reception.check()
        if self._authenticator is not None:
            credentials = head.get(self._authenticator.header)
            call.admission = asyncio.ensure_future(self._admit(self._authenticator, credentials))
        return None

    async def _admit(self, authenticator: Authenticator, credentials: str) -> Refusal | None:
        try:
            if await authenticator.admits(credentials):
                return None
        except StepsizeError as error:  # too many are being checked, or nobody knows who may
            self.refused(CREDENTIALS)
            return Refusal(CREDENTIALS, 503, answer.UNAVAILABLE, str(error), retry_after_s=1)
        self.refused(CREDENTIALS)
        message = f"the credentials in {authenticator.header} are missing or not good"
        return Refusal(CREDENTIALS, 401, answer.UNAUTHENTICATED, message)

    async def answer(self, message: bytes, encoding: str) -> bytes:
        """As :class:`~stepsize.collector.server.grpc_calls.Service`."""
        if not encoding:
            return await self._accept(message)
        content = await unpacked(message, encoding, self._max_message_bytes, ENCODINGS)
        with self._reception.in_flight.held(len(content)):
            return await self._accept(content)

    async def _accept(self, content: bytes) -> bytes:
        accepted = await self._reception.accept(content)
        made: bytes = answer.success(accepted.rejected_points, accepted.reason).SerializeToString()
        return made

    def turn_away(self, error: StepsizeError) -> Refusal:
        """As :class:`~stepsize.collector.server.grpc_calls.Service`."""
        return self._reception.turn_away(error)

    def refused(self, bound: str) -> None:
        """As :class:`~stepsize.collector.server.grpc_calls.Service`."""
        self._reception.metrics.refused(bound)


def grpc_limits(config: GrpcConfig) -> GrpcLimits:
    """The bounds that a configuration means."""
    parameters, policy = config.keepalive.server_parameters, config.keepalive.enforcement_policy
    return GrpcLimits(
        message_bytes=config.max_message_bytes,
        read_timeout_s=config.read_timeout_s,
        connections=config.max_connections,
        first_call_s=config.first_call_timeout_s,
        idle_s=parameters.max_connection_idle_s,
        age_s=parameters.max_connection_age_s,
        age_grace_s=parameters.max_connection_age_grace_s,
        ping_after_s=parameters.time_s or _PING_AFTER_S,
        ping_timeout_s=parameters.timeout_s or _PING_TIMEOUT_S,
        http2=Limits(
            streams=config.max_concurrent_streams or _STREAMS,
            ping_gap_s=policy.min_time_s or _PING_GAP_S,
            pings_without_calls=policy.permit_without_stream,
        ),
    )
