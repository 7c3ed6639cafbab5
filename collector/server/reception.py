"""A receiver's side of taking a request: bounds, checks, counts; then the intake.

What comes in: requests as bytes or parsed from JSON. What goes out: what was accepted, or an error that says whether to
send again. Never reads a socket: HTTP and gRPC both end here.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from stepsize.collector.otlp.request import check_request
from stepsize.collector.server.refusals import POINTS, TooLargeError, refusal_of

if TYPE_CHECKING:
    from stepsize.collector.limits import RequestLimits
    from stepsize.collector.otlp.guard import Guard
    from stepsize.collector.otlp.request import CheckedRequest
    from stepsize.collector.server.in_flight import InFlight
    from stepsize.collector.server.intake import Intake
    from stepsize.collector.server.refusals import Refusal
    from stepsize.collector.telemetry.reception import ReceptionMetrics
    from stepsize.errors import StepsizeError


@dataclass(frozen=True, slots=True)
class Accepted:
    """How many points of a request were not kept, and why."""

    rejected_points: int = 0
    reason: str = ""


class Reception:
    """One protocol of one receiver.

    Args:
        intake: takes what is checked.
        limits: bounds of a request.
        guard: what its senders have brought; shared by a receiver's protocols.
        in_flight: shared by all receivers of a collector.
        metrics: its counters.
    """

    def __init__(
        self, intake: Intake, limits: RequestLimits, guard: Guard, in_flight: InFlight, metrics: ReceptionMetrics
    ) -> None:
        self._intake = intake
        self._limits = limits
        self._guard = guard
        self.in_flight = in_flight
        self.metrics = metrics

    def check(self) -> None:
        """Return where a request would be taken now, before it is read.

        Raises:
            BusyError: it would not.
        """
        self._intake.check()

    async def accept(self, content: bytes) -> Accepted:
        """Take a request as it was sent, :meth:`check` having let it pass.

        Raises:
            DataError: it is not valid, or too large; sending it again is of no use.
            UnavailableError: it was not taken; it may be sent again.
        """
        return await self._take(check_request(content))

    def turn_away(self, error: StepsizeError) -> Refusal:
        """Count a request that ended in ``error``; how to tell its client."""
        refusal = refusal_of(error)
        if refusal.http >= 500 and refusal.retry_after_s is None:
            self.metrics.failed()
        else:
            self.metrics.refused(refusal.bound)
        return refusal

    async def _take(self, checked: CheckedRequest) -> Accepted:
        limits, metrics = self._limits, self.metrics
        if limits.points and checked.points > limits.points:
            raise TooLargeError(
                f"the request has {checked.points} points; send at most {limits.points} at once", POINTS
            )
        rejected = self._guard.reject(checked.message, len(checked.content), checked.points)
        if rejected:
            checked = self._without(checked, rejected)
        await self._intake.take(checked)
        metrics.accepted(checked.points)
        for bound, points in rejected.items():
            metrics.rejected(points, bound)
        if nameless := checked.rejected_points - sum(rejected.values()):
            metrics.rejected(nameless, "invalid")
        return Accepted(checked.rejected_points, checked.reason)

    def _without(self, checked: CheckedRequest, rejected: dict[str, int]) -> CheckedRequest:
        points = sum(rejected.values())
        reasons = [reason for reason in (checked.reason, self._guard.explain(rejected)) if reason]
        left = checked.points - points
        return replace(
            checked,
            content=checked.message.SerializeToString() if left else b"",
            points=left,
            rejected_points=checked.rejected_points + points,
            reason="; ".join(reasons),
        )
