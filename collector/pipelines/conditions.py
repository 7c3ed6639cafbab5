"""Conditions of the ``filter`` processor: a part of OTTL, the OpenTelemetry Transformation Language.

What comes in: text, once; metrics, often. What goes out: a condition that is true or not. A condition can neither fail
nor take long. Upstream's pkg/ottl/LANGUAGE.md says what the words mean; what is not in this part of it is refused with
what is:

* ``==`` ``!=`` ``<`` ``<=`` ``>`` ``>=``, ``and``, ``or``, ``not``, parentheses; texts, numbers, ``true``, ``false``,
  ``nil``;
* paths ``resource.attributes["…"]``, ``scope.name``, ``scope.version``, and below them ``metric.name``,
  ``metric.unit``, ``metric.description``, ``metric.type`` (``METRIC_DATA_TYPE_GAUGE`` and the like), and below these
  ``datapoint.attributes["…"]``, ``datapoint.value_int``, ``datapoint.value_double``, ``datapoint.flags``,
  ``datapoint.time_unix_nano``; the first word may be left out where it is the context's own;
* ``IsMatch(path, "pattern")``, and of metrics ``HasAttrKeyOnDatapoint("key")``, ``HasAttrOnDatapoint("key", "value")``.
"""

from __future__ import annotations

import operator
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from stepsize.collector.components.patterns import pattern
from stepsize.collector.pipelines.values import as_text, find, plain

if TYPE_CHECKING:
    from collections.abc import Callable

CONTEXTS = ("resource", "metric", "datapoint")
_KINDS = ("gauge", "sum", "histogram", "exponential_histogram", "summary")
_CONSTANTS = {
    "true": True,
    "false": False,
    "nil": None,
    "METRIC_DATA_TYPE_NONE": 0,
    **{f"METRIC_DATA_TYPE_{kind.upper()}": index + 1 for index, kind in enumerate(_KINDS)},
}
"""What words stand for; the types are pmetric.MetricType."""
_WORDS = re.compile(
    r"""\s*(?:(?P<text>"(?:[^"\\]|\\.)*")|(?P<number>-?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?)"""
    r"""|(?P<word>[A-Za-z_][A-Za-z0-9_]*(?:\.[A-Za-z_][A-Za-z0-9_]*)*)|(?P<sign>==|!=|<=|>=|<|>|\(|\)|\[|\]|,))"""
)
_COMPARISONS: dict[str, Callable[[Any, Any], Any]] = {
    "==": operator.eq,
    "!=": operator.ne,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}
_MAX_DEPTH = 50
_ESCAPES = {"n": "\n", "t": "\t", "r": "\r"}


@dataclass(frozen=True, slots=True)
class Subject:
    """What a condition is asked of; the innermost that its context has."""

    resource: Any
    scope: Any = None
    metric: Any = None
    point: Any = None


def parse_condition(text: str, context: str) -> Callable[[Subject], bool]:
    """The condition that ``text`` means in a context: `resource`, `metric` or `datapoint`.

    Raises:
        ValueError: it is not understood; the message says what is.
    """
    parser = _Parser(text, context)
    condition = parser.either()
    parser.end()
    return condition


def kind_of(metric: Any) -> str | None:
    """Which of its kinds a metric has data of."""
    kind: str | None = metric.WhichOneof("data")
    return kind


class _Parser:
    """Recursive descent over the words of one condition."""

    def __init__(self, text: str, context: str) -> None:
        self._text = text
        self._context = context
        self._words = self._split(text)
        self._next = 0
        self._depth = 0

    def either(self) -> Callable[[Subject], bool]:
        """``a or b``."""
        self._depth += 1
        if self._depth > _MAX_DEPTH:
            raise self._refusal("it is nested too deeply")
        parts = [self._both()]
        while self._take("or"):
            parts.append(self._both())
        self._depth -= 1
        return parts[0] if len(parts) == 1 else lambda subject: any(part(subject) for part in parts)

    def end(self) -> None:
        """Nothing may follow."""
        if self._next < len(self._words):
            raise self._refusal(f"{self._words[self._next][1]!r} is not expected there")

    def _both(self) -> Callable[[Subject], bool]:
        parts = [self._negated()]
        while self._take("and"):
            parts.append(self._negated())
        return parts[0] if len(parts) == 1 else lambda subject: all(part(subject) for part in parts)

    def _negated(self) -> Callable[[Subject], bool]:
        negated = False
        while self._take("not"):
            negated = not negated
        inner = self._single()
        return (lambda subject: not inner(subject)) if negated else inner

    def _single(self) -> Callable[[Subject], bool]:
        if self._take("("):
            inner = self.either()
            self._need(")")
            return inner
        left, is_condition = self._value()
        sign = self._peek()
        if sign not in _COMPARISONS:
            if not is_condition:
                raise self._refusal(f"a comparison is expected before {sign!r}" if sign else "a comparison is expected")
            return lambda subject: left(subject) is True
        self._next += 1
        right, _ = self._value()
        return _compared(sign, left, right)

    def _value(self) -> tuple[Callable[[Subject], Any], bool]:
        """A value, and whether it can stand as a condition by itself."""
        if self._next == len(self._words):
            raise self._refusal("it ends too early")
        kind, word = self._words[self._next]
        self._next += 1
        if kind == "text":
            return _constant(self._unquoted(word)), False
        if kind == "number":
            return _constant(float(word) if re.search(r"[.eE]", word) else int(word)), False
        if kind == "word" and word in _CONSTANTS:
            return _constant(_CONSTANTS[word]), word in ("true", "false")
        if kind == "word" and self._take("("):
            return self._call(word), True
        if kind == "word":
            return self._path(word), False
        raise self._refusal(f"{word!r} is not expected there")

    def _call(self, name: str) -> Callable[[Subject], Any]:
        if name == "IsMatch":
            target, _ = self._value()
            self._need(",")
            compiled = pattern(self._literal())
            self._need(")")
            return lambda subject: (found := target(subject)) is not None and bool(compiled.search(_as_text(found)))
        if name in ("HasAttrKeyOnDatapoint", "HasAttrOnDatapoint") and self._context == "metric":
            key, wanted = self._literal(), None
            if name == "HasAttrOnDatapoint":
                self._need(",")
                wanted = self._literal()
            self._need(")")
            return lambda subject: _has_attribute(subject.metric, key, wanted)
        raise self._refusal(f"function {name} is not known in {self._context}")

    def _path(self, word: str) -> Callable[[Subject], Any]:
        first, _, rest = word.partition(".")
        if first not in ("resource", "scope", "instrumentation_scope", "metric", "datapoint"):
            first, rest = self._context, word
        if first in CONTEXTS and CONTEXTS.index(first) > CONTEXTS.index(self._context):
            raise self._refusal(f"{word} is not known in {self._context}")
        if rest == "attributes" and first in ("resource", "datapoint"):
            self._need("[")
            key = self._literal()
            self._need("]")
            of = _resource_attribute if first == "resource" else _point_attribute
            return lambda subject: of(subject, key)
        getter = _FIELDS.get(f"{'scope' if first == 'instrumentation_scope' else first}.{rest}")
        if getter is None or (first in ("scope", "instrumentation_scope") and self._context == "resource"):
            raise self._refusal(f"{word} is not known in {self._context}")
        return getter

    def _literal(self) -> str:
        if self._next < len(self._words) and self._words[self._next][0] == "text":
            self._next += 1
            return self._unquoted(self._words[self._next - 1][1])
        raise self._refusal('a text in "quotes" is expected')

    def _unquoted(self, word: str) -> str:
        return re.sub(r"\\(.)", lambda found: _ESCAPES.get(found[1], found[1]), word[1:-1])

    def _peek(self) -> str:
        return self._words[self._next][1] if self._next < len(self._words) else ""

    def _take(self, word: str) -> bool:
        found = self._peek() == word and self._words[self._next][0] in ("word", "sign")
        self._next += found
        return found

    def _need(self, word: str) -> None:
        if not self._take(word):
            raise self._refusal(f"{word!r} is expected" + (f" before {self._peek()!r}" if self._peek() else ""))

    def _split(self, text: str) -> list[tuple[str, str]]:
        words, position = [], 0
        stripped = text.rstrip()
        while position < len(stripped):
            match = _WORDS.match(stripped, position)
            if match is None:
                raise self._refusal(f"{stripped[position:].split()[0]!r} is not understood")
            assert match.lastgroup
            words.append((match.lastgroup, match[match.lastgroup]))
            position = match.end()
        return words

    def _refusal(self, why: str) -> ValueError:
        return ValueError(
            f"condition {self._text!r}: {why}; supported: comparisons of paths and constants, and, or, not, IsMatch, "
            'paths such as metric.name, attributes["x"], resource.attributes["x"] (docs/collector.md)'
        )


def _constant(value: Any) -> Callable[[Subject], Any]:
    return lambda _subject: value


def _compared(sign: str, left: Callable[[Subject], Any], right: Callable[[Subject], Any]) -> Callable[[Subject], bool]:
    """As OTTL compares: numbers with numbers, else like with like; what is unlike is not equal, and not ordered."""
    compare = _COMPARISONS[sign]

    def condition(subject: Subject) -> bool:
        one, other = left(subject), right(subject)
        if _order(one) != _order(other):
            return sign == "!="
        if sign not in ("==", "!=") and _order(one) is None:
            return sign in ("<=", ">=") and one is None
        return bool(compare(one, other))

    return condition


def _order(value: Any) -> str | None:
    """What a value can be compared with; None for what has no order."""
    if isinstance(value, bool):
        return "boolean"
    if isinstance(value, (int, float)):
        return "number"
    if isinstance(value, str):
        return "text"
    return None if value is None else type(value).__name__


def _as_text(value: Any) -> str:
    return value if isinstance(value, str) else as_text(value)


def _resource_attribute(subject: Subject, key: str) -> Any:
    found = find(subject.resource.attributes, key)
    return None if found is None else plain(found)


def _point_attribute(subject: Subject, key: str) -> Any:
    found = find(subject.point.attributes, key)
    return None if found is None else plain(found)


def _has_attribute(metric: Any, key: str, wanted: str | None) -> bool:
    kind = kind_of(metric)
    for point in getattr(metric, kind).data_points if kind else ():
        found = find(point.attributes, key)
        if found is not None and (wanted is None or plain(found) == wanted):
            return True
    return False


def _number(point: Any, which: str) -> Any:
    """The point's value of that type; upstream's getters give 0 for the other one."""
    if which not in point.DESCRIPTOR.fields_by_name:  # a histogram's point has none
        return None
    return getattr(point, which)


_FIELDS: dict[str, Callable[[Subject], Any]] = {
    "scope.name": lambda subject: subject.scope.name,
    "scope.version": lambda subject: subject.scope.version,
    "metric.name": lambda subject: subject.metric.name,
    "metric.unit": lambda subject: subject.metric.unit,
    "metric.description": lambda subject: subject.metric.description,
    "metric.type": lambda subject: _KINDS.index(kind) + 1 if (kind := kind_of(subject.metric)) else 0,
    "datapoint.value_int": lambda subject: _number(subject.point, "as_int"),
    "datapoint.value_double": lambda subject: _number(subject.point, "as_double"),
    "datapoint.flags": lambda subject: subject.point.flags,
    "datapoint.time_unix_nano": lambda subject: subject.point.time_unix_nano,
}
