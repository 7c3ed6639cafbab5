"""Nights after one another: what the next one is compared with."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import datetime, timedelta, timezone
from typing import Any

import pytest

from stepsize.commands.night.night import Nightly, Outcome, Plan
from stepsize.commands.night.state import Message, Night, State, parse_state, state_bytes
from stepsize.commands.night.targets import Target
from stepsize.errors import DataError
from stepsize.store.reports import LocalShelf
from stepsize.testing import write_tasks
from tests.analyzer.rows import MB, row
from tests.nightly.site import EVERYTHING, Site, Told, here

FIRST = datetime(2026, 3, 1, 3, tzinfo=timezone.utc)


class Nights:
    """A lake and a clock: night 1 is that of March 1st, at three."""

    def __init__(self, site: Site, told: Told) -> None:
        self.reports = site.reports
        self._site = site
        self._told = told
        self._number = 0

    def run(self, night: int, **values: Any) -> None:
        """A run of a step, two hours before a night."""
        self._number += 1
        given = {"run": str(self._number), "started_at": at(night) - timedelta(hours=2)}
        write_tasks(self._site.data, [row(**{**given, "requested_memory_bytes": 800 * MB, **values})])

    def night(
        self, number: int, *, again: bool = False, told: bool = True, runs: int | None = None, **plan: Any
    ) -> Outcome:
        shelf = LocalShelf(self._site.data)
        whom = (Target("chat", self._told.url("chat")),) if told else ()
        made = Plan(data=str(self._site.data), evidence=replace(EVERYTHING, runs=runs), **plan)
        with shelf.locked():
            return Nightly(made, shelf, whom, lambda: at(number).timestamp(), here).run(again=again)

    def comparison(self, number: int) -> dict[str, Any]:
        found: dict[str, Any] = json.loads((self.reports / f"{day(number)}/comparison.json").read_bytes())
        return found

    def days(self) -> list[str]:
        return sorted(path.name for path in self.reports.iterdir() if path.name.startswith("day="))


def at(night: int) -> datetime:
    return FIRST + timedelta(days=night - 1)


def day(night: int) -> str:
    return f"day={at(night):%Y-%m-%d}"


@pytest.fixture
def nights(site: Site, told: Told, monkeypatch: pytest.MonkeyPatch) -> Nights:
    for name, text in site.environment.items():
        monkeypatch.setenv(name, text)
    made = Nights(site, told)
    for night in (-1, 0, 1):
        made.run(night)
    return made


def test_each_night_is_compared_with_the_one_before(nights: Nights, told: Told) -> None:
    """What is new is sent; a night without news sends nothing, and is well. What ended just now is of the next one."""
    assert nights.night(1).failed == ()
    assert "first report" in told.messages[0][1]["message"]
    nights.run(2, started_at=at(2) - timedelta(minutes=5), outcome="oom")
    assert nights.night(2).failed == ()
    assert nights.comparison(2)["changes"] == []
    assert nights.night(3).failed == ()
    found = nights.comparison(3)
    assert found["against"] == f"{at(2):%Y-%m-%d}"
    assert [one["kind"] for one in found["changes"]] == ["oom"]
    assert "1 of 1 attempt since 2026-03-02 02:45 UTC ran out of memory; none of the 3 before." in str(told.messages[1])
    assert len(told.messages) == 2
    assert nights.days() == [day(1), day(2), day(3)]
    assert (nights.reports / "latest").resolve().name == day(3)


def test_news_that_nobody_heard_are_told_later(nights: Nights, told: Told) -> None:
    """Who did not take them is told on another day, before that day's.

    A night that was killed before anybody was tried is no base for the next.
    """
    told.refused.add("chat")
    assert nights.night(1).failed[0].startswith("notify: chat was not told")
    nights.run(2, outcome="oom")
    assert nights.night(2).failed[0].startswith("notify: chat was not told")
    told.refused.clear()
    assert nights.night(3).failed == ()
    assert [said["title"].split(":")[0] for _, said in told.messages] == [
        f"stepsize {at(day):%Y-%m-%d}" for day in (1, 2)
    ]
    assert nights.night(3).was_done
    state = json.loads((nights.reports / ".state.json").read_bytes())
    assert (state["owed"], state["night"]["tried"]) == ([], True)  # as it was before that:
    state["night"] |= {"tried": False, "done": ["compact", "report"]}
    (nights.reports / ".state.json").write_text(json.dumps(state))
    nights.night(4)
    assert nights.comparison(4)["against"] == f"{at(2):%Y-%m-%d}"


def test_what_is_owed_is_bounded_and_asked_of_those_who_are_there() -> None:
    """The newest week of it; of who is told no more nothing is left once all others have it."""
    state = State()
    for night in range(1, 12):
        made = Night(day=f"{at(night):%Y-%m-%d}", asked="", message=Message("t", "b"), missed=("a", "b"), sent=("b",))
        state = replace(state, night=replace(made, tried=True)).begin(f"{at(night + 1):%Y-%m-%d}", "", again=False)
        assert parse_state(state_bytes(state), "here") == state
    assert [one.day for one in state.owed] == [f"{at(night):%Y-%m-%d}" for night in range(5, 12)]
    assert {one.to for one in state.owed} == {("a",)}
    for one in state.owed:
        state = state.paid(one.day, "a")
    assert state.owed == ()


@pytest.mark.soak
def test_once_more_is_compared_with_the_night_before(nights: Nights, told: Told) -> None:
    """Not with itself: the same changes, and savings that are not counted twice. With other options not at all."""
    nights.night(1)
    nights.run(2, requested_memory_bytes=700 * MB, duration_s=3600.0)
    nights.night(2)
    before = nights.comparison(2)
    assert [one["kind"] for one in before["changes"]] == ["saved"]
    nights.night(2, again=True)
    assert nights.comparison(2) == before
    assert len(told.messages) == 3
    nights.night(2, runs=9)
    assert nights.comparison(2)["against"] is None
    assert "other options" in nights.comparison(2)["note"]


@pytest.mark.soak
def test_old_reports_go_but_for_what_is_not_ours(nights: Nights) -> None:
    """Nor does what the newest was compared with. A file that somebody keeps in a day's directory stays, and it too.

    A clock that is wrong for a night deletes nothing; what it says is warned of once it is right.
    """
    for number in (1, 2):
        nights.night(number, told=False)
    assert nights.night(900, told=False, keep_days=2).failed == ()
    assert nights.days() == [day(1), day(2), day(900)]
    warned = nights.night(8, told=False).warned
    assert warned[0].startswith(
        f"the clock is behind that of the report of {at(900):%Y-%m-%d}: what ended after 2026-03"
    )
    (nights.reports / day(1) / "mine.txt").write_text("mine")
    (nights.reports / "day=yesterday").mkdir()
    assert nights.night(9, told=False, keep_days=2).failed == ()
    assert nights.days() == [day(1), day(8), day(9), day(900), "day=yesterday"]
    assert [path.name for path in (nights.reports / day(1)).iterdir()] == ["mine.txt"]
    for name in ("report.html", "comparison.html"):
        page = (nights.reports / day(9) / name).read_text("utf-8")
        for link in [part.split('"')[0] for part in page.split('href="')[1:]]:
            assert link.startswith("#") or (nights.reports / day(9) / link).is_file()


@pytest.mark.soak
def test_damage_keeps_no_report_from_being_made(nights: Nights) -> None:
    """Of what it would be compared with: it is said; of its own state: it is refused, saying which file to delete."""
    nights.night(1, told=False)
    (nights.reports / day(1) / "steps.json").write_text("{")
    outcome = nights.night(2, told=False)
    assert outcome.failed == ()
    assert "cannot be read" in outcome.warned[0]
    assert nights.comparison(2)["against"] is None
    (nights.reports / ".state.json").write_text("[]")
    with pytest.raises(DataError, match=r"delete /.*/reports/\.state\.json"):
        nights.night(3, told=False)


@pytest.mark.parametrize(
    "content", [b"", b"[]", b"5", b"[" * 100_000, b"\xff", b'{"version": 2}', b'{"version": 1, "night": 5}']
)
def test_a_state_that_is_none_of_ours_is_one_line(content: bytes) -> None:
    """Whatever is in the file."""
    with pytest.raises(DataError, match=r"delete here/\.state\.json$"):
        parse_state(content, "here/.state.json")
