"""The live page as HTML.

What comes in: records. What goes out: text, complete without JavaScript. Pure. Every name is escaped, what is
not printable in it is made visible, and it is cut at `_LONGEST`; links carry it in full.
"""

from __future__ import annotations

import base64
import hashlib
import html
from dataclasses import dataclass
from importlib import resources
from typing import TYPE_CHECKING

from stepsize.collector.live import paths
from stepsize.collector.live.records import BUCKETS, WINDOW_S
from stepsize.sizes import MIB, format_mib

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Callable, Mapping, Sequence

    from stepsize.collector.live.records import Attempt, Curve, Curves, Group, StepName, Totals

_LONGEST = 120
_NEAR = 0.9
_HEIGHT = 24
_MINUTES = WINDOW_S // 60


def shown(text: str) -> str:
    """A name from elsewhere as HTML."""
    cut = text if len(text) <= _LONGEST else f"{text[:_LONGEST]}…"
    visible = "".join(sign if sign.isprintable() else sign.encode("unicode_escape").decode() for sign in cut)
    return f"<bdi>{html.escape(visible) or '(no name)'}</bdi>"


def _asset(name: str) -> str:
    return (resources.files("stepsize.collector.live") / name).read_text("utf-8").strip()


def _digest(text: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"


def policy() -> str:
    """The Content-Security-Policy of `page`: its own style, its own script, its own address."""
    return (
        f"default-src 'none'; style-src {_digest(_asset('live.css'))}; script-src {_digest(_asset('live.js'))}; "
        "connect-src 'self'; img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    )


def page(title: str, main: str) -> str:
    """A whole page; ``title`` is text, ``main`` HTML."""
    return (
        f'<!doctype html>\n<html lang="en"><head><meta charset="utf-8"><title>{html.escape(title)}</title>'
        '<meta name="viewport" content="width=device-width,initial-scale=1"><link rel="icon" href="data:,">'
        f"<style>{_asset('live.css')}</style></head>\n<body><header><h1>{html.escape(title)}</h1>"
        f'<nav class="bar" aria-label="Live page"><a href="{paths.ROOT}">All that runs</a><a href="">Refresh</a>'
        '<button id="pause" type="button" hidden>Pause</button><span id="said" role="status"></span></nav></header>\n'
        f"{main}\n<script>{_asset('live.js')}</script></body></html>\n"
    )


@dataclass(frozen=True, slots=True)
class Reports:
    """Days with the names of their pages, and why there may be more."""

    days: Sequence[tuple[str, Sequence[str]]]
    problem: str = ""


def front(
    totals: Totals,
    groups: Sequence[Group],
    ended: Sequence[Attempt],
    curves: Mapping[Attempt, Curves] | None,
    reports: Reports,
    pages: tuple[int, int],
    now: dt.datetime,
) -> str:
    """The front page's main part.

    Args:
        totals, groups, curves: what runs, as far as it is on this page.
        ended: attempts that ended lately.
        reports: the nightly job's.
        pages: this page, and the last one.
        now: when it was made.
    """
    number, last = pages
    parts = [_fresh(totals, now), "<h2>Running</h2>"]
    parts += [_group(one, curves, now) for one in groups] or ["<p>Nothing runs.</p>"]
    parts.append(_pager("steps", number, last, [paths.running_path(number - 1), paths.running_path(number + 1)]))
    if number == 1:
        parts.append("<h2>Ended in the last 24 hours</h2>")
        rows = "".join(_ended(one, now) for one in ended)
        parts.append(f'<ul class="list ended">{rows}</ul>' if rows else "<p>Nothing.</p>")
        parts.append(_reports(reports))
    return f'<main id="main">{"".join(parts)}</main>'


def step(
    totals: Totals, group: Group, curves: Mapping[Attempt, Curves] | None, pages: tuple[int, int], now: dt.datetime
) -> str:
    """The main part of a step's page: arguments as for `front`."""
    number, last = pages
    around = [paths.step_path(group.of, number - 1), paths.step_path(group.of, number + 1)]
    shown_group = _group(group, curves, now, is_whole=True)
    pager = _pager("tasks", number, last, around)
    return f'<main id="main">{_fresh(totals, now)}<h2>Running</h2>{shown_group}{pager}</main>'


def notice(text: str) -> str:
    """A main part that says one thing."""
    return f'<main id="main"><p>{html.escape(text)}</p></main>'


def _fresh(totals: Totals, now: dt.datetime) -> str:
    heard = f"; newest figure of a running task {_ago(totals.newest, now)}" if totals.newest else ""
    return (
        f'<p><span class="tag">{totals.running:,} running</span> in {_count(totals.groups, "step")}{heard}.</p>'
        f'<p class="soft">As of <time datetime="{now:%Y-%m-%dT%H:%M:%SZ}">{now:%Y-%m-%d %H:%M:%S} UTC</time>. '
        f"Curves: {_MINUTES} minutes; the broken line is what the task asked for, or its limit.</p>"
    )


def _group(group: Group, curves: Mapping[Attempt, Curves] | None, now: dt.datetime, *, is_whole: bool = False) -> str:
    facts = [f"{group.running:,} running", f"on {_count(group.hosts, 'host')}", f"for {_duration(group.since, now)}"]
    if group.cpu is not None:
        facts.append(f"{_cores(group.cpu)} in all")
    if group.memory_peak_bytes is not None:
        facts.append(f"highest peak {_memory(group.memory_peak_bytes)}")
    if group.memory_share is not None:
        facts.append(f"the fullest at {group.memory_share:.0%} of its memory")
    left = group.running - len(group.attempts)
    more = f'<p><a href="{paths.step_path(group.of)}">and {left:,} more</a></p>' if left and not is_whole else ""
    rows = "".join(_running(one, curves, now) for one in group.attempts)
    return (
        f'<section class="step"><h3><a href="{paths.step_path(group.of)}">{_step(group.of)}</a></h3>'
        f'<p class="soft">{", ".join(facts)}</p><ul class="list">{rows}</ul>{more}</section>'
    )


def _step(name: StepName) -> str:
    return f"{shown(name.flow)} / {shown(name.run)} / {shown(name.step)}"


def _who(attempt: Attempt) -> str:
    words = [f'<span class="tag">task {shown(attempt.task)}</span>']
    if attempt.attempt:
        words.append(f"attempt {attempt.attempt}")
    if attempt.item:
        words.append(shown(attempt.item))
    if attempt.host:
        words.append(f"on {shown(attempt.host)}")
    if attempt.is_shared:
        told = {"project": attempt.project, "branch": attempt.branch, "user": attempt.user}
        words += [f"{name} {shown(value)}" for name, value in told.items() if value]
    return ", ".join(words)


def _running(attempt: Attempt, curves: Mapping[Attempt, Curves] | None, now: dt.datetime) -> str:
    drawn = curves.get(attempt) if curves is not None else None
    allowed = attempt.memory_limit_bytes or attempt.requested_memory_bytes
    peak = ""
    if attempt.memory_peak_bytes is not None:
        near = bool(allowed) and attempt.memory_peak_bytes >= _NEAR * (allowed or 0)
        text = f"peak {_memory(attempt.memory_peak_bytes)}"
        peak = f', <span class="near">{text}: near its memory</span>' if near else f", {text}"
    asked = attempt.requested_cpu or attempt.cpu_limit
    return (
        f'<li><div>{_who(attempt)}<br><span class="soft figure">{_duration(attempt.started_at, now)}{peak}</span></div>'
        f"{_curve('CPU', 'cpu', drawn.cpu if drawn else None, asked, _cores)}"
        f"{_curve('Memory', 'memory', drawn.memory if drawn else None, allowed, _memory)}{_gpu(attempt, drawn)}</li>"
    )


def _gpu(attempt: Attempt, drawn: Curves | None) -> str:
    """Curves of GPUs, where the attempt has any."""
    if not attempt.has_gpus:
        return ""
    busy = _curve("GPUs busy", "cpu", drawn.gpu if drawn else None, attempt.gpus, lambda value: f"{value:.2g}")
    return busy + _curve("GPU memory", "memory", drawn.gpu_memory if drawn else None, None, _memory)


def _curve(name: str, kind: str, curve: Curve | None, allowed: float | None, say: Callable[[float], str]) -> str:
    newest = curve.newest if curve else None
    if curve is None:
        return f'<div class="figure soft">{name}: too many points to read in time</div>'
    if newest is None:
        return f'<div class="figure soft">{name}: no points in {_MINUTES} minutes</div>'
    known = [value for value in curve.values if value is not None]
    words = f"{name} {say(newest)}" + (f" of {say(allowed)}" if allowed else "")
    top = max([*known, allowed or 0.0]) * 1.05 or 1.0
    line = f'<path class="bound" d="M0 {_y(allowed, top)}H{BUCKETS - 1}"/>' if allowed else ""
    label = f"{words} now; over {_MINUTES} minutes from {say(min(known))} to {say(max(known))}"
    return (
        f'<div><span class="figure">{words}</span><svg role="img" aria-label="{html.escape(label)}" '
        f'viewBox="0 0 {BUCKETS - 1} {_HEIGHT}" preserveAspectRatio="none">{line}'
        f'<path class="{kind}" d="{_path(curve.values, top)}"/></svg></div>'
    )


def _path(values: Sequence[float | None], top: float) -> str:
    """Lines between neighbours; over parts without a point, which are those of slow samplers, too."""
    drawn = [f"{place} {_y(value, top)}" for place, value in enumerate(values) if value is not None]
    return f"M{drawn[0]}h.01" if len(drawn) == 1 else f"M{'L'.join(drawn)}"


def _y(value: float, top: float) -> str:
    return f"{_HEIGHT - min(max(value, 0.0) / top, 1.0) * (_HEIGHT - 2) - 1:.1f}"


def _ended(attempt: Attempt, now: dt.datetime) -> str:
    outcome = attempt.outcome or ""
    marked = f'<span class="{"soft" if outcome == "ok" else "bad"}">{html.escape(outcome)}</span>'
    took = _duration(attempt.started_at, attempt.ended_at or now)
    allowed = attempt.memory_limit_bytes or attempt.requested_memory_bytes
    peak = "" if attempt.memory_peak_bytes is None else f", peak {_memory(attempt.memory_peak_bytes)}"
    of = f" of {_memory(allowed)}" if allowed and peak else ""
    ended = _ago(attempt.ended_at, now) if attempt.ended_at else ""
    return (
        f"<li><div>{_step(attempt.of)}, {_who(attempt)}</div>"
        f'<div class="figure">{marked} {ended}, took {took}{peak}{of}</div></li>'
    )


def _reports(reports: Reports) -> str:
    if not reports.days and not reports.problem:
        return ""
    nights = f"<ul>{''.join(_night(day, names) for day, names in reports.days)}</ul>" if reports.days else ""
    problem = f"<p>{html.escape(reports.problem)}</p>" if reports.problem else ""
    return f"<h2>Nightly reports</h2>{problem}{nights}"


def _night(day: str, names: Sequence[str]) -> str:
    words = {"report.html": "report", "comparison.html": "what is new"}
    links = ", ".join(f'<a href="{paths.report_path(day, one)}">{words[one]} of {day}</a>' for one in names)
    return f"<li>{links}</li>"


def _pager(what: str, number: int, last: int, around: Sequence[str]) -> str:
    if last <= 1:
        return ""
    back = f'<a href="{around[0]}" rel="prev">Page {number - 1}</a>' if number > 1 else ""
    on = f'<a href="{around[1]}" rel="next">Page {number + 1}</a>' if number < last else ""
    return f'<nav class="bar" aria-label="Pages of {what}">{back}<span>Page {number:,} of {last:,}</span>{on}</nav>'


def _count(number: int, what: str) -> str:
    return f"{number:,} {what}{'' if number == 1 else 's'}"


def _cores(cores: float) -> str:
    text = f"{cores:.3g}"
    return f"{text} {'core' if text == '1' else 'cores'}"


def _memory(size_bytes: float) -> str:
    return format_mib(size_bytes / MIB)


def _duration(since: dt.datetime | None, until: dt.datetime) -> str:
    if since is None:
        return "an unknown time"
    return _seconds(max(0.0, (until - since).total_seconds()))


def _ago(time: dt.datetime, now: dt.datetime) -> str:
    return f"{_seconds(max(0.0, (now - time).total_seconds()))} ago"


def _seconds(seconds: float) -> str:
    if seconds < 60:
        return f"{seconds:.0f} s"
    minutes = int(seconds // 60)
    if minutes < 60:
        return f"{minutes} min {int(seconds % 60)} s"
    hours = minutes // 60
    return f"{hours} h {minutes % 60} min" if hours < 48 else f"{hours // 24} days"
