"""The charts of a card, with the words that stand for them where they cannot be seen.

What comes in: envelopes and numbers. What goes out: a `Picture` for each resource of which anything is known. Pure.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from stepsize.analyzer.formats.words import amount, took
from stepsize.card.charts import Line, draw

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from stepsize.api.facts import Server, Stats
    from stepsize.card.charts import Chart
    from stepsize.card.series import Envelope
    from stepsize.model import Request

_SCALES = ((10**12, "TB"), (10**9, "GB"), (10**6, "MB"), (10**3, "kB"), (1, "B"))


@dataclass(frozen=True, slots=True)
class Sources:
    """What there is to draw: curves of the task and of its host by name, and what they are held against."""

    task: Mapping[str, Envelope]
    host: Mapping[str, Envelope]
    stats: Stats
    server: Server
    request: Request


@dataclass(frozen=True, slots=True)
class Picture:
    """A chart.

    Attributes:
        name: what it is of, a word for identifiers.
        title: what it is of.
        upper: the value at its top, as text.
        ends: the time at its right, as text.
        summary: what can be seen in it, as a sentence.
        chart: its geometry.
    """

    name: str
    title: str
    upper: str
    ends: str
    summary: str
    chart: Chart


@dataclass(frozen=True, slots=True)
class _Kind:
    """One chart: title, unit (empty for bytes) and what is appended to it."""

    name: str
    title: str
    unit: str
    per: str = ""

    def text(self, value: float) -> str:
        if self.unit:
            return f"{amount(round(value, 2))} {self.unit}"
        scale, unit = next(((scale, unit) for scale, unit in _SCALES if value >= scale), _SCALES[-1])
        return f"{amount(round(value / scale, 2))} {unit}{self.per}"


_CPU = _Kind("cpu", "CPU", "cores")
_MEMORY = _Kind("memory", "Memory", "")
_DISK = _Kind("disk", "Disk, read and written", "", "/s")
_NETWORK = _Kind("network", "Network of the host", "", "/s")
_GPU = _Kind("gpu", "GPU", "devices busy")
_VRAM = _Kind("vram", "GPU memory", "")


def pictures(sources: Sources, memory_limit_bytes: float | None, interval_s: float) -> tuple[Picture, ...]:
    """Every chart of which there is anything to see."""
    request, server = sources.request, sources.server
    of_memory = _lines(
        ("asked for", "asked", request.memory_bytes),
        ("limit", "limit", memory_limit_bytes),
        ("of the host", "limit", server.memory_bytes),
    )
    of_cpu = _lines(("asked for", "asked", request.cpu), ("of the host", "limit", server.cpus))
    of_vram = _lines(("of the host", "limit", server.gpu_memory_bytes))
    received, sent = (("received", "host", sources.host["received"]), ("sent", "task", sources.host["sent"]))
    found = (
        _picture(_CPU, _both(sources, "cpu"), of_cpu, sources, interval_s),
        _picture(_MEMORY, _both(sources, "memory"), of_memory, sources, interval_s),
        _picture(_DISK, _both(sources, "disk"), (), sources, interval_s),
        _picture(_NETWORK, (received, sent), (), sources, interval_s),
        _picture(_GPU, _both(sources, "gpu"), _lines(("asked for", "asked", request.gpu)), sources, interval_s),
        _picture(_VRAM, _both(sources, "vram"), of_vram, sources, interval_s),
    )
    return tuple(picture for picture in found if picture is not None)


def _both(sources: Sources, name: str) -> tuple[tuple[str, str, Envelope], ...]:
    return ("whole host", "host", sources.host[name]), ("this task", "task", sources.task[name])


def _lines(*lines: tuple[str, str, float | None]) -> tuple[Line, ...]:
    return tuple(Line(label, kind, value) for label, kind, value in lines if value is not None)


def _picture(
    kind: _Kind,
    curves: Sequence[tuple[str, str, Envelope]],
    lines: Sequence[Line],
    sources: Sources,
    interval_s: float,
) -> Picture | None:
    chart = draw(curves, lines, sources.stats.duration_s, interval_s)
    if chart is None:
        return None
    said = [f"{label} at most {kind.text(curve.highest)}" for label, _, curve in curves if curve.highest is not None]
    said += [f"{line.label} {kind.text(line.value)}" for line in lines]
    summary = "; ".join(said)
    return Picture(kind.name, kind.title, kind.text(chart.upper), took(chart.span_s), f"{summary}.", chart)
