"""The processors that change a request: ``attributes``, ``resource``, ``filter``.

What comes in: configurations, once; parsed requests, often. What goes out: the request, changed in place. Never does
I/O, never fails over what a request holds.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from stepsize.collector.components.attributes_processor import AttributesConfig
from stepsize.collector.components.filter_processor import FilterConfig
from stepsize.collector.components.resource_processor import ResourceConfig
from stepsize.collector.pipelines.actions import compile_actions
from stepsize.collector.pipelines.conditions import Subject, kind_of, parse_condition
from stepsize.collector.pipelines.matching import attribute_matcher, metric_matcher, name_matcher

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from stepsize.collector.components.filter_processor import FilterMatchConfig

    Transform = Callable[[Any], None]


def transform(config: Any) -> Transform | None:
    """What a processor does to a request; None where it changes none."""
    if isinstance(config, AttributesConfig):
        return _attributes(config)
    if isinstance(config, ResourceConfig):
        return _resources(config)
    if isinstance(config, FilterConfig):
        metrics = config.metrics
        if metrics.resource or metrics.metric or metrics.datapoint:
            return _filter_by_conditions(metrics.resource, metrics.metric, metrics.datapoint)
        return _filter_by_names(metrics.include, metrics.exclude)
    return None


def _resources(config: ResourceConfig) -> Transform:
    act = compile_actions(config.attributes)

    def change(message: Any) -> None:
        for one in message.resource_metrics:
            act(one.resource.attributes)

    return change


def _attributes(config: AttributesConfig) -> Transform:
    act = compile_actions(config.actions)
    included, excluded = metric_matcher(config.include), metric_matcher(config.exclude)

    def change(message: Any) -> None:
        for resource in message.resource_metrics:
            attributes = resource.resource.attributes
            for metric in (metric for scope in resource.scope_metrics for metric in scope.metrics):
                if included is not None and not included(attributes, metric.name):
                    continue
                if excluded is not None and excluded(attributes, metric.name):
                    continue
                if kind := kind_of(metric):
                    for point in getattr(metric, kind).data_points:
                        act(point.attributes)

    return change


def _filter_by_names(include: FilterMatchConfig | None, exclude: FilterMatchConfig | None) -> Transform:
    """Names and resources are asked apart, as upstream does: an excluded resource goes whatever its metrics' names."""
    keeps_resource, keeps_name = [], []
    for config, wanted in ((include, True), (exclude, False)):
        if config is None:
            continue
        if config.resource_attributes:
            keeps_resource.append((_all_of(config), wanted))
        if config.metric_names:
            keeps_name.append((name_matcher(config.match_type, config.metric_names), wanted))

    def change(message: Any) -> None:
        _remove(message.resource_metrics, lambda one: any(m(one.resource.attributes) != w for m, w in keeps_resource))
        if keeps_name:
            for scope in (scope for resource in message.resource_metrics for scope in resource.scope_metrics):
                _remove(scope.metrics, lambda metric: any(m(metric.name) != w for m, w in keeps_name))
            _remove_empty(message)

    return change


def _all_of(config: FilterMatchConfig) -> Callable[[Any], bool]:
    matchers = [attribute_matcher(config.match_type, wanted) for wanted in config.resource_attributes]
    return lambda attributes: all(matcher(attributes) for matcher in matchers)


def _filter_by_conditions(resource: Sequence[str], metric: Sequence[str], point: Sequence[str]) -> Transform:
    resources = [parse_condition(text, "resource") for text in resource]
    metrics = [parse_condition(text, "metric") for text in metric]
    points = [parse_condition(text, "datapoint") for text in point]

    def drops_metric(subject: Subject) -> bool:
        if any(condition(subject) for condition in metrics):
            return True
        kind = kind_of(subject.metric)
        if not points or kind is None:
            return False
        data_points = getattr(subject.metric, kind).data_points
        _remove(data_points, lambda one: any(c(_at(subject, one)) for c in points))
        return not data_points

    def change(message: Any) -> None:
        _remove(message.resource_metrics, lambda one: any(c(Subject(one.resource)) for c in resources))
        if not metrics and not points:
            return
        for one in message.resource_metrics:
            for scope in one.scope_metrics:
                _drop_metrics(one.resource, scope, drops_metric)
        _remove_empty(message)

    return change


def _drop_metrics(resource: Any, scope: Any, drops: Callable[[Subject], bool]) -> None:
    _remove(scope.metrics, lambda metric: drops(Subject(resource, scope.scope, metric)))


def _at(subject: Subject, point: Any) -> Subject:
    return Subject(subject.resource, subject.scope, subject.metric, point)


def _remove(items: Any, goes: Callable[[Any], bool]) -> None:
    """Take what ``goes`` out of a repeated field; at once where that is all of it."""
    gone = [index for index, item in enumerate(items) if goes(item)]
    if gone and len(gone) == len(items):
        del items[:]
        return
    for index in reversed(gone):
        del items[index]


def _remove_empty(message: Any) -> None:
    for resource in message.resource_metrics:
        _remove(resource.scope_metrics, lambda scope: not scope.metrics)
    _remove(message.resource_metrics, lambda resource: not resource.scope_metrics)
