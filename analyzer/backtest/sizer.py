"""What a replay asks of a policy, and how a rule that knows one step only becomes one.

What comes in: tasks to size, and finished ones. What goes out: requests in bytes.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from stepsize.analyzer.sizing.memory.history import Finished, Task

StepKey = tuple[str, str]


class Request(Protocol):
    """What a policy asks for one task."""

    @property
    def request_bytes(self) -> float:
        """The first allocation."""
        ...


class Sizer(Protocol):
    """One policy at work on one file: it sees the tasks of all steps, each before it runs and after it ended.

    ``by_task``: whether its requests depend on the task (its input, what was asked for it) besides what is known of the
    step. Where not, one request can stand for a run.
    """

    @property
    def by_task(self) -> bool:
        """As above."""
        ...

    def size(self, step: StepKey, task: Task) -> Request:
        """The first request for ``task``."""
        ...

    def retry(self, step: StepKey, request: Any, task: Task, killed_bytes: tuple[float, ...]) -> float:
        """What to allocate after attempts with ``killed_bytes``, rising, were all too small."""
        ...

    def learn(self, step: StepKey, batch: Sequence[tuple[Any, Finished]]) -> None:
        """Tasks that ended and are known now, with what :meth:`size` had answered for each."""
        ...


class Rule(Protocol):
    """A published rule, at work on one step."""

    def size(self, task: Task) -> float:
        """The first request for ``task`` in bytes; what the user asked for while nothing is known."""
        ...

    def retry(self, task: Task, killed_bytes: tuple[float, ...]) -> float:
        """What to allocate after attempts with ``killed_bytes``, rising, were all too small."""
        ...

    def learn(self, finished: Finished) -> None:
        """A task that ended."""
        ...


@dataclass(frozen=True, slots=True)
class _Asked:
    """A rule's request."""

    request_bytes: float


class RuleSizer:
    """A rule for each step, none of which knows of the others."""

    def __init__(self, make: Callable[[], Rule], *, by_task: bool = False) -> None:
        self.by_task = by_task
        self._make = make
        self._rules: dict[StepKey, Rule] = {}

    def size(self, step: StepKey, task: Task) -> Request:
        """The first request for ``task``."""
        return _Asked(self._rule(step).size(task))

    def retry(self, step: StepKey, request: _Asked, task: Task, killed_bytes: tuple[float, ...]) -> float:  # noqa: ARG002 -- a rule knows what it asks for
        """What to allocate after attempts with ``killed_bytes`` were too small."""
        return self._rule(step).retry(task, killed_bytes)

    def learn(self, step: StepKey, batch: Sequence[tuple[_Asked, Finished]]) -> None:
        """Tasks that ended and are known now."""
        rule = self._rule(step)
        for _, finished in batch:
            rule.learn(finished)

    def _rule(self, step: StepKey) -> Rule:
        rule = self._rules.get(step)
        if rule is None:
            rule = self._rules[step] = self._make()
        return rule
