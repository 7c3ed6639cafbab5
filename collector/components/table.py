"""Every component there is: section → type → its configuration."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from stepsize.collector.components.attributes_processor import AttributesConfig
from stepsize.collector.components.basicauth_extension import BasicAuthConfig
from stepsize.collector.components.batch_processor import BatchConfig
from stepsize.collector.components.bearertokenauth_extension import BearerTokenAuthConfig
from stepsize.collector.components.debug_exporter import DebugExporterConfig
from stepsize.collector.components.file_exporter import FileExporterConfig
from stepsize.collector.components.filter_processor import FilterConfig
from stepsize.collector.components.health_check_extension import HealthCheckConfig
from stepsize.collector.components.memory_limiter_processor import MemoryLimiterConfig
from stepsize.collector.components.otlp_exporter import OtlpExporterConfig
from stepsize.collector.components.otlp_receiver import OtlpReceiverConfig
from stepsize.collector.components.otlphttp_exporter import OtlpHttpExporterConfig
from stepsize.collector.components.parquet_exporter import ParquetExporterConfig
from stepsize.collector.components.postgres_wire_extension import PostgresWireConfig
from stepsize.collector.components.prometheus_exporter import PrometheusExporterConfig
from stepsize.collector.components.resource_processor import ResourceConfig

if TYPE_CHECKING:
    from collections.abc import Mapping

COMPONENTS: Mapping[str, Mapping[str, type[Any]]] = {
    "receivers": {"otlp": OtlpReceiverConfig},
    "processors": {
        "memory_limiter": MemoryLimiterConfig,
        "batch": BatchConfig,
        "attributes": AttributesConfig,
        "filter": FilterConfig,
        "resource": ResourceConfig,
    },
    "exporters": {
        "parquet": ParquetExporterConfig,
        "debug": DebugExporterConfig,
        "file": FileExporterConfig,
        "otlp": OtlpExporterConfig,
        "otlphttp": OtlpHttpExporterConfig,
        "prometheus": PrometheusExporterConfig,
    },
    "extensions": {
        "health_check": HealthCheckConfig,
        "bearertokenauth": BearerTokenAuthConfig,
        "basicauth": BasicAuthConfig,
        "postgres_wire": PostgresWireConfig,
    },
}
"""What a configuration may name."""

ALIASES: Mapping[str, Mapping[str, str]] = {"exporters": {"otlp_grpc": "otlp", "otlp_http": "otlphttp"}}
"""Other names of types. Upstream calls these exporters so today, and knows them by their old names too."""
