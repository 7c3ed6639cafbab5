"""``@autosize`` above a flow's class or above a step.

What comes in: what stands below the decorator. What goes out: the same, each of its steps with the step decorator
``autosize`` (`autosize.AutosizeDecorator`), which does the work. Decides nothing. Imports where ``stepsize`` cannot be
imported, and with a Metaflow that has no mutators, where it is for steps alone.
"""

from __future__ import annotations

import functools
from typing import Any

from metaflow.decorators import _base_step_decorator
from metaflow.exception import MetaflowException

from metaflow_extensions.stepsize.plugins.autosize import AutosizeDecorator

try:
    from metaflow.user_decorators.user_flow_decorator import FlowMutator
except ImportError:  # Metaflow before 2.16
    FlowMutator = None

_BOUNDS = ("memory", "cpu")
_SHAPE = '@autosize(pin=...) takes {"step": {"memory": MB, "cpu": cores}}'


class _Autosize(functools.partial):  # type: ignore[type-arg]  # of whatever Metaflow's decorators make
    """Metaflow's own decorator of steps, which may stand above a flow's class too.

    It is a partial as Metaflow's are: `MutableStep.add_decorator` takes it as one.
    """

    __slots__ = ()

    def __call__(self, *below: Any, **options: Any) -> Any:
        if not below:
            return lambda target: self(target, **options)
        (target,) = below
        return _above_flow(target, options) if _is_flow(target) else super().__call__(target, **options)


autosize = _Autosize(_base_step_decorator, AutosizeDecorator)


def _is_flow(target: Any) -> bool:
    return isinstance(target, type) or (FlowMutator is not None and isinstance(target, FlowMutator))


def _above_flow(target: Any, options: dict[str, Any]) -> Any:
    if FlowMutator is None:
        raise MetaflowException(
            "@autosize above a flow's class needs Metaflow 2.16 or newer: put it above steps, or use --with autosize."
        )
    return AutosizeFlow(**options)(target)


if FlowMutator is not None:

    class AutosizeFlow(FlowMutator):  # type: ignore[misc]  # Metaflow has no types
        """Puts ``autosize`` on each step that has none of its own.

        Parameters
        ----------
        pin : Dict[str, Dict[str, int]], optional, default None
            The least that steps get: ``{"train": {"memory": 16000, "cpu": 2}}``.
        policy, min_memory, max_memory, min_cpu, max_cpu
            As of the step decorator, for every step.
        """

        def init(self, pin: Any = None, **options: Any) -> None:
            """Take the options; Metaflow has resolved what a Config says in them."""
            self._said = {"pin": pin, **options}
            self._pins, self._options = _checked(pin or {}), options

        def pre_mutate(self, mutable_flow: Any) -> None:
            """In every process of the flow: the steps' processes are tracked by the decorator too.

            Of several above a class and those it inherits from, the outermost acts for all.
            """
            above = [said for _, name, _, said in mutable_flow.decorator_specs if name == self.decorator_name]
            if {"pin": None, **above[-1]} != self._said:
                return
            self._join(above)
            steps = dict(mutable_flow.steps)
            unknown = sorted(set(self._pins) - set(steps))
            if unknown:
                raise MetaflowException(f"@autosize(pin=...): the flow has no step {', '.join(unknown)}.")
            for name, step in steps.items():
                pinned = {f"min_{what}": least for what, least in self._pins.get(name, {}).items()}
                own = _options_of(step)
                if own is None:
                    step.add_decorator(autosize, deco_kwargs={**self._options, **pinned})
                elif not pinned.items() <= own.items():
                    twice = sorted(what for what, least in pinned.items() if own.get(what, least) != least)
                    if twice:
                        raise MetaflowException(f"@autosize: {', '.join(twice)} of step {name} is said twice.")
                    step.add_decorator(autosize, deco_kwargs={**own, **pinned}, duplicates=step.OVERRIDE)

        def _join(self, above: list[dict[str, Any]]) -> None:
            """Options and pins of all, from the innermost to the outermost: one by one the last word wins."""
            for said in above:
                self._options.update((name, value) for name, value in said.items() if name != "pin")
                for step, least in _checked(said.get("pin") or {}).items():
                    self._pins.setdefault(step, {}).update(least)


def _options_of(step: Any) -> dict[str, Any] | None:
    """What the step's own ``@autosize`` says; None where it has none."""
    for name, _, _, options in step.decorator_specs:
        if name == AutosizeDecorator.name:
            return {option: value for option, value in options.items() if value is not None}
    return None


def _checked(pins: Any) -> dict[str, dict[str, Any]]:
    try:
        checked = {str(step): dict(least) for step, least in pins.items()}
    except (AttributeError, TypeError, ValueError):
        checked = {"": {"": None}}
    from metaflow_extensions.stepsize.plugins.amounts import is_amount  # noqa: PLC0415 - hardly ever needed

    for step, least in checked.items():
        for what, amount in least.items():
            if what not in _BOUNDS:
                raise MetaflowException(f"{_SHAPE}.")
            if not is_amount(amount):  # that pinned nothing would be a surprise later
                raise MetaflowException(f"{_SHAPE}; the {what} of {step}, {amount!r}, is no amount above 0.")
    return checked
