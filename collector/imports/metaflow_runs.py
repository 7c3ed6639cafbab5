"""Metaflow's own record of its runs, through its Client API.

What comes in: a flow's name, and how many of its newest runs. What goes out: an `Attempt` for each attempt that ended:
when it began and ended, how, and what its step asked for. Metaflow measures nothing: a peak or CPU time is there only
where resource-tracker left its artifact. Changes nothing in Metaflow's stores; looks into all namespaces.

Reading an artifact means unpickling it, as it does for everybody who uses the Client: only ``_graph_info``, which holds
the steps' decorators, and resource-tracker's are read.

Names are those that `stepsize` itself gives the same attempt, so that one that was tracked is not imported beside it.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from itertools import islice
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

from stepsize.collector.imports.attempts import Attempt
from stepsize.collector.imports.tracked import figures
from stepsize.errors import UnavailableError, UsageError
from stepsize.identity import Platform, Request
from stepsize.model import Outcome

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

    from stepsize.collector.imports.attempts import Figures
    from stepsize.collector.imports.labels import Labels
    from stepsize.collector.imports.reading import Reading

_TARGETS = {"kubernetes-pod-name": Platform.KUBERNETES, "aws-batch-job-id": Platform.BATCH}
"""What a task's platform leaves in its metadata (Metaflow's ``kubernetes_decorator.py``, ``batch_decorator.py``)."""
_TAGS = {"user": "user", "project": "project", "branch": "project_branch"}
_GRAPH = "_graph_info"
_CLOCKS_S = 10.0
_SILENT_S = 7 * 86400.0
"""Metaflow does not say that a run has failed: one of which nothing was recorded for so long is over."""


@dataclass(frozen=True, slots=True)
class _Span:
    """One attempt of a task as metadata tell it; ``ok`` is None where it left no last word."""

    number: int
    started_at_s: float
    ended_at_s: float | None = None
    ok: bool | None = None


def read(
    flow: str, runs: int, artifact: str, labels: Labels, reading: Reading, say: Callable[[str], None], now_s: float
) -> Iterator[Attempt]:
    """The attempts of the newest ``runs`` runs of ``flow``.

    Args:
        flow: its name in Metaflow.
        runs: how many runs.
        artifact: where resource-tracker's decorator leaves its data.
        labels: what the user says of all of them; the flow's name is that in the lake.
        reading: where tasks that cannot be told are counted.
        say: is given a line before each run, which may take long.
        now_s: the time, by which a run that did not reach its end is over or goes on.

    Raises:
        UsageError: Metaflow is not installed, or knows no such flow.
        UnavailableError: its metadata service does not answer.
    """
    client = _client()
    try:
        found = list(islice(client.Flow(flow), runs))
    except client.MetaflowNotFound:
        raise UsageError(f"Metaflow knows no flow {flow}; see METAFLOW_DEFAULT_METADATA and _SERVICE_URL") from None
    except Exception as error:  # noqa: BLE001 - of whatever metadata provider is configured
        raise UnavailableError(f"Metaflow's metadata cannot be read: {_line(error)}") from None
    source = _Source(client, artifact, labels, reading, now_s)
    for run in found:
        say(f"run {run.id}")
        yield from source.run(run)


def _client() -> SimpleNamespace:
    try:
        from metaflow import Flow, Task, namespace  # noqa: PLC0415 - optional, and heavy
        from metaflow.exception import MetaflowNotFound  # noqa: PLC0415 - as above
    except ImportError:
        raise UsageError("Metaflow is not installed here: pip install metaflow") from None
    namespace(None)
    return SimpleNamespace(Flow=Flow, Task=Task, MetaflowNotFound=MetaflowNotFound)


class _Source:
    """Reads run after run. What cannot be read of one run or task is counted, and keeps nobody from the others."""

    def __init__(self, client: Any, artifact: str, labels: Labels, reading: Reading, now_s: float) -> None:
        self._client = client
        self._artifact = artifact
        self._labels = labels
        self._reading = reading
        self._now_s = now_s

    def run(self, run: Any) -> Iterator[Attempt]:
        """The attempts of a run that ended."""
        try:
            tags = dict(tag.split(":", 1) for tag in run.system_tags if ":" in tag)
            is_over = bool(run.finished)
            tasks = [(step.id, task) for step in run if not step.id.startswith("_") for task in step]
        except Exception as error:  # noqa: BLE001 - of whatever metadata provider is configured
            self._reading.wrong(run.pathspec, 0, _line(error))
            return
        named = {field: tags.get(tag) for field, tag in _TAGS.items()}
        told = [(step, task, metadata) for step, task in tasks if (metadata := self._metadata(task)) is not None]
        last_s = max((metadata[-1].created_at / 1000 for _, _, metadata in told if metadata), default=self._now_s)
        is_over = is_over or self._now_s - last_s > _SILENT_S
        graph: Mapping[str, Any] = {}
        attempts: list[Attempt] = []
        for step, task, metadata in told:
            graph = graph or _graph(task)
            attempts += self._task(task, metadata, run.id, step, _request(graph, step), named, is_over=is_over)
        yield from self._measured(attempts)

    def _metadata(self, task: Any) -> list[Any] | None:
        """A task's metadata in the order of their times; None where they cannot be read."""
        self._reading.read += 1
        try:
            return sorted(task.metadata, key=lambda one: one.created_at)
        except Exception as error:  # noqa: BLE001 - as above
            self._reading.wrong(task.pathspec, 0, _line(error))
            return None

    def _task(
        self,
        task: Any,
        metadata: Iterable[Any],
        run: str,
        step: str,
        asked: Request,
        named: Mapping[str, str | None],
        *,
        is_over: bool,
    ) -> list[Attempt]:
        names = {one.name: one.value for one in metadata}
        spans = list(_spans(metadata))
        if "origin-task-id" in names:
            self._reading.pass_over("cloned by resume: ran in another run")
            return []
        if not spans:
            self._reading.pass_over("no attempt recorded")
        elif spans[-1].ok is None and not is_over:
            self._reading.pass_over("had not ended")
            spans.pop()
        said = {**named, "target": _target(names), **self._labels.known()}
        return [
            Attempt(
                flow=self._labels.flow,
                run=run,
                step=step,
                task=task.id,
                native=f"{task.pathspec}/{span.number}",
                attempt=span.number,
                item=_item(names),
                outcome=_outcome(span),
                started_at_s=span.started_at_s,
                ended_at_s=span.ended_at_s,
                requested_cpu=asked.cpu,
                requested_memory_bytes=asked.memory_bytes,
                requested_gpu=asked.gpu,
                requested_disk_bytes=asked.disk_bytes,
                requested_timeout_s=asked.timeout_s,
                **said,
            )
            for span in spans
        ]

    def _measured(self, attempts: list[Attempt]) -> Iterator[Attempt]:
        """The attempts of a run with what resource-tracker left of them.

        Metaflow hands a step's artifacts on to the steps after it: of attempts with the same snapshot it is the one's
        that began first, if the snapshot is of that time.
        """
        taken: set[float] = set()
        for attempt in sorted(attempts, key=lambda one: one.started_at_s or 0.0):
            seen = self._figures(attempt)
            began_s = None if seen is None else seen.started_at_s
            if seen is None or began_s is None or began_s in taken or not _is_of(attempt, began_s):
                yield attempt
            else:
                taken.add(began_s)
                # Metaflow's own times are those of the attempt.
                used = replace(seen, started_at_s=None, duration_s=None)
                yield replace(attempt, **used.known())

    def _figures(self, attempt: Attempt) -> Figures | None:
        """What an attempt's artifact holds; None where it has none, or one that only says why there is nothing."""
        pathspec, _, number = attempt.native.rpartition("/")
        try:
            content = self._client.Task(pathspec, attempt=int(number))[self._artifact].data
        except Exception:  # noqa: BLE001 - there is none: most tasks have none
            return None
        return figures(content.get("tracker")) if isinstance(content, dict) else None


def _is_of(attempt: Attempt, began_s: float) -> bool:
    """Whether a snapshot that begins at ``began_s`` can be of ``attempt``, by clocks that may differ a little."""
    started_s, ended_s = attempt.started_at_s or 0.0, attempt.ended_at_s or math.inf
    return started_s - _CLOCKS_S <= began_s <= ended_s + _CLOCKS_S


def _spans(metadata: Iterable[Any]) -> Iterator[_Span]:
    """The attempts that metadata, in the order of their times, tell of: one after another, as Metaflow runs them."""
    span: _Span | None = None
    for one in metadata:
        at_s = one.created_at / 1000  # milliseconds since 1970
        if one.name == "attempt" and str(one.value).isdecimal():
            if span is not None:
                yield span
            span = _Span(int(one.value), at_s)
        elif one.name == "attempt_ok" and span is not None:
            span = _Span(span.number, span.started_at_s, at_s, one.value == "True")
    if span is not None:
        yield span


def _outcome(span: _Span) -> Outcome:
    """An attempt without a last word ended without one: it was killed, ran out of memory, or its machine went away."""
    if span.ok is None:
        return Outcome.LOST
    return Outcome.OK if span.ok else Outcome.FAILED


def _item(names: Mapping[str, Any]) -> str | None:
    """The foreach items from the outermost to this one, or their indices where Metaflow does not keep items.

    None outside a foreach, and where only some of the items are told (``task.py``: at most so many characters).
    """
    path = [part.rpartition(":")[2] for part in str(names.get("foreach-execution-path") or "").split(",") if part]
    stack = names.get("foreach-stack")
    items = [str(frame).partition("=")[2] for frame in stack] if isinstance(stack, list) else []
    return "/".join(items or path) or None if len(items) in (0, len(path)) else None


def _target(names: Mapping[str, Any]) -> str | None:
    return next((target for name, target in _TARGETS.items() if name in names), None)


def _graph(task: Any) -> Mapping[str, Any]:
    """The run's graph, which every task that has persisted anything holds; empty where this one does not."""
    try:
        steps = task[_GRAPH].data["steps"]
    except Exception:  # noqa: BLE001 - the task failed before, or its datastore is gone: requests are not known
        return {}
    return steps if isinstance(steps, dict) else {}


def _request(graph: Mapping[str, Any], step: str) -> Request:
    """What the step's decorators ask for; nothing where they are not known."""
    try:
        from metaflow_extensions.stepsize.plugins.request import requested  # noqa: PLC0415 - Metaflow is optional

        decorators = [
            SimpleNamespace(name=one["name"], attributes=one["attributes"]) for one in graph[step]["decorators"]
        ]
    except (ImportError, KeyError, TypeError):
        return Request()
    return requested(decorators, {})


def _line(error: Exception) -> str:
    return " ".join(str(error).split())[:200] or type(error).__name__
