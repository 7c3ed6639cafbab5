"""What a step's source asks for, beside what its runs did: what is not to be written for that, and what to say. Pure.

What comes in: a step, its advice and platform. What goes out: sentences. Runs may ask for more than the source
(``--with``, the site's configuration), and the source for more than they did, where somebody raised it since.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from stepsize.analyzer.edits import merging
from stepsize.analyzer.edits.literals import told
from stepsize.analyzer.edits.wanted import NEVER_USED, RESOURCES, amount, memory_unit_bytes
from stepsize.model import BYTES_PER_MB

if TYPE_CHECKING:
    from collections.abc import Mapping

    from stepsize.analyzer.edits.source import Step
    from stepsize.analyzer.edits.wanted import Wanted
    from stepsize.analyzer.sizing.targets import Target

_UNITS = {"cpu": "cores", "memory": "MB of memory", "gpu": "GPUs", "disk": "MB of disk"}
_ALIKE = 0.001
"""What rounding may put between a request and its record."""


def kept(step: Step, advice: Wanted, resource: str, number: float, target: Target | None, *, drop_gpus: bool) -> str:
    """Why ``number`` of ``resource`` is not written although the report recommends it; empty where it is."""
    if resource == "disk" and merging.compute_of(step) == "batch":
        return "AWS Batch takes no disk; on Fargate set ephemeral_storage, in GiB"
    if resource == "gpu" and number and target is not None and not target.gpus:
        return f"{target.title} has no GPUs: what needs one runs elsewhere"
    asked = merging.asked(step, resource)
    if resource == "gpu" and number == 0 and asked and not drop_gpus:
        return NEVER_USED
    if asked is None or number >= asked or not merging.is_written(step, resource):
        return ""
    requested = amount(advice.requested, resource)
    if requested is None or _in_units(asked, resource, target) <= requested * (1 + _ALIKE):
        return ""
    return (
        f"{told(asked)} {_UNITS[resource]} in the source are more than the {told(requested)} that its newest run "
        "asked for: somebody raised it since; run it first"
    )


def differences(step: Step, advice: Wanted, target: Target | None, written: Mapping[str, float]) -> list[str]:
    """What the newest run asked for beyond what the source says, and what Metaflow makes of what is written."""
    found = []
    for resource in RESOURCES:
        requested, asked = amount(advice.requested, resource), merging.asked(step, resource)
        if (
            requested is None
            or not _is_beyond(requested, asked, resource, target, step)
            or written.get(resource) == asked
        ):
            continue
        found.append(
            f"its newest run asked for {told(requested)} {_UNITS[resource]}, the source for "
            f"{_said(step, resource, asked)}: --with or the site's configuration gave it (of --with kubernetes and "
            "--with batch the larger counts), or the source was changed since"
        )
    if target is not None and target.name == "kubernetes" and merging.compute_of(step) is None:
        found += [
            f"--with kubernetes asks for {told(least)} {_UNITS[resource]} at least; put @kubernetes above it for less"
            for resource, least in merging.KUBERNETES_LEAST.items()
            if written.get(resource, least) < least
        ]
    return found


def _said(step: Step, resource: str, asked: float | None) -> str:
    if asked is None:
        return "nothing"
    return told(asked) if merging.is_written(step, resource) else f"nothing ({told(asked)} by default)"


def _is_beyond(requested: float, asked: float | None, resource: str, target: Target | None, step: Step) -> bool:
    if asked is None:
        default = merging.KUBERNETES_LEAST.get(resource, 0.0)  # a disk that Kubernetes gives unasked
        return requested > default
    units = [_in_units(asked, resource, target)]
    if resource == "memory" and merging.compute_of(step) is None:
        units.append(asked * 2**20 / BYTES_PER_MB)  # run --with batch
    return requested > max(units) * (1 + _ALIKE)


def _in_units(asked: float, resource: str, target: Target | None) -> float:
    """In those of the report: MB are 10^6 bytes there."""
    return asked * memory_unit_bytes(target) / BYTES_PER_MB if resource == "memory" else asked
