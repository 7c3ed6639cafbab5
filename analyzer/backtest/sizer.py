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
    """One policy at work on one file: it sees the tasks of all steps, each before it runs and after it ended."""

    def size(self, step: StepKey, task: Task) -> Request:
        """The first request for ``task``."""
        ...

    def retry(self, step: StepKey, request: Any, failed_bytes: float, failures: int) -> float:
        """What to allocate after ``failures`` attempts, the last of them with ``failed_bytes``."""
        ...

    def learn(self, step: StepKey, batch: Sequence[tuple[Any, Finished]]) -> None:
        """Tasks that ended and are known now, with what :meth:`size` had answered for each."""
        ...


class Rule(Protocol):
    """A published rule, at work on one step."""

    def size(self, task: Task) -> float:
        """The first request for ``task`` in bytes; what the user asked for while nothing is known."""
        ...

    def retry(self, task: Task, failed_bytes: float, failures: int) -> float:
        """What to allocate after ``failures`` attempts, the last of them with ``failed_bytes``."""
        ...

    def learn(self, finished: Finished) -> None:
        """A task that ended."""
        ...


@dataclass(frozen=True, slots=True)
class _Asked:
    """A rule's request, and the task it was for."""

    request_bytes: float
    task: Task


class RuleSizer:
    """A rule for each step, none of which knows of the others."""

    def __init__(self, make: Callable[[], Rule]) -> None:
        self._make = make
        self._rules: dict[StepKey, Rule] = {}

    def size(self, step: StepKey, task: Task) -> Request:
        """The first request for ``task``."""
        return _Asked(self._rule(step).size(task), task)

    def retry(self, step: StepKey, request: _Asked, failed_bytes: float, failures: int) -> float:
        """What to allocate after ``failures`` attempts, the last of them with ``failed_bytes``."""
        return self._rule(step).retry(request.task, failed_bytes, failures)

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
