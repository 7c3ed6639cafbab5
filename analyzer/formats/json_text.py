"""The report as JSON: a list of objects whose keys are a contract: none is taken away.

What comes in: reports. What goes out: JSON text; what is not known is ``null``, never NaN or zero. Names are as they
are; characters that are not printable are written as escapes, so that none steers a terminal.
"""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

from stepsize.analyzer.sizing.targets import TARGETS
from stepsize.model import BYTES_PER_MB
from stepsize.sizes import GIB

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from stepsize.analyzer.costs import Amounts
    from stepsize.analyzer.matching import Offer
    from stepsize.analyzer.report import StepReport
    from stepsize.analyzer.sizing.memory.static import Replayed
    from stepsize.analyzer.sizing.targets import Sizes


_NOT_PLAIN = re.compile(r"[^\n -~]")


def render(reports: Sequence[StepReport]) -> str:
    """``reports`` as indented JSON with a newline at its end."""
    return as_json(record(report) for report in reports)


def as_json(records: Iterable[dict[str, Any]]) -> str:
    """Any records as an indented list with a newline at its end."""
    text = json.dumps(list(records), indent=2, ensure_ascii=False, allow_nan=False) + "\n"
    return _NOT_PLAIN.sub(_written, text)


def _written(found: re.Match[str]) -> str:
    character = found[0]
    return character if character.isprintable() else json.dumps(character)[1:-1]


def record(report: StepReport) -> dict[str, Any]:
    """One report as JSON's own types."""
    costs, spread = report.costs, report.failures_range_per_1000
    return {
        "flow": report.flow,
        "step": report.step,
        "project": report.project,
        "production": report.production,
        "runs": report.runs,
        "tasks": report.tasks,
        "outcomes": dict(report.outcomes),
        "policy": report.policy,
        "requested": _amounts(report.requested),
        "recommended": _amounts(report.recommended),
        "used": _amounts(report.used),
        "target": _target(report.target, report.written),
        "timeout_s": {"requested": report.timeout.requested_s, "recommended": report.timeout.recommended_s},
        "reasons": [*report.all_reasons, *report.timeout.reasons, *costs.reasons],
        "confidence": report.confidence,
        "failures_expected_per_1000": report.failures_expected_per_1000,
        "failures_range_per_1000": None if spread is None else list(spread),
        "history": [_replayed(run) for run in report.replayed],
        "wasted_gb_h": _rounded(report.wasted_gb_h, 6),
        "cost_per_run": {"now": _rounded(costs.now, 6), "recommended": _rounded(costs.recommended, 6)},
        "cost_of_failure": _rounded(costs.failure, 6),
        "saving_per_month": _rounded(costs.saving_per_month, 4),
        "currency": costs.currency,
        "servers": [_server(offer) for offer in costs.servers],
    }


def _amounts(amounts: Amounts) -> dict[str, float | None]:
    return {
        "cpu": _rounded(amounts.cpu, 3),
        "memory_mb": _rounded(amounts.memory_mb, 3),
        "gpu": _rounded(amounts.gpu, 3),
        "vram_mb": _rounded(amounts.vram_mb, 3),
        "disk_mb": _rounded(amounts.disk_mb, 3),
    }


def _target(name: str | None, written: Sizes | None) -> dict[str, Any] | None:
    """What the sizes are for and what to write there, in its own unit; null where nobody knows what ran the step."""
    if name is None:
        return None
    unit = TARGETS[name].memory_unit if name in TARGETS else None
    cpu, memory = (None, None) if written is None else (_rounded(written.cpu, 3), written.memory)
    return {"name": name, "cpu": cpu, "memory": memory, "memory_unit": unit}


def _replayed(run: Replayed) -> dict[str, Any]:
    """A past run under the memory that would have been asked for before it."""
    requested = run.requested_byte_hours
    return {
        "run": run.run,
        "memory_mb": _rounded(run.request_bytes / BYTES_PER_MB, 3),
        "tasks": run.tasks,
        "too_small": run.too_small,
        "expected_too_small": _rounded(run.expected_too_small, 3),
        "allocated_gb_h": _rounded(run.allocated_byte_hours / GIB, 6),
        "requested_gb_h": None if requested is None else _rounded(requested / GIB, 6),
        "used_gb_h": _rounded(run.used_byte_hours / GIB, 6),
    }


def _server(offer: Offer) -> dict[str, Any]:
    return {
        "vendor_id": offer.vendor_id,
        "server_id": offer.server_id,
        "region": offer.region,
        "price_hourly": offer.price_hourly,
        "allocation": offer.allocation,
        "price_observed_at": offer.price_observed_at,
        "vcpus": offer.vcpus,
        "memory_mib": offer.memory_mib,
    }


def _rounded(value: float | None, digits: int) -> float | None:
    """``value`` to so many digits, as an integer where it is one."""
    if value is None:
        return None
    rounded = round(value, digits)
    return int(rounded) if rounded == int(rounded) else rounded
