"""What points have in common, decoded once: resources, scopes, metrics and attribute sets, each with a number.

What comes in: their raw bytes. What goes out: numbers, and the decoded values under them. Never does I/O, never
forgets: whoever holds a vocabulary starts a new one when it has grown too large.

A tag is taken from the resource under its own name (``stepsize.flow.name``), else from the point under it, else under
its short name (``flow``) from the resource or the point, so that any OpenTelemetry SDK can feed the lake.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Generic, NamedTuple, TypeVar

from opentelemetry.proto.common.v1 import common_pb2
from opentelemetry.proto.resource.v1 import resource_pb2

from stepsize.collector.decode.values import attributes, json_text
from stepsize.model import Attr

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Mapping

_ENTRY_BYTES = 600  # what Python takes for an entry besides its bytes
_TAGS = {
    "flow": Attr.FLOW,
    "run": Attr.RUN,
    "step": Attr.STEP,
    "task": Attr.TASK,
    "attempt": Attr.ATTEMPT,
}
OWNER_COLUMNS = ("flow", "step", "run", "task", "attempt", "host", "service", "resource")
TAG_NAMES = frozenset((*_TAGS, *_TAGS.values()))
"""Names under which a tag is looked for."""
_Value = TypeVar("_Value")


@dataclass(frozen=True, slots=True)
class Resource:
    """A decoded resource: its attributes, as JSON text too, and what else it says, which is kept beside the scope.

    ``extra`` is JSON text as well: the schema, how many attributes were dropped, references to entities.
    """

    attributes: Mapping[str, Any]
    text: str
    extra: str = "{}"


@dataclass(frozen=True, slots=True)
class Metric:
    """A metric apart from its points. ``temporality`` is None for gauges and summaries."""

    name: str
    unit: str
    kind: str
    description: str
    metadata: str | None
    temporality: str | None
    monotonic: bool | None


@dataclass(frozen=True, slots=True)
class Attributes:
    """The attributes of a point: their values, as JSON text too, and whether a tag may be among them."""

    values: Mapping[str, Any]
    text: str
    may_tag: bool


class Tags(NamedTuple):
    """Whose a point is; None where it does not say."""

    flow: str | None
    run: str | None
    step: str | None
    task: str | None
    attempt: int | None


class Described(NamedTuple):
    """Values of columns, and by what they are sorted: one text, since thousands of them are sorted for each commit."""

    key: str
    values: tuple[Any, ...]

    @classmethod
    def by(cls, *values: Any) -> Described:
        """Values that are sorted by themselves, column by column, NULL as the empty text."""
        return cls("\0".join("" if value is None else str(value) for value in values), values)


class _Numbered(Generic[_Value]):
    """Values by the number under which they came first."""

    def __init__(self) -> None:
        self.values: list[_Value] = []
        self._numbers: dict[Hashable, int] = {}

    def number(self, key: Hashable, make: Callable[[], _Value]) -> tuple[int, bool]:
        """The number of what ``key`` stands for, made where it is new; and whether it is."""
        number = self._numbers.get(key)
        if number is not None:
            return number, False
        self.values.append(make())
        self._numbers[key] = len(self.values) - 1
        return len(self.values) - 1, True


class Vocabulary:
    """Everything decoded so far, and about how much memory it takes."""

    def __init__(self) -> None:
        self._resources: _Numbered[Resource] = _Numbered()
        self._scopes: _Numbered[str] = _Numbered()
        self._metrics: _Numbered[Metric] = _Numbered()
        self._attributes: _Numbered[Attributes] = _Numbered()
        self._tags: dict[tuple[int, int], Tags] = {}
        self._owners: dict[tuple[int, int], Described] = {}
        self.resources = self._resources.values
        self.scopes = self._scopes.values
        self.metrics = self._metrics.values
        self.attributes = self._attributes.values
        self.size_bytes = 0

    def resource(self, content: bytes | None, schema_url: str) -> int:
        """Number of a ``Resource`` message and the schema of its ``ResourceMetrics``."""
        number, is_new = self._resources.number((content, schema_url), lambda: _resource(content or b"", schema_url))
        if is_new:
            self._weigh(content or b"", schema_url)
        return number

    def scope(self, content: bytes | None, schema_url: str, resource_extra: str) -> int:
        """Number of an ``InstrumentationScope`` message, its schema, and what its resource says besides attributes."""
        key = (content, schema_url, resource_extra)
        number, is_new = self._scopes.number(key, lambda: _scope(content or b"", schema_url, resource_extra))
        if is_new:
            self._weigh(content or b"", schema_url, resource_extra)
        return number

    def metric(self, metric: Metric) -> int:
        """Number of a metric."""
        number, is_new = self._metrics.number(metric, lambda: metric)
        if is_new:
            self._weigh(metric.name, metric.unit, metric.description, metric.metadata or "")
        return number

    def attribute_set(self, pairs: tuple[bytes, ...]) -> int:
        """Number of the attributes of a point, each a ``KeyValue`` message."""
        number, is_new = self._attributes.number(pairs, lambda: _attributes(pairs))
        if is_new:
            self._weigh(*pairs)
        return number

    def tags(self, resource: int, attribute_set: int) -> Tags:
        """Whose the points with this resource and these attributes are; -1 for attributes that cannot tell."""
        key = resource, attribute_set
        found = self._tags.get(key)
        if found is None:
            said = {} if attribute_set < 0 else self.attributes[attribute_set].values
            found = self._tags[key] = find_tags(self.resources[resource].attributes, said)
            self._weigh()
        return found

    def owner(self, resource: int, attribute_set: int) -> Described:
        """The columns :data:`OWNER_COLUMNS` of points with this resource and these attributes; -1 as in `tags`."""
        key = resource, attribute_set
        found = self._owners.get(key)
        if found is None:
            tags, said = self.tags(resource, attribute_set), self.resources[resource]
            names = (said.attributes.get("host.name"), said.attributes.get("service.name"))
            host, service = (None if name is None else str(name) for name in names)
            by = Described.by(tags.flow, tags.step, tags.run, tags.task, tags.attempt, host, service)
            # Hardly any two differ in their resource alone, whose text is the longest of all.
            found = self._owners[key] = by._replace(values=(*by.values, said.text))
            self._weigh()
        return found

    def _weigh(self, *contents: bytes | str) -> None:
        self.size_bytes += _ENTRY_BYTES + sum(map(len, contents))


def _resource(content: bytes, schema_url: str) -> Resource:
    message = resource_pb2.Resource.FromString(content)
    values = attributes(message.attributes)
    extra = {
        "resource_schema_url": schema_url,
        "resource_dropped_attributes_count": message.dropped_attributes_count,
        # Releases of opentelemetry-proto before entities know none.
        "resource_entity_refs": [_entity(reference) for reference in getattr(message, "entity_refs", ())],
    }
    return Resource(values, json_text(values), _said(extra))


def _entity(reference: Any) -> dict[str, Any]:
    """An ``EntityRef``: which attributes of the resource identify an entity, and which describe it."""
    values = {
        "type": reference.type,
        "schema_url": reference.schema_url,
        "id_keys": list(reference.id_keys),
        "description_keys": list(reference.description_keys),
    }
    return {name: value for name, value in values.items() if value}


def _scope(content: bytes, schema_url: str, resource_extra: str) -> str:
    message = common_pb2.InstrumentationScope.FromString(content)
    values = {
        "name": message.name,
        "version": message.version,
        "attributes": attributes(message.attributes),
        "dropped_attributes_count": message.dropped_attributes_count,
        "schema_url": schema_url,
        **json.loads(resource_extra),
    }
    return _said(values)


def _said(values: Mapping[str, Any]) -> str:
    """JSON text of what is neither empty nor zero."""
    return json_text({name: value for name, value in values.items() if value})


def _attributes(pairs: tuple[bytes, ...]) -> Attributes:
    values = attributes(map(common_pb2.KeyValue.FromString, pairs))
    return Attributes(values, json_text(values), not TAG_NAMES.isdisjoint(values))


def find_tags(resource: Mapping[str, Any], point: Mapping[str, Any]) -> Tags:
    """Whose points with these attributes are, of the resource and of their own."""
    found = {name: _tag(name, full, resource, point) for name, full in _TAGS.items()}
    attempt = _integer(found.pop("attempt"))
    return Tags(**{name: None if value is None else str(value) for name, value in found.items()}, attempt=attempt)


def _tag(name: str, full: str, resource: Mapping[str, Any], point: Mapping[str, Any]) -> Any:
    for mapping, key in ((resource, full), (point, full), (resource, name), (point, name)):
        value = mapping.get(key)
        if value is not None:
            return value
    return None


def _integer(value: Any) -> int | None:
    try:
        number = int(value)
    except (TypeError, ValueError, OverflowError):
        return None
    return number if -(2**31) <= number < 2**31 else None
