"""What tests of sending stand on: batches, a destination that answers as told, a sender that sends to it."""

from __future__ import annotations

import threading
import time
from collections import deque
from dataclasses import dataclass, field

from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest

from stepsize import model
from stepsize.instrumentation.agent import otlp_json, otlp_protobuf
from stepsize.instrumentation.agent.delivery import Answer, Delivery, Encoding, Request
from stepsize.instrumentation.agent.disk import Disk
from stepsize.instrumentation.agent.points import Batch, ResourcePoints
from stepsize.instrumentation.agent.probes.observation import Observation
from stepsize.instrumentation.agent.sender import Bounds, Sender
from stepsize.instrumentation.agent.spool import Spool

TAKEN = Answer(Delivery.TAKEN)
PATIENT = Bounds(spill_after_s=3600)


@dataclass
class Shelf:
    """A destination that answers as told, and takes points only while it is open."""

    open: threading.Event = field(default_factory=threading.Event)
    answers: deque[Answer] = field(default_factory=deque)
    tried: list[Request] = field(default_factory=list)
    taken: list[tuple[str, int]] = field(default_factory=list)
    asked: list[float] = field(default_factory=list)

    def send(self, request: Request) -> Answer:
        self.tried.append(request)
        self.asked.append(time.monotonic())
        answer = self.answers.popleft() if self.answers else TAKEN
        if not self.open.is_set():
            return Answer(Delivery.LATER, "closed")
        if answer.delivery is Delivery.TAKEN:
            parsed = ExportMetricsServiceRequest.FromString(request.body)
            for resource in parsed.resource_metrics:
                for metric in resource.scope_metrics[0].metrics:
                    data = getattr(metric, metric.WhichOneof("data"))
                    self.taken += [(metric.name, point.time_unix_nano) for point in data.data_points]
        return answer

    def close(self) -> None:
        pass

    @property
    def times(self) -> list[int]:
        return [time for _, time in self.taken]


def seal(resources: list[ResourcePoints]) -> Request:
    return Request(otlp_protobuf.encode(resources, point_attributes=False), sum(each.size() for each in resources))


def seal_json(resources: list[ResourcePoints]) -> Request:
    body = otlp_json.encode(resources, point_attributes=False)
    return Request(body, sum(each.size() for each in resources), Encoding.JSON)


def batch(*times: int, end: bool = False) -> Batch:
    resource = ResourcePoints({"stepsize.flow.name": "f"}, start_unix_nano=1)
    for moment in times:
        resource.add(moment, [Observation(model.TASK_MEMORY_USAGE, moment)])
    if end:
        resource.add(times[-1], [Observation(model.TASK_END, 1)])
    return Batch([resource], resource.size())


def start_sender(shelf: Shelf, disk: Disk | Spool | None = None, bounds: Bounds = PATIENT) -> Sender:
    disk = Disk(disk) if isinstance(disk, Spool) else disk
    sender = Sender(lambda: shelf, seal, progress=lambda: None, disk=disk, bounds=bounds)
    sender.start()
    return sender
