"""Advice for whatever steps a text has."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

from stepsize.analyzer.costs import Amounts
from stepsize.analyzer.edits import merging
from stepsize.analyzer.edits.flows import lineages
from stepsize.analyzer.edits.plan import Edited, Options, edit
from stepsize.analyzer.edits.source import Source, read
from stepsize.analyzer.edits.wanted import Wanted

MIB_PER_MB = 2**20 / 10**6


def wanted(flow: str, step: str, **recommended: Any) -> Wanted:
    """Advice for one step, which asked for more than anything in the tests until now: nothing was raised since."""
    timeout_s = recommended.pop("timeout_s", None)
    asked = recommended.pop("requested", Amounts(cpu=999, memory_mb=9e9, gpu=99, disk_mb=9e9))
    target = recommended.pop("target", None)
    timeout = {"requested_timeout_s": 9e9, "recommended_timeout_s": timeout_s} if timeout_s else {}
    return Wanted(
        flow=flow,
        step=step,
        runs=10,
        confidence="high",
        requested=asked,
        recommended=Amounts(**recommended),
        target=target,
        **timeout,
    )


@lru_cache(maxsize=4)
def source_of(text: str) -> Source:
    """What is read of a text, once for the several things that a test asks of it."""
    return read(text)


def applied(text: str, *advice: Wanted, **options: Any) -> Edited:
    """`text` with the advice written into it."""
    flows: dict[str, list[Wanted]] = {}
    for one in advice:
        flows.setdefault(one.flow, []).append(one)
    return edit(source_of(text), flows, Options(**options))


def for_all(text: str, **recommended: Any) -> list[Wanted]:
    """The same advice for every step of every flow."""
    return [wanted(flow.name, step, **recommended) for flow in lineages(source_of(text)) for step in flow.steps]


def memory_written(text: str, flow: str, step: str, memory_mb: float) -> float:
    """What `memory_mb` is written as: MiB under @batch, where it is a multiple of 16 below 512."""
    steps = {one.name: one for one in lineages(source_of(text))}[flow].steps
    if merging.compute_of(steps[step]) != "batch":
        return memory_mb
    mib = memory_mb / MIB_PER_MB
    return -(-mib // 32) * 32
