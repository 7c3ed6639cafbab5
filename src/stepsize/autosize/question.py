"""What a launcher asks of the lake, and what it is answered: frozen values and their JSON.

What comes in: values, or text. What goes out: text, or values. Never reads or decides anything. Memory is in bytes.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass

BALANCED, SAFE = "balanced", "safe"


@dataclass(frozen=True, slots=True, kw_only=True)
class Bounds:
    """What the user will have a step's request within. A least amount wins over a most."""

    min_cpu: float | None = None
    max_cpu: float | None = None
    min_memory_bytes: int | None = None
    max_memory_bytes: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class StepQuestion:
    """A step as the flow has it.

    Attributes:
        policy: the name of the policy that is to size it.
        cpu, memory_bytes: what it asks for; None where that is not a number.
        gpu: devices it asks for.
        target: the platform that is to run it (`stepsize.identity.Platform`); None on the launcher's own machine.
        bounds: what the user will have its request within.
    """

    step: str
    policy: str
    cpu: float | None
    memory_bytes: int | None
    gpu: float = 0.0
    target: str | None = None
    bounds: Bounds = Bounds()


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """The steps of one flow, and which of its histories is theirs."""

    flow: str
    project: str | None = None
    production: bool = False
    steps: tuple[StepQuestion, ...] = ()

    def dumps(self) -> str:
        """As JSON."""
        return json.dumps(asdict(self))

    @classmethod
    def loads(cls, text: str) -> Question:
        """What `dumps` gave."""
        content = json.loads(text)
        steps = tuple(StepQuestion(**{**each, "bounds": Bounds(**each["bounds"])}) for each in content.pop("steps"))
        return cls(**content, steps=steps)


@dataclass(frozen=True, slots=True, kw_only=True)
class StepAnswer:
    """What a step is to ask for.

    Attributes:
        cpu, memory_bytes: None where neither the flow nor its history says a number.
        target: the platform whose sizes these are; that of the question, or what its history has in its place.
        tasks, runs: what the answer stands on; none where there is no history, and the flow's own request is kept.
        why: a sentence where the request stays although there is history, or there is no such policy; else empty.
    """

    step: str
    cpu: float | None
    memory_bytes: int | None
    target: str | None
    tasks: int = 0
    runs: int = 0
    why: str = ""


def dump_answers(answers: tuple[StepAnswer, ...]) -> str:
    """As JSON."""
    return json.dumps([asdict(answer) for answer in answers])


def load_answers(text: str) -> dict[str, StepAnswer]:
    """What `dump_answers` gave, by the names of the steps.

    Raises:
        ValueError, TypeError: it is something else.
    """
    return {each["step"]: StepAnswer(**each) for each in json.loads(text)}
