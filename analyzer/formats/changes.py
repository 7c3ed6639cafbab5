"""A comparison of two reports as text: for people, for programs, for a message.

What comes in: a :class:`~stepsize.analyzer.changes.compare.Comparison`. What goes out: text that ends in a newline.
Names are what anybody sent: they cannot steer a terminal, break out of Markdown or HTML, or call people in a chat.
"""

from __future__ import annotations

import json
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any

import jinja2

from stepsize.analyzer.changes.conditions import Kind
from stepsize.analyzer.changes.sentences import at
from stepsize.analyzer.formats import words
from stepsize.analyzer.formats.csv_text import as_csv
from stepsize.analyzer.formats.markdown import escaped
from stepsize.sizes import gb_hours

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from stepsize.analyzer.changes.compare import Change, Comparison
    from stepsize.analyzer.changes.savings import Saved

HEADINGS: Mapping[Kind, str] = {
    Kind.OOM: "Ran out of memory",
    Kind.FAILING: "Fail",
    Kind.LIMIT: "Near what holds them",
    Kind.GROWTH: "Hold more memory in their new version",
    Kind.WASTE: "Ask for more than they need",
    Kind.SAVED: "Ask for less than before",
    Kind.RESOLVED: "Over",
}
MESSAGE_CHANGES = 10
"""Changes that a message tells; it says how many more there are."""
_LONGEST = 400
"""Of a line of a message: names may be long."""
_COLUMNS = ("kind", "project", "production", "flow", "step", "what", "now", "before", "unit", "sentence")
_CALLS = str.maketrans({"<": "\N{SINGLE LEFT-POINTING ANGLE QUOTATION MARK}", "@": "\N{FULLWIDTH COMMERCIAL AT}"})
"""`<!channel>` and `@everyone` call everybody in a chat, whoever wrote them."""


def render(comparison: Comparison, form: str) -> str:
    """``comparison`` in ``form``: a key of :data:`FORMATS`."""
    return FORMATS[form](comparison)


def headline(comparison: Comparison) -> str:
    """One line: what was compared, and how much is to be done."""
    against = "first report" if comparison.against is None else f"since the report of {comparison.against}"
    parts = [
        f"{words.plural(len(comparison.changes), 'change')} ({against})",
        f"{comparison.to_change:,} of {words.plural(comparison.steps, 'step')} to change",
    ]
    if less := [(currency, value) for currency, value in comparison.to_save if value > 0]:
        parts.append(f"{_money(less)} a month to save")
    if more := [(currency, -value) for currency, value in comparison.to_save if value < 0]:
        parts.append(f"as advised {_money(more)} a month more")
    return "; ".join(parts)


def title(comparison: Comparison) -> str:
    """Of a message."""
    return f"stepsize {comparison.day}: {words.plural(len(comparison.changes), 'change')}"


def message(comparison: Comparison, where: str) -> str:
    """What a message says: the changes that matter most, and ``where`` the rest is."""
    lines = [headline(comparison) + ".", *_notes(comparison)]
    shown = comparison.changes[:MESSAGE_CHANGES]
    lines += [""] if shown else []
    lines += [_cut(f"- {HEADINGS[one.kind]}: {one.title}. {one.sentence}") for one in shown]
    if more := len(comparison.changes) - len(shown):
        lines.append(f"- and {words.plural(more, 'change')} more")
    return _calm("\n".join([*map(words.printable, lines), "", words.printable(where), ""]))


def _cut(line: str) -> str:
    return line if len(line) <= _LONGEST else line[: _LONGEST - 1] + "\N{HORIZONTAL ELLIPSIS}"


def _calm(text: str) -> str:
    return text.translate(_CALLS)


def _table(comparison: Comparison) -> str:
    lines = [f"{comparison.day}: {headline(comparison)}.", *_notes(comparison)]
    for kind, changes in _by_kind(comparison.changes):
        lines += ["", HEADINGS[kind]]
        lines += [f"  {words.printable(one.title)}: {words.printable(one.sentence)}" for one in changes]
    return "\n".join(lines) + "\n"


def _markdown(comparison: Comparison) -> str:
    lines = [f"# What changed up to {comparison.day}", "", f"{headline(comparison)}."]
    lines += [line for note in _notes(comparison) for line in ("", escaped(note))]
    for kind, changes in _by_kind(comparison.changes):
        lines += ["", f"## {HEADINGS[kind]}", ""]
        lines += [f"- **{escaped(one.title)}**: {escaped(one.sentence)}" for one in changes]
    return "\n".join(lines) + "\n"


def _json(comparison: Comparison) -> str:
    content = {
        "day": comparison.day,
        "against": comparison.against,
        "from": _iso(comparison.period.from_s),
        "until": _iso(comparison.period.until_s),
        "steps": comparison.steps,
        "to_change": comparison.to_change,
        "to_save_per_month": {currency: round(value, 4) for currency, value in comparison.to_save},
        "saved": _saved(comparison.saved),
        "saved_in_all": _saved(comparison.saved_in_all),
        "note": comparison.note,
        "changes": [_record(one) for one in comparison.changes],
    }
    return json.dumps(content, indent=2, ensure_ascii=False, allow_nan=False) + "\n"


def _iso(instant_s: float) -> str:
    return datetime.fromtimestamp(instant_s, timezone.utc).isoformat(timespec="seconds")


def _saved(saved: Saved) -> dict[str, Any]:
    return {"gb_h": round(saved.gb_h, 6), "money": {currency: round(value, 4) for currency, value in saved.money}}


def _record(change: Change) -> dict[str, Any]:
    return {
        "kind": change.kind.value,
        **change.key._asdict(),
        "what": change.what,
        "now": change.now,
        "before": change.before,
        "unit": change.unit,
        "sentence": change.sentence,
    }


def _csv(comparison: Comparison) -> str:
    rows = (
        {name: words.printable(value) if isinstance(value, str) else value for name, value in _record(one).items()}
        for one in comparison.changes
    )
    return as_csv(rows, _COLUMNS)


def _html(comparison: Comparison) -> str:
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("stepsize.analyzer", "templates"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    return environment.get_template("changes.html.j2").render(
        comparison=comparison,
        headline=headline(comparison),
        notes=_notes(comparison),
        kinds=[(HEADINGS[kind], changes) for kind, changes in _by_kind(comparison.changes)],
        words=words,
    )


FORMATS: Mapping[str, Callable[[Comparison], str]] = {
    "table": _table,
    "json": _json,
    "csv": _csv,
    "markdown": _markdown,
    "html": _html,
}


def _notes(comparison: Comparison) -> list[str]:
    notes = [words.printable(comparison.note)] if comparison.note else []
    if comparison.saved_in_all.gb_h or comparison.saved_in_all.money:
        saved, in_all = comparison.saved, comparison.saved_in_all
        notes.append(
            f"Lower requests saved {_amounts(saved.gb_h, saved.money)} since {at(comparison.period.from_s)}, "
            f"{_amounts(in_all.gb_h, in_all.money)} in all."
        )
    return notes


def _amounts(gb_h: float, money: Sequence[tuple[str, float]]) -> str:
    return gb_hours(gb_h) + (f" ({_money(money)})" if money else "")


def _money(sums: Sequence[tuple[str, float]]) -> str:
    return " and ".join(words.money(value, currency) for currency, value in sums)


def _by_kind(changes: Sequence[Change]) -> Iterator[tuple[Kind, list[Change]]]:
    for kind in Kind:
        if found := [one for one in changes if one.kind is kind]:
            yield kind, found
