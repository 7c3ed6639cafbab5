"""``processors: filter``: drops metrics, data points and whole resources.

Keys as upstream's filterprocessor, as far as metrics go: ``include`` and ``exclude`` by name and resource, or
conditions in a part of OTTL (see :mod:`stepsize.collector.pipelines.conditions`), not both.
"""

from __future__ import annotations

from dataclasses import dataclass

from stepsize.collector.components.actions import MATCH_TYPES, AttributeMatchConfig, check_patterns
from stepsize.collector.config.language import Section, Sections, choice, names, option
from stepsize.collector.pipelines.conditions import parse_condition


@dataclass(frozen=True, slots=True)
class FilterMatchConfig:
    """Metrics by name, resources by attributes."""

    match_type: str = option(choice(*MATCH_TYPES), says="`strict` or `regexp`")
    metric_names: tuple[str, ...] = option(names, default=(), says="names of metrics; one has to match")
    resource_attributes: tuple[AttributeMatchConfig, ...] = option(
        Sections(AttributeMatchConfig), default=(), says="attributes of the resource; all have to match"
    )

    def validate(self) -> None:
        """Refuse what cannot work."""
        if not self.metric_names and not self.resource_attributes:
            raise ValueError("metric_names or resource_attributes are needed")
        check_patterns(self.match_type, self.metric_names, self.resource_attributes)


@dataclass(frozen=True, slots=True)
class MetricFiltersConfig:
    """What of the metrics goes on."""

    include: FilterMatchConfig | None = option(Section(FilterMatchConfig), default=None, says="only these go on")
    exclude: FilterMatchConfig | None = option(
        Section(FilterMatchConfig),
        default=None,
        says="these do not: metrics of a name, and all of a resource that matches",
    )
    resource: tuple[str, ...] = option(names, default=(), says="conditions; a resource of which one is true is dropped")
    metric: tuple[str, ...] = option(names, default=(), says="conditions; a metric of which one is true is dropped")
    datapoint: tuple[str, ...] = option(
        names, default=(), says="conditions; a data point of which one is true is dropped"
    )

    def validate(self) -> None:
        """Refuse what cannot work."""
        conditions = {context: getattr(self, context) for context in ("resource", "metric", "datapoint")}
        if any(conditions.values()) and (self.include or self.exclude):
            raise ValueError("give conditions, or include and exclude, not both")
        for context, written in conditions.items():
            for condition in written:
                parse_condition(condition, context)


@dataclass(frozen=True, slots=True)
class FilterConfig:
    """The filters."""

    metrics: MetricFiltersConfig = option(Section(MetricFiltersConfig), says="what is dropped")
    error_mode: str = option(
        choice("propagate", "ignore", "silent"),
        default="propagate",
        says="without effect: no condition that is understood can fail",
    )
