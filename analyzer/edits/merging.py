"""What the decorators of a step ask for together, and which of them to set for that to be a given number. Pure.

Metaflow takes the larger of ``@resources`` and ``@batch`` or ``@kubernetes``, and counts defaults that nobody wrote:
``@kubernetes(memory=600)`` above ``@resources(cpu=2)`` asks for 4096 MB. Of GPUs ``@kubernetes`` takes those of
``@resources`` where it names any.

Source: Metaflow 2.19, ``aws_utils.compute_resource_attributes``, ``KubernetesDecorator.step_init``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from stepsize.analyzer.edits.source import ARGUMENTS, SIZES
from stepsize.analyzer.edits.wanted import SECONDS

if TYPE_CHECKING:
    from collections.abc import Mapping

    from stepsize.analyzer.edits.source import Decorator, Step

_DEFAULTS: Mapping[str, Mapping[str, float]] = {
    "resources": {"cpu": 1, "memory": 4096},
    "kubernetes": {"cpu": 1, "memory": 4096, "disk": 10_240},
    "batch": {},
}
KUBERNETES_LEAST = _DEFAULTS["kubernetes"]
"""What ``--with kubernetes`` asks for at least."""


def compute_of(step: Step) -> str | None:
    """The decorator that says where the step runs: ``batch``, ``kubernetes`` or none."""
    return next((name for name in ("kubernetes", "batch") if step.decorator(name)), None)


def is_written(step: Step, resource: str) -> bool:
    """Whether the source says an amount of ``resource``."""
    return any(_number(decorator, resource) is not None for decorator in _sizes(step, resource))


def asked(step: Step, resource: str) -> float | None:
    """What the source asks for, in its own unit, with Metaflow's defaults; None where that is nothing."""
    decorators = _sizes(step, resource)
    if resource == "gpu" and compute_of(step) == "kubernetes":
        decorators = decorators[:1] if _number(decorators[0], resource) is not None else decorators[1:]
    asked_of = [_contribution(decorator, resource) for decorator in decorators]
    return max((one for one in asked_of if one is not None), default=_DEFAULTS["resources"].get(resource))


def asked_timeout_s(step: Step) -> float | None:
    """What ``@timeout`` comes to; None without one."""
    timeout = step.decorator("timeout")
    if timeout is None:
        return None
    return sum((_number(timeout, part) or 0) * seconds for part, seconds in SECONDS.items())


def settings(step: Step, resource: str, number: float) -> dict[str, float]:
    """What each decorator is to say for the step to ask for ``number``, one that is to be added among them. Empty where
    the source says it already.
    """
    decorators = _sizes(step, resource)
    if not decorators:
        return {"resources": number}
    written = {one.name: value for one in decorators if (value := _number(one, resource)) is not None}
    if resource == "gpu":
        changed = {name: number for name, value in written.items() if value != number}
        return changed if written else {decorators[0].name: number}
    above = [one.name for one in decorators if (_contribution(one, resource) or 0) > number]
    if above or number in written.values():
        return dict.fromkeys(above, number)
    return {max(written, key=lambda name: written[name], default=decorators[0].name): number}


def timeout_parts(step: Step, seconds: float) -> dict[str, float]:
    """What the parts of ``@timeout`` are to say for it to come to ``seconds``: those that are written, and what else it
    takes.
    """
    timeout = step.decorator("timeout")
    written = [part for part in SECONDS if timeout is not None and timeout.argument(part) is not None]
    parts: dict[str, float] = {}
    left = int(seconds)
    for part in written:
        parts[part], left = divmod(left, SECONDS[part])
    if left or not parts:
        rest = next(part for part in SECONDS if left % SECONDS[part] == 0)
        parts[rest] = parts.get(rest, 0) + left // SECONDS[rest]
    return parts


def _sizes(step: Step, resource: str) -> list[Decorator]:
    """The decorators that take ``resource``, ``@resources`` first: what is new is written there."""
    found = (step.decorator(name) for name in SIZES if resource in ARGUMENTS[name])
    return [decorator for decorator in found if decorator is not None]


def _number(decorator: Decorator, resource: str) -> float | None:
    argument = decorator.argument(resource)
    return None if argument is None else argument.number


def _contribution(decorator: Decorator, resource: str) -> float | None:
    if decorator.argument(resource) is None:
        return _DEFAULTS[decorator.name].get(resource)
    return _number(decorator, resource)
