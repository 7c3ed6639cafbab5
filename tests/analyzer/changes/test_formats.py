"""A comparison in every format, whatever names are in it."""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Iterator
from html.parser import HTMLParser

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stepsize.analyzer.changes.compare import Change, Comparison
from stepsize.analyzer.changes.conditions import Kind
from stepsize.analyzer.changes.period import Period, StepKey
from stepsize.analyzer.changes.savings import Saved
from stepsize.analyzer.formats.changes import FORMATS, MESSAGE_CHANGES, headline, message, render, title
from tests.analyzer.changes.lake import MB, Nights, nights

TAGS = {"html", "head", "meta", "title", "style", "body", "main", "h1", "h2", "p", "ul", "li", "strong", "a"}
NASTY = "<script>alert('&')</script>|*x*\x1b[31m\n# <!channel> @everyone"


def comparison(*names: str, **values: object) -> Comparison:
    changes = tuple(
        Change(
            kind=kind,
            key=StepKey(None, False, name, "step"),
            title=f"{name}/step",
            sentence=f"Task {name} did.",
            what=name,
            now=2.0,
            before=None,
            unit="By",
        )
        for name in names
        for kind in Kind
    )
    given = {"day": "2026-03-02", "against": "2026-03-01", "period": Period(0.0, 1.0), "steps": 3, "to_change": 1}
    return Comparison(**{**given, "changes": changes, **values})  # type: ignore[arg-type]


class Tags(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.found: set[str] = set()

    def handle_starttag(self, tag: str, attrs: object) -> None:  # noqa: ARG002 - the base class's
        self.found.add(tag)


@pytest.fixture
def lake() -> Iterator[Nights]:
    with nights() as found:
        yield found


def test_names_from_a_real_lake(lake: Nights) -> None:
    """As anybody may send them: flow, step, run, task and version."""
    for day, version in (*((0, "a"),) * 4, (1, NASTY)):
        lake.run(
            day,
            flow=NASTY,
            step=NASTY,
            project=NASTY,
            code_version=version,
            peaks_mb=[500 + 300 * day] * 5,
            requested_memory_bytes=805 * MB,
        )
    lake.night(0)
    found = lake.night(1)
    assert {change.kind for change in found.changes} == {Kind.LIMIT, Kind.GROWTH}
    check(found)


@settings(max_examples=40)
@given(st.text(min_size=1), st.text(max_size=30))
def test_any_name(name: str, note: str) -> None:
    """None breaks out of its place."""
    check(comparison(name, note=note))


def check(found: Comparison) -> None:
    texts = {form: render(found, form) for form in FORMATS}
    for text in texts.values():
        assert text.endswith("\n")
    content = json.loads(texts["json"])
    rows = list(csv.DictReader(io.StringIO(texts["csv"], newline="")))
    assert len(content["changes"]) == len(rows) == len(found.changes)
    for change, record, row in zip(found.changes, content["changes"], rows, strict=True):
        assert (record["kind"], record["flow"], record["sentence"]) == (
            change.kind.value,
            change.key.flow,
            change.sentence,
        )
        assert row["kind"] == change.kind.value
    tags = Tags()
    tags.feed(texts["html"])
    assert tags.found <= TAGS
    said = message(found, "/reports/report.html")
    for line in (*texts["table"].split("\n"), *texts["markdown"].split("\n"), *said.split("\n"), title(found)):
        assert line.isprintable()
    assert not {"<", "@"} & set(said)
    assert "<" not in re.sub("</?span>", "", texts["markdown"])


def test_a_message_tells_what_matters_most_and_how_much_more_there_is() -> None:
    """Bounded, however long names are."""
    found = comparison("x" * 10_000, "y")
    said = message(found, "/reports/report.html").splitlines()
    assert len([line for line in said if line.startswith("- ")]) == MESSAGE_CHANGES + 1
    assert "and 4 changes more" in said[-3]
    assert said[-1] == "/reports/report.html"
    assert max(map(len, said)) <= 400


def test_what_was_saved_is_said() -> None:
    """Of the period and in all, where there is any."""
    found = comparison(saved=Saved(1.5, (("USD", 2.0),)), saved_in_all=Saved(30.0, (("EUR", 1.0), ("USD", 40.0))))
    line = (
        "Lower requests saved 1.5 GB·h (2.00 USD) since 1970-01-01 00:00 UTC, 30 GB·h (1.00 EUR and 40.00 USD) in all."
    )
    for form in ("table", "markdown", "html"):
        assert line in render(found, form)
    assert json.loads(render(found, "json"))["saved_in_all"]["money"] == {"EUR": 1.0, "USD": 40.0}
    assert "saved" not in render(comparison(), "table")


def test_the_headline() -> None:
    """How many of what, against which."""
    assert headline(comparison()) == "0 changes (since the report of 2026-03-01); 1 of 3 steps to change"
    assert headline(comparison(against=None, to_save=(("EUR", -3.0), ("USD", 12.0)))) == (
        "0 changes (first report); 1 of 3 steps to change; 12.00 USD a month to save; as advised 3.00 EUR a month more"
    )
