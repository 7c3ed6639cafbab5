"""Offers as text: a table for people, JSON, CSV or Markdown for what comes after.

What comes in: offers, and today's date for the age of their prices. What goes out: text that ends in a newline. Knows
neither the terminal nor the clock.
"""

from __future__ import annotations

from dataclasses import asdict, fields
from datetime import date
from typing import TYPE_CHECKING, Any

from stepsize.analyzer.formats.aligned import folded
from stepsize.analyzer.matching.need import Offer, Packed
from stepsize.sizes import format_mib

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence


def _gpu(offer: Offer) -> str:
    if not offer.gpu_count:
        return ""
    memory = f" {format_mib(offer.gpu_memory_total_mib)}" if offer.gpu_memory_total_mib else ""
    return f"{offer.gpu_count:.3g}x {offer.gpu_model or 'unknown'}{memory}"


def _kind(offer: Offer) -> str:
    marks = [offer.cpu_architecture]
    if offer.cpu_allocation != "dedicated":
        marks.append(offer.cpu_allocation)
    if offer.allocation != "ondemand":
        marks.append(offer.allocation)
    return " ".join(marks)


_COLUMNS: tuple[tuple[str, Callable[[Offer], str], bool], ...] = (
    ("USD/hour", lambda offer: f"{offer.price_hourly:.4f}", True),
    ("vendor", lambda offer: offer.vendor_id, False),
    ("server", lambda offer: offer.server_id, False),
    ("region", lambda offer: offer.region, False),
    ("vcpus", lambda offer: f"{offer.vcpus:g}", True),
    ("memory", lambda offer: format_mib(offer.memory_mib), True),
    ("gpu", _gpu, False),
    ("kind", _kind, False),
    ("price", lambda offer: offer.price_quality, False),
)
"""Heading, text and whether it is aligned to the right."""


_PACKED_NAMES = ("tasks_per_server", "servers", "price_per_task", "price_total")
"""Of the fields that records of packed offers have beside the offer's own."""
_OF_PACKED: tuple[tuple[str, Callable[[Packed], str], bool], ...] = (
    ("USD/task", lambda packed: f"{packed.cost_per_task:.6f}", True),
    ("USD all", lambda packed: f"{packed.cost:.4f}", True),
    ("on each", lambda packed: f"{packed.tasks_per_server}", True),
    ("servers", lambda packed: f"{packed.servers}", True),
)
"""As ``_COLUMNS``, before them."""


def render(offers: Sequence[Offer], form: str, today: date) -> str:
    """``offers`` in ``form``: ``table``, ``json``, ``csv`` or ``markdown``."""
    if form in ("json", "csv"):
        return _records(list(map(record, offers)), form, [field.name for field in fields(Offer)])
    return _text(_cells(offers), offers, form, today)


def render_packed(
    packed: Sequence[Packed], form: str, today: date, full: Sequence[dict[str, Any]] | None = None
) -> str:
    """As :func:`render`, with what the tasks cost; ``full`` are records in place of the offers'."""
    offers = [each.offer for each in packed]
    if form in ("json", "csv"):
        costs = [
            dict(zip(_PACKED_NAMES, (p.tasks_per_server, p.servers, p.cost_per_task, p.cost), strict=True))
            for p in packed
        ]
        records = [{**row, **cost} for row, cost in zip(full or map(record, offers), costs, strict=True)]
        names = [field.name for field in fields(Offer)] + list(_PACKED_NAMES)
        return _records(records, form, list(records[0]) if records else names)
    cells = [
        [*([text(each) for _, text, _ in _OF_PACKED]), *row]
        for each, row in zip(packed, _cells(offers)[1:], strict=True)
    ]
    return _text([[*(title for title, _, _ in _OF_PACKED), *_cells(offers)[0]], *cells], offers, form, today)


def render_full(records: Sequence[dict[str, Any]], form: str) -> str:
    """Records of every column as ``json`` or ``csv``."""
    return _records(records, form, list(records[0]) if records else [])


def _records(records: Sequence[dict[str, Any]], form: str, names: Sequence[str]) -> str:
    if form == "json":
        from stepsize.analyzer.formats.json_text import as_json  # noqa: PLC0415 - each format pays for itself

        return as_json(records)
    from stepsize.analyzer.formats.csv_text import as_csv  # noqa: PLC0415 - as above

    return as_csv(records, names) if names else ""


def _text(cells: list[list[str]], offers: Sequence[Offer], form: str, today: date) -> str:
    if not offers:
        return ""
    lines = _markdown(cells) if form == "markdown" else _table(cells)
    return "\n".join([*lines, "", age(offers, today)]) + "\n"


def record(offer: Offer) -> dict[str, Any]:
    """The JSON object of an offer; whole counts are integers."""
    return {
        name: int(value)
        if isinstance(value, float) and name in ("vcpus", "gpu_count") and value.is_integer()
        else value
        for name, value in asdict(offer).items()
    }


def age(offers: Sequence[Offer], today: date) -> str:
    """One line: from when the prices are, how old that is, and what they leave out."""
    days = sorted({offer.price_observed_at for offer in offers})
    # a clock that is behind makes no price of tomorrow
    youngest, oldest = (max(0, (today - date.fromisoformat(day)).days) for day in (days[-1], days[0]))
    when = days[0] if len(days) == 1 else f"{days[0]} to {days[-1]}"
    old = ("1 day" if oldest == 1 else f"{oldest} days") if youngest == oldest else f"{youngest} to {oldest} days"
    return f"Linux list prices of {when} ({old} old), without tax, storage and traffic."


def _cells(offers: Sequence[Offer]) -> list[list[str]]:
    """The heading and a row for each offer; GPUs only where there are any."""
    shown = [column for column in _COLUMNS if column[0] != "gpu" or any(offer.gpu_count for offer in offers)]
    return [[title for title, _, _ in shown], *([text(offer) for _, text, _ in shown] for offer in offers)]


def _table(cells: list[list[str]]) -> list[str]:
    return folded(cells, {title for title, _, right in (*_OF_PACKED, *_COLUMNS) if right})


def _markdown(cells: list[list[str]]) -> list[str]:
    from stepsize.analyzer.formats.markdown import as_markdown, escaped  # noqa: PLC0415 - as above

    head, *rows = cells
    return as_markdown(head, ([escaped(cell) for cell in row] for row in rows))
