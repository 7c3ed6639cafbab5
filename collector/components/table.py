"""Every component there is: section → type → its configuration."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from stepsize.collector.components.batch_processor import BatchConfig
from stepsize.collector.components.debug_exporter import DebugExporterConfig
from stepsize.collector.components.health_check_extension import HealthCheckConfig
from stepsize.collector.components.memory_limiter_processor import MemoryLimiterConfig
from stepsize.collector.components.otlp_receiver import OtlpReceiverConfig
from stepsize.collector.components.parquet_exporter import ParquetExporterConfig

if TYPE_CHECKING:
    from collections.abc import Mapping

COMPONENTS: Mapping[str, Mapping[str, type[Any]]] = {
    "receivers": {"otlp": OtlpReceiverConfig},
    "processors": {"memory_limiter": MemoryLimiterConfig, "batch": BatchConfig},
    "exporters": {"parquet": ParquetExporterConfig, "debug": DebugExporterConfig},
    "extensions": {"health_check": HealthCheckConfig},
}
"""What a configuration may name."""
