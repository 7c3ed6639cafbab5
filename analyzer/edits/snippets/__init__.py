"""Advice in what other systems read: one module a format, found by this plain table.

What comes in: a flow's name and the sizes of its steps. What goes out: a string. Never computes advice, never writes a
file. ``docs/apply.md`` says where each goes and who says so.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

from stepsize.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from stepsize.analyzer.edits.snippets.sizes import StepSizes

FORMATS: Mapping[str, str] = {
    "config": "stepsize.analyzer.edits.snippets.metaflow_config",
    "kubernetes": "stepsize.analyzer.edits.snippets.kubernetes",
    "nextflow": "stepsize.analyzer.edits.snippets.nextflow",
    "snakemake": "stepsize.analyzer.edits.snippets.snakemake",
    "airflow": "stepsize.analyzer.edits.snippets.airflow",
}
"""Format → module whose ``render(flow, steps) -> str`` makes it."""


def render(name: str, flow: str, steps: Sequence[StepSizes]) -> str:
    """The sizes of ``steps`` in the format called ``name``.

    Raises:
        UsageError: nothing is known of any of them.
    """
    known = [step for step in steps if step.is_known]
    if not known:
        raise UsageError(f"nothing can be recommended for any step of {flow} yet; stepsize report {flow} says why")
    text: str = importlib.import_module(FORMATS[name]).render(flow, known)
    return text
