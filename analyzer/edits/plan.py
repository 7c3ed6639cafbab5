"""The edits of a flow's file: for each step what to write where, or why not. Pure.

What comes in: what was read of the file, and the advice for its flows. What goes out: the new text, with every edit and
every remark. The new text is read again and planned again before it is handed out: a second time changes nothing.

Never writes an amount that the report keeps; never edits a step whose values the file does not show.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING

from stepsize.analyzer.edits import merging, splices
from stepsize.analyzer.edits.flows import lineages
from stepsize.analyzer.edits.literals import plain_number, told, written
from stepsize.analyzer.edits.obstacles import obstacle, unreadable
from stepsize.analyzer.edits.references import References
from stepsize.analyzer.edits.requests import differences, kept
from stepsize.analyzer.edits.source import read
from stepsize.analyzer.edits.wanted import largest, numbers, pair_of, platform
from stepsize.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from stepsize.analyzer.edits.flows import Lineage
    from stepsize.analyzer.edits.source import Source, Step
    from stepsize.analyzer.edits.splices import Splice
    from stepsize.analyzer.edits.wanted import Wanted


class Kind(Enum):
    """What a remark says."""

    REFUSED = "refused"
    """Advice that was not written."""
    NOTE = "note"
    """What to know of advice that was, or of a request that is kept."""
    UNMEASURED = "unmeasured"
    """A step without history."""
    MISSING = "missing"
    """History of a step that the file does not have."""


@dataclass(frozen=True, slots=True)
class Remark:
    """One sentence about a step, with the line it is about."""

    kind: Kind
    flow: str
    step: str
    line: int
    text: str


@dataclass(frozen=True, slots=True)
class Edit:
    """One argument that was written. ``line`` is of the text before; ``before`` is None where nothing was written."""

    flow: str
    step: str
    line: int
    decorator: str
    argument: str
    before: str | None
    after: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """``timeout``: write ``@timeout`` too. ``drop_gpus``: take the GPUs of steps that never used one. ``trusted``:
    decorators that leave resources alone. ``flow``, ``steps``: only what it runs, and only these; all without.
    """

    timeout: bool = False
    drop_gpus: bool = False
    trusted: frozenset[str] = frozenset()
    flow: str | None = None
    steps: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Edited:
    """The new text in UTF-8, and what was said of it."""

    data: bytes
    edits: tuple[Edit, ...]
    remarks: tuple[Remark, ...]


def edit(source: Source, advice: Mapping[str, Sequence[Wanted]], options: Options) -> Edited:
    """The file with ``advice`` (flow → that of its steps) written into it. Flows without history are not in ``advice``.

    Raises:
        UsageError: two flows of the file have one name.
        DataError: the new text does not say what it should, which is a defect.
    """
    edited = _Plan(source, advice, options).made()
    if edited.edits:
        again = _Plan(read(edited.data.decode()), advice, options).made()
        if again.edits:
            raise DataError(f"line {again.edits[0].line} would be edited twice; please report this file as a defect")
    return edited


class _Plan:
    """Gathers what is said of one step after another."""

    def __init__(self, source: Source, advice: Mapping[str, Sequence[Wanted]], options: Options) -> None:
        self._source = source
        self._advice = {flow: {one.step: one for one in steps} for flow, steps in advice.items()}
        self._options = options
        self._references = References(source)
        self._edits: list[Edit] = []
        self._remarks: list[Remark] = []
        self._splices: list[Splice] = []

    def made(self) -> Edited:
        """All of it."""
        flows = lineages(self._source)
        sites = {(step.flow, step.name): step for flow in flows for step in flow.steps.values()}
        for step in sorted(sites.values(), key=lambda one: one.at):
            if self._options.steps and step.name not in self._options.steps:
                continue
            users = [flow for flow in flows if flow.steps.get(step.name) is step]
            if self._options.flow and self._options.flow not in {flow.name for flow in users}:
                continue
            self._site(step, [flow for flow in users if flow.name in self._advice or not flow.derived])
        for flow in flows:
            if self._options.flow in (None, flow.name):
                self._missing(flow)
        data = splices.spliced(self._source.data, [*self._references.splices(), *self._splices])
        return Edited(data, tuple(self._edits), tuple(self._remarks))

    def _site(self, step: Step, users: Sequence[Lineage]) -> None:
        """One step as it is written, which flows may share."""
        if not any(flow.name in self._advice for flow in users):
            return
        known = {flow.name: self._advice.get(flow.name, {}).get(step.name) for flow in users}
        found = [one for one in known.values() if one is not None]
        names = " and ".join(known)
        if not found:
            self._say(Kind.UNMEASURED, names, step, step.line, "has not been measured yet")
            return
        advice = found[0] if len(found) == 1 else largest(found)
        if not advice.advised and not (self._options.timeout and advice.advised_timeout_s):
            self._compare(names, step, advice)
            return
        unmeasured = [name for name, one in known.items() if one is None]
        if unmeasured:
            reason = f"{names} share it, and nothing is known of it in {' and '.join(unmeasured)}"
            self._say(Kind.REFUSED, names, step, step.line, reason)
            return
        if found_obstacle := obstacle(step, users, self._options.trusted):
            self._say(Kind.REFUSED, names, step, *found_obstacle)
            return
        self._step(names, step, advice)

    def _step(self, flow: str, step: Step, advice: Wanted) -> None:
        target = platform(merging.compute_of(step), advice.target)
        amounts = numbers(advice, target)
        if isinstance(amounts, str):
            self._say(Kind.REFUSED, flow, step, step.line, amounts)
            amounts = {}
        self._compare(flow, step, advice, amounts)
        values: dict[str, dict[str, float]] = {}
        reasons = {
            resource: kept(step, advice, resource, number, target, drop_gpus=self._options.drop_gpus)
            for resource, number in amounts.items()
        }
        together = pair_of(target) if any(reasons.get(one) for one in pair_of(target)) else ()
        for resource, number in amounts.items():
            if reason := reasons[resource]:
                self._say(Kind.REFUSED, flow, step, step.line, reason)
            elif resource not in together and (number or merging.asked(step, resource)):
                for decorator, value in merging.settings(step, resource, number).items():
                    values.setdefault(decorator, {})[resource] = value
        if self._options.timeout and advice.advised_timeout_s is not None:
            values |= self._timeout(flow, step, advice.advised_timeout_s, advice.requested_timeout_s or 0)
        for name, pairs in values.items():
            self._write(flow, step, name, pairs)

    def _timeout(self, flow: str, step: Step, seconds: float, requested_s: float) -> dict[str, dict[str, float]]:
        timeout = step.decorator("timeout")
        if timeout is not None and (found := unreadable(timeout)) is not None:
            self._say(Kind.REFUSED, flow, step, *found)
            return {}
        asked_s = merging.asked_timeout_s(step)
        if asked_s == seconds:
            return {}
        if asked_s is not None and asked_s > max(seconds, requested_s):
            reason = (
                f"a timeout of {told(asked_s)} s is more than its newest run had: somebody set it since; run it first"
            )
            self._say(Kind.REFUSED, flow, step, step.line, reason)
            return {}
        return {"timeout": merging.timeout_parts(step, seconds)}

    def _compare(self, flow: str, step: Step, advice: Wanted, amounts: Mapping[str, float] | None = None) -> None:
        target = platform(merging.compute_of(step), advice.target)
        if all(unreadable(decorator) is None for decorator in step.decorators) and not step.unknown:
            for text in differences(step, advice, target, amounts or {}):
                self._say(Kind.NOTE, flow, step, step.line, text)

    def _write(self, flow: str, step: Step, name: str, pairs: Mapping[str, float]) -> None:
        decorator = step.decorator(name)
        if decorator is None:
            self._add(flow, step, name, pairs)
            return
        new = []
        for argument, number in pairs.items():
            old = decorator.argument(argument)
            if old is None:
                text = plain_number(number)
                new.append((argument, text))
                self._edits.append(Edit(flow, step.name, decorator.line, name, argument, None, text))
            elif old.number != number:
                text = written(number, old.text)
                self._splices.append(splices.value(old, text))
                self._edits.append(Edit(flow, step.name, old.line, name, argument, old.text, text))
        if new:
            self._splices += splices.arguments(self._source.data, decorator, new)

    def _add(self, flow: str, step: Step, name: str, pairs: Mapping[str, float]) -> None:
        line = self._source.line_of(step.at)
        called = self._references.name(step, name)
        if called is None:
            reason = f"nothing in the file is imported from metaflow beside which @{name} could be; import it"
            self._say(Kind.REFUSED, flow, step, line, reason)
            return
        listed = [(argument, plain_number(number)) for argument, number in pairs.items()]
        text = ", ".join(f"{argument}={value}" for argument, value in listed)
        self._splices.append(splices.line_above(self._source.data, step.at, f"@{called}({text})"))
        self._edits += [Edit(flow, step.name, line, name, argument, None, value) for argument, value in listed]

    def _missing(self, flow: Lineage) -> None:
        absent = [name for name in self._advice.get(flow.name, {}) if name not in flow.steps]
        elsewhere = f" (maybe of {', '.join(flow.imported)}, which is not read)" if flow.imported else ""
        for name in absent:
            text = f"was measured, but is no step of this file{elsewhere}"
            self._remarks.append(Remark(Kind.MISSING, flow.name, name, flow.line, text))

    def _say(self, kind: Kind, flow: str, step: Step, line: int, text: str) -> None:
        self._remarks.append(Remark(kind, flow, step.name, line, text))
