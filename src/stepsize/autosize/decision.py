"""From a policy's advice to what a step asks for: within the user's bounds, in sizes that its platform takes. Pure.

What comes in: a step's question and its evidence, or an answer and how often a task of the step ran out of memory. What
goes out: an answer, or bytes. Never lowers a request below the user's least amounts.
"""

from __future__ import annotations

import math
from dataclasses import replace
from typing import TYPE_CHECKING, TypeVar

from stepsize.analyzer.sizing.targets import TARGETS, Need, Pairs, round_to
from stepsize.autosize.question import StepAnswer
from stepsize.identity import BYTES_PER_MB, Platform

if TYPE_CHECKING:
    from stepsize.analyzer.sizing.policy import Recommendation
    from stepsize.analyzer.sizing.targets import Target
    from stepsize.analyzer.usage import StepEvidence
    from stepsize.autosize.question import Bounds, StepQuestion

_TIMES = 2
"""What a task that ran out of memory is given of what it had."""


def unsized(question: StepQuestion) -> StepAnswer:
    """The flow's own request, raised to the user's least amounts: of a step without history."""
    return _placed(question, question.target, question.cpu, question.memory_bytes)


def decide(question: StepQuestion, evidence: StepEvidence, advised: Recommendation) -> StepAnswer:
    """What the step asks for.

    Args:
        question: the step as the flow has it.
        evidence: its history.
        advised: what the policy says of that history and of what the flow asks for now.
    """
    cpu, memory_mb = advised.cpu.value, advised.memory_mb.value
    found = _placed(
        question,
        _platform(question, evidence),
        question.cpu if cpu is None else float(cpu),
        question.memory_bytes if memory_mb is None else memory_mb * BYTES_PER_MB,
    )
    stays = (found.cpu, found.memory_bytes) == (question.cpu, question.memory_bytes)
    return replace(
        found,
        tasks=len({attempt.task_key for attempt in evidence.ended}),
        runs=len({attempt.run_key for attempt in evidence.ended}),
        why=found.why or (next(iter(advised.held), "") if stays else ""),
    )


def raised(answer: StepAnswer, own_bytes: int | None, bounds: Bounds, times_killed: int) -> int | None:
    """Bytes for a task that ran out of memory ``times_killed`` times: twice as much each time, within the user's most.

    Where history had lowered the request, the flow's own (``own_bytes``) is the least that the next attempt gets,
    whatever the user's most. Of sizes that the platform takes with the step's cores; None where it has none larger, or
    the step's memory is unknown.
    """
    had = answer.memory_bytes
    if had is None or times_killed < 1:
        return None
    most = _ceiling(own_bytes, bounds.max_memory_bytes)
    wanted = max(had * _TIMES, own_bytes or 0) * _TIMES ** (times_killed - 1)
    if most is not None:
        wanted = min(wanted, most)
    target = TARGETS.get(answer.target or "")
    if target is not None and wanted > had:
        wanted = _with_cores(target, answer.cpu, wanted, most)
    return wanted if wanted > had else None


def _platform(question: StepQuestion, evidence: StepEvidence) -> str | None:
    """Metaflow's ``@batch`` runs on EC2 or on Fargate: which, only its queue knows, and what has run there."""
    newest = max(evidence.attempts, key=lambda attempt: attempt.started_at_s or -math.inf, default=None)
    if question.target == Platform.BATCH and newest is not None and newest.target == Platform.FARGATE:
        return Platform.FARGATE
    return question.target


def _placed(question: StepQuestion, platform: str | None, cpu: float | None, memory_bytes: int | None) -> StepAnswer:
    """These amounts within the bounds, as the platform takes them. What the flow asks for itself is never lowered."""
    bounds = question.bounds
    most = _ceiling(question.memory_bytes, bounds.max_memory_bytes)
    cpu = _at_most(cpu, _ceiling(question.cpu, bounds.max_cpu))
    memory_bytes = _at_most(memory_bytes, most)
    cpu, memory_bytes = _at_least(cpu, bounds.min_cpu), _at_least(memory_bytes, bounds.min_memory_bytes)
    answer = StepAnswer(step=question.step, cpu=cpu, memory_bytes=memory_bytes, target=platform)
    target = TARGETS.get(platform or "")
    own = (question.cpu, question.memory_bytes)
    if target is None or cpu is None or memory_bytes is None or (cpu, memory_bytes) == own:
        return answer
    need = Need(
        cpu=cpu,
        memory_bytes=memory_bytes,
        gpu=question.gpu,
        keeps_cpu=cpu in (question.cpu, bounds.min_cpu, bounds.max_cpu),
        keeps_memory=memory_bytes == question.memory_bytes,
    )
    sizes = round_to(target, need)
    if sizes is None:
        why = f"{target.title} has nothing that covers {cpu:g} cores with {memory_bytes / BYTES_PER_MB:,.0f} MB."
        least = (_at_least(question.cpu, bounds.min_cpu), _at_least(question.memory_bytes, bounds.min_memory_bytes))
        if (cpu, memory_bytes) != least:  # without what history says
            answer = _placed(question, platform, question.cpu, question.memory_bytes)
        return replace(answer, why=why)  # what is left is the user's to say, and the platform's to refuse
    rounded = sizes.memory * target.memory_unit_bytes
    if most is not None and memory_bytes <= most < rounded and not isinstance(target.sizes, Pairs):
        rounded = most  # what rounds up to more than that stops there
    return replace(answer, cpu=sizes.cpu, memory_bytes=rounded)


_Amount = TypeVar("_Amount", int, float)


def _ceiling(own: _Amount | None, most: _Amount | None) -> _Amount | None:
    """What may be asked for at most: the user's most bounds what raises a request, and no fall from the flow's own."""
    return most if most is None or own is None else max(own, most)


def _at_most(amount: _Amount | None, most: _Amount | None) -> _Amount | None:
    return amount if amount is None or most is None else min(amount, most)


def _at_least(amount: _Amount | None, least: _Amount | None) -> _Amount | None:
    """Where neither the flow nor its history says a number, the user's least is one."""
    return max((each for each in (amount, least) if each is not None), default=None)


def _with_cores(target: Target, cpu: float | None, memory_bytes: int, most: int | None) -> int:
    """The least that covers ``memory_bytes`` with these cores, or the most that there is with them."""
    unit = target.memory_unit_bytes
    if isinstance(target.sizes, Pairs):
        amounts = next((amounts for cores, amounts in target.sizes.rows if cores == cpu), (0,))
        return next((amount for amount in amounts if amount * unit >= memory_bytes), amounts[-1]) * unit
    found = target.sizes.smallest(1.0, memory_bytes / unit, keeps_cpu=True, keeps_memory=True).memory * unit
    return found if most is None else min(found, most)
