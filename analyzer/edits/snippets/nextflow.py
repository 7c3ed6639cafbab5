"""Sizes as a Nextflow configuration, whose tasks get more memory each time that they run out of it. Pure.

Nextflow's MB are 2^20 bytes.

Source: nextflow.io/docs/latest/reference/process.html (memory, cpus, time, disk, accelerator, errorStrategy),
nextflow.io/docs/latest/config.html#process-selectors; the exit codes are those of nf-core's base.config.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from stepsize.analyzer.edits.snippets.sizes import MIB, in_units, plain

if TYPE_CHECKING:
    from collections.abc import Sequence

    from stepsize.analyzer.edits.snippets.sizes import StepSizes

_RETRY = (
    "errorStrategy = { task.exitStatus in ((130..145) + 104) ? 'retry' : 'finish' }",
    "maxRetries = 2",
)
"""Killed by a signal or by the scheduler: what running out of memory looks like from outside."""


def render(_flow: str, steps: Sequence[StepSizes]) -> str:
    """A ``process`` scope with a selector for each step."""
    blocks = "\n".join(_block(step) for step in steps)
    return f"process {{\n{blocks}}}\n"


def _block(step: StepSizes) -> str:
    lines = [
        f"    withName: {_quoted(step.step)} {{ // {step.grounds}",
        *(f"        {one}" for one in _directives(step)),
    ]
    return "\n".join([*lines, "    }", ""])


def _directives(step: StepSizes) -> list[str]:
    found = []
    if step.cpu is not None:
        found.append(f"cpus = {plain(-(-step.cpu // 1))}")
    if step.memory_bytes is not None:
        found.append(f"memory = {{ {in_units(step.memory_bytes, MIB)}.MB * task.attempt }}")
    if step.disk_bytes is not None:
        found.append(f"disk = {in_units(step.disk_bytes, MIB)}.MB")
    if step.gpu is not None:
        found.append(f"accelerator = {step.gpu or 'null'}")
    if step.timeout_s is not None:
        found.append(f"time = {step.timeout_s}.s")
    return [*found, *(_RETRY if step.memory_bytes is not None else ())]


def _quoted(name: str) -> str:
    """A selector of that very name: Nextflow takes regular expressions."""
    escaped = re.sub(r"[^\w :'-]", r"\\\g<0>", name).replace("\\", "\\\\").replace("'", "\\'")
    return "'" + "".join(one if one.isprintable() else "?" for one in escaped) + "'"
