"""What holds of any two reports."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stepsize.analyzer.changes.compare import Comparison, compare
from stepsize.analyzer.changes.conditions import Kind, Standing
from stepsize.analyzer.changes.period import Held, Nearest, Period, StepKey, StepPeriod, Tally
from stepsize.analyzer.changes.ranks import Growth
from stepsize.analyzer.changes.snapshot import Snapshot, parse_snapshot, snapshot_bytes
from stepsize.analyzer.costs import Amounts, Quotes
from stepsize.analyzer.matching import Catalog
from stepsize.analyzer.report import StepReport, report_step
from stepsize.analyzer.sizing import policy as policies
from stepsize.errors import DataError
from tests.analyzer.rows import evidence, tasks

PERIOD = Period(0.0, 86_400.0)
AMOUNTS = st.builds(
    Amounts,
    cpu=st.none() | st.sampled_from([1.0, 2.0, 8.0]),
    memory_mb=st.none() | st.floats(100, 64_000),
    gpu=st.none() | st.sampled_from([0.0, 1.0]),
)
COUNTS = st.integers(0, 50)


@st.composite
def tallies(draw: st.DrawFn) -> Tally:
    oom, failed = draw(COUNTS), draw(COUNTS)
    return Tally(oom + failed + draw(COUNTS), oom, failed)


SIZES = st.floats(1, 1e12)
NEAREST = st.builds(
    Nearest,
    used=SIZES,
    bound=SIZES,
    run=st.text(),
    task=st.text(),
    before=st.none() | SIZES,
    near=COUNTS,
    until_near=st.integers(50, 99),
    calm=COUNTS,
)
SEEN = st.builds(
    StepPeriod,
    recent=tallies(),
    before=tallies(),
    nearest=st.dictionaries(st.sampled_from(["memory", "disk", "duration"]), NEAREST).map(lambda of: tuple(of.items())),
    held=st.lists(
        st.builds(
            Held,
            cpu=st.none() | st.sampled_from([1.0, 4.0]),
            memory_bytes=st.none() | st.floats(1e8, 6e10),
            gpu=st.none(),
            hours=st.floats(0, 1000),
        ),
        max_size=2,
    ).map(tuple),
    growth=st.none() | st.builds(Growth, st.sampled_from("ab"), COUNTS, SIZES, COUNTS, COUNTS, SIZES),
    wasted_byte_s=st.none() | st.floats(0, 1e18),
    version_bytes=st.none() | SIZES,
    newest_s=st.none() | st.floats(0, 86_400),
)
STEPS = st.lists(st.tuples(AMOUNTS, AMOUNTS, SEEN), min_size=1, max_size=3)


@pytest.fixture(scope="module")
def quotes() -> Iterator[Quotes]:
    with Catalog.open() as catalog:
        yield Quotes(catalog)


@pytest.fixture(scope="module")
def plain(quotes: Quotes) -> StepReport:
    return report_step(evidence(*tasks([500, 600, 700])), policies.load(), quotes)


def night(
    plain: StepReport, steps: list[tuple[Amounts, Amounts, StepPeriod]], last: Snapshot | None, quotes: Quotes
) -> tuple[Comparison, Snapshot]:
    reports = [
        replace(plain, step=f"s{number}", requested=asked, recommended=advised)
        for number, (asked, advised, _) in enumerate(steps)
    ]
    seen = {StepKey.of(report): one for report, (_, _, one) in zip(reports, steps, strict=True)}
    found = compare(reports, seen, PERIOD, last, quotes, day="d", asked="")
    assert compare(reports[::-1], seen, PERIOD, last, quotes, day="d", asked="")[0].changes == found[0].changes
    return found


@settings(max_examples=40)
@given(first=STEPS, second=STEPS)
def test_any_two_nights(plain: StepReport, quotes: Quotes, first: object, second: object) -> None:
    """What was told is not told again while it lasts; what is over was told; the order of steps does not matter."""
    told, left = night(plain, first, None, quotes)  # type: ignore[arg-type]
    assert not [change for change in told.changes if change.kind in (Kind.SAVED, Kind.RESOLVED)]
    again, _ = night(plain, first, left, quotes)  # type: ignore[arg-type]
    assert again.changes == ()
    later, left_later = night(plain, second, left, quotes)  # type: ignore[arg-type]
    before = {(change.key, change.kind, change.what) for change in told.changes}
    for change in later.changes:
        assert change.sentence.endswith(".")
        if change.kind is Kind.RESOLVED:
            kinds = {kind for key, kind, what in before if key == change.key and change.what in (what, kind.value)}
            assert kinds
        elif change.kind is Kind.LIMIT:
            assert (change.key, change.kind, change.what) not in before
    for snapshot in (left, left_later):
        assert parse_snapshot(snapshot_bytes(snapshot), "here") == snapshot


STEP: dict[str, Any] = {
    "project": None,
    "production": False,
    "flow": "f",
    "step": "s",
    "requested": {},
    "standing": [],
    "saving": None,
}
WHOLE: dict[str, Any] = {
    "version": 1,
    "day": "d",
    "until_s": 5.0,
    "asked": "",
    "saved": {"gb_h": 0, "money": []},
    "steps": [STEP],
}
WRONG: list[dict[str, Any]] = [
    {"until_s": math.nan},
    {"until_s": 1e300},
    {"until_s": -1e15},
    {"newest_s": "soon"},
    {"saved": {"gb_h": "x", "money": []}},
    {"steps": {"a": 1}},
    {"steps": [{**STEP, "flow": 5}]},
    {"steps": [{**STEP, "requested": {"cpu": "many"}}]},
    {"steps": [{**STEP, "requested": {"cores": 1}}]},
    {"steps": [{**STEP, "standing": [["nonsense", ""]]}]},
    {"steps": [{**STEP, "standing": [["oom", "", "x"]]}]},
    {"steps": [{**STEP, "saving": {"day": "d", "before": {}, "saved": []}}]},
]


def test_a_snapshot_of_the_first_kind_is_read() -> None:
    """It had neither levels nor when steps were seen."""
    step = {**STEP, "standing": [["growth", "v2"], ["oom", ""]]}
    found = parse_snapshot(json.dumps({**WHOLE, "steps": [step]}).encode(), "here")
    (state,) = found.steps.values()
    assert (found.newest_s, state.seen_s) == (5.0, 5.0)
    assert state.standing == (Standing(Kind.GROWTH), Standing(Kind.OOM))


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{}",
        b"[]",
        b'{"version": 2}',
        b'{"version": 1}',
        b"\xff",
        b"[" * 100_000,
        *(json.dumps({**WHOLE, **wrong}).encode() for wrong in WRONG),
    ],
)
def test_what_is_no_snapshot_is_refused(content: bytes) -> None:
    """With a line that says what to do."""
    with pytest.raises(DataError, match="delete it"):
        parse_snapshot(content, "steps.json")
