"""Which requests go where: pipelines, the logs between them and their exporters, and what receivers feed.

What comes in: a configuration and the state directory. What goes out: frozen values. Pure.

Every exporter reads what its pipelines took from a write-ahead log (``docs/decisions/0021``). Exporters of the same
pipelines share one: `the main log`, in the state directory itself, is that of the parquet exporter's pipelines, and
every other set of pipelines has a directory of its own under ``logs/``.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from stepsize.collector.components.batch_processor import BatchConfig
from stepsize.collector.components.memory_limiter_processor import MemoryLimiterConfig
from stepsize.collector.components.parquet_exporter import ParquetExporterConfig
from stepsize.collector.state import LOGS

if TYPE_CHECKING:
    from pathlib import Path

    from stepsize.collector.components.sending import QueueBatchConfig
    from stepsize.collector.config.service import CollectorConfig


@dataclass(frozen=True, slots=True)
class LogPlan:
    """One log.

    Attributes:
        directory: where it lies.
        pipelines: whose requests it holds.
        exporters: who reads it besides the sink.
        is_main: whether the sink reads it.
        batch: the bounds of its pipelines' batch processor, for exporters that send; of the first that has one.
    """

    directory: Path
    pipelines: frozenset[str]
    exporters: tuple[str, ...]
    is_main: bool
    batch: QueueBatchConfig | None


@dataclass(frozen=True, slots=True)
class Route:
    """What becomes of a receiver's requests in one pipeline.

    Attributes:
        processors: configurations of its processors, in order.
        logs: directories of the logs that take what is left.
    """

    pipeline: str
    processors: tuple[Any, ...]
    logs: tuple[Path, ...]


def plan_logs(config: CollectorConfig, state: Path) -> tuple[LogPlan, ...]:
    """The logs of a configuration; the main one first, if there is one."""
    groups: dict[frozenset[str], list[str]] = {}
    for exporter in config.exporters:
        key = frozenset(name for name, pipeline in config.pipelines.items() if exporter in pipeline.exporters)
        groups.setdefault(key, []).append(exporter)
    plans = []
    for pipelines, exporters in groups.items():
        others = tuple(name for name in exporters if not isinstance(config.exporters[name], ParquetExporterConfig))
        is_main = len(others) < len(exporters)
        directory = state if is_main else state / LOGS / _name(pipelines)
        plans.append(LogPlan(directory, pipelines, others, is_main, _batch(config, pipelines)))
    return tuple(sorted(plans, key=lambda plan: (not plan.is_main, plan.directory)))


def routes(config: CollectorConfig, receiver: str, plans: tuple[LogPlan, ...]) -> tuple[Route, ...]:
    """Where the requests of a receiver go."""
    return tuple(
        Route(
            name,
            tuple(config.processors[processor] for processor in pipeline.processors),
            tuple(plan.directory for plan in plans if name in plan.pipelines),
        )
        for name, pipeline in config.pipelines.items()
        if receiver in pipeline.receivers
    )


def socket_receiver(config: CollectorConfig) -> str:
    """The receiver whose requests those over the collector's own socket are treated as.

    That is the first of the first pipeline that leads into the lake, or of a relay's first pipeline: each point is to
    go one way, even where several pipelines lead there.
    """
    pipelines = list(config.pipelines.values())
    for pipeline in pipelines:
        if any(isinstance(config.exporters[name], ParquetExporterConfig) for name in pipeline.exporters):
            return pipeline.receivers[0]
    return pipelines[0].receivers[0]


def memory_limiters(config: CollectorConfig) -> list[tuple[str, MemoryLimiterConfig]]:
    """The memory limiters and their names."""
    return [(name, one) for name, one in config.processors.items() if isinstance(one, MemoryLimiterConfig)]


def sink_batch(config: CollectorConfig) -> BatchConfig | None:
    """The batch processor of the lake's pipelines; the first where there are several."""
    for pipeline in config.pipelines.values():
        if any(isinstance(config.exporters[name], ParquetExporterConfig) for name in pipeline.exporters):
            for name in pipeline.processors:
                if isinstance(found := config.processors[name], BatchConfig):
                    return found
    return None


def _batch(config: CollectorConfig, pipelines: frozenset[str]) -> QueueBatchConfig | None:
    for name, pipeline in config.pipelines.items():
        for processor in pipeline.processors if name in pipelines else ():
            if isinstance(found := config.processors[processor], BatchConfig):
                return found.requests
    return None


def _name(pipelines: frozenset[str]) -> str:
    """A directory's name for a set of pipelines, the same each time."""
    return hashlib.sha256("\n".join(sorted(pipelines)).encode()).hexdigest()[:16]
