"""One night: each stage once, whatever ends it in between.

What comes in: a plan, a shelf, a clock, and how jobs are done. What goes out: an :class:`Outcome`, and the reports on
the shelf. The state on the shelf says which stages are done before the next begins, so that another start goes on with
the first that is not. A stage that fails keeps none from being tried but those that stand on it.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from datetime import date, datetime, timezone
from typing import TYPE_CHECKING

from stepsize.commands.night import jobs
from stepsize.commands.night.child import do
from stepsize.commands.night.state import Night, State, parse_state, state_bytes
from stepsize.errors import LakeError, StepsizeError
from stepsize.store.reports import DAY_FILES, SNAPSHOT_FILE, STATE_FILE

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from stepsize.commands.evidence import Evidence
    from stepsize.commands.night.state import Message, Owed
    from stepsize.commands.night.targets import Target
    from stepsize.store.reports import Shelf

SETTLED_S = 15 * 60.0
"""An attempt counts in the period in which it has ended so long ago: by then one that fell silent is closed as lost
(ten minutes), so that no attempt falls between two reports."""
FIRST_PERIOD_S = 86_400.0
"""What counts as new where there is no report to compare with."""
TELL_LIMIT_S = 60.0
COMPACT, ROLL_UP, REPORT, TELL, TIDY = "compact", "rollup", "report", "notify", "tidy"


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What a night is to do.

    Attributes:
        data: the lake: a directory, or the address of an object store.
        evidence: what the report is made of, and how; its ``data`` is not looked at.
        fleet: path of a file, as for `stepsize report`, or empty.
        engine, counted, memory_bytes: with what and where tasks are counted anew; an empty engine: they are not.
        keep_days: how long reports are kept; None is for ever.
        limit_s: what each stage may take.
    """

    data: str
    evidence: Evidence
    fleet: str = ""
    engine: str = ""
    counted: str = ""
    memory_bytes: int = 0
    keep_days: int | None = 90
    limit_s: float = 7200.0

    @property
    def is_local(self) -> bool:
        """Whether the lake is a directory here."""
        return "://" not in self.data

    @property
    def asked(self) -> str:
        """How the report is made: two that differ in it are not compared."""
        parts = {**asdict(self.evidence), "data": None, "fleet": self.fleet, "counted": self.counted}
        return " ".join(f"{name}={value}" for name, value in sorted(parts.items()) if value not in ("", None))


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What a night has to say, the last of it where its report is; ``told`` addresses took its message. It went well
    where nothing ``failed``."""

    day: str
    said: tuple[str, ...]
    told: int
    warned: tuple[str, ...]
    failed: tuple[str, ...]
    was_done: bool


class Nightly:
    """The work of one night on a shelf that is locked."""

    def __init__(
        self,
        plan: Plan,
        shelf: Shelf,
        told: tuple[Target, ...],
        now: Callable[[], float],
        do: Callable[[jobs.Job, float], jobs.Done] = do,
    ) -> None:
        self._plan = plan
        self._shelf = shelf
        self._told = told
        self._now = now
        self._do = do
        self._warned: list[str] = []
        self._failed: list[str] = []
        self._state = State()

    def run(self, *, again: bool = False) -> Outcome:
        """Do what is left to do; ``again`` does all of it once more.

        Raises:
            DataError: the state on the shelf cannot be read.
            LakeError: nothing can be kept there.
        """
        day = self._begin(again=again)
        left = self._left()
        if left:
            self._keep(self._night)
        for stage, work in left:
            if not self._try(stage, work):
                break
        return Outcome(
            day=day,
            said=self._night.said,
            told=len(self._night.sent),
            warned=tuple(self._warned),
            failed=tuple(self._failed),
            was_done=not left,
        )

    def rehearse(self, into: Path) -> tuple[str, jobs.Done]:
        """What the report of this night would be, made ``into`` a directory; nothing is kept, settled or sent."""
        day = self._begin(again=True)
        return day, self._do(self._report_job(into, is_settled=False), self._plan.limit_s)

    def _begin(self, *, again: bool) -> str:
        day = f"{datetime.fromtimestamp(self._now(), timezone.utc):%Y-%m-%d}"
        state = parse_state(self._shelf.state(), self._shelf.path(STATE_FILE))
        self._state = state.begin(day, self._plan.asked, again=again)
        return day

    @property
    def _night(self) -> Night:
        assert self._state.night is not None  # a run begins with one
        return self._state.night

    def _left(self) -> list[tuple[str, Callable[[], None]]]:
        """What is still to do; there is somebody to tell where one was named since, too."""
        done = set(self._night.done) - ({TELL} if self._untold() or self._creditors() else set())
        return [(stage, work) for stage, work in self._stages() if stage not in done]

    def _stages(self) -> Iterator[tuple[str, Callable[[], None]]]:
        if self._plan.is_local:
            yield COMPACT, self._compact
        if self._plan.engine:
            yield ROLL_UP, self._roll_up
        yield REPORT, self._report
        yield TELL, self._tell
        yield TIDY, self._tidy

    def _try(self, stage: str, work: Callable[[], None]) -> bool:
        """Whether to go on."""
        try:
            work()
        except StepsizeError as error:
            self._failed.append(f"{stage}: {error}")
            return stage not in (ROLL_UP, REPORT)
        return True

    def _compact(self) -> None:
        self._done(COMPACT, self._do(jobs.Compact(data=self._plan.data), self._plan.limit_s))

    def _roll_up(self) -> None:
        plan = self._plan
        job = jobs.RollUp(data=plan.data, into=plan.counted, engine=plan.engine, memory_bytes=plan.memory_bytes)
        self._done(ROLL_UP, self._do(job, plan.limit_s))

    def _report(self) -> None:
        """Files first, then the link, then the word that it is done: whoever follows the link finds a whole report."""
        day = self._night.day
        with self._shelf.staging() as made:
            done = self._do(self._report_job(made, is_settled=True), self._plan.limit_s)
            for name in DAY_FILES:
                self._shelf.put(day, name, (made / name).read_bytes())
        self._shelf.link(day)
        self._state = replace(self._state, night=replace(self._night, message=done.message))
        self._done(REPORT, done, self._shelf.where(day, "report.html"))

    def _report_job(self, into: Path, *, is_settled: bool) -> jobs.Report:
        plan = self._plan
        last = self._state.last
        content = None if last is None else self._shelf.get(last, SNAPSHOT_FILE)
        if content is not None:
            try:
                (into / "last.json").write_bytes(content)
            except OSError as error:
                raise LakeError(f"cannot keep reports: {into}: {error.strerror}; make room, or mend its mode") from None
        return jobs.Report(
            data=plan.counted or plan.data,
            settle=plan.data if is_settled else "",
            into=str(into),
            day=self._night.day,
            evidence=plan.evidence,
            fleet=plan.fleet,
            asked=plan.asked,
            first_period_s=FIRST_PERIOD_S,
            until_s=self._now() - SETTLED_S,
            last="" if content is None else str(into / "last.json"),
            where=self._shelf.where(self._night.day, "report.html"),
        )

    def _untold(self) -> list[Target]:
        if self._night.message is None:
            return []
        return [target for target in self._told if target.digest not in self._night.sent]

    def _creditors(self) -> list[tuple[Owed, Target]]:
        """Who is still there and did not take what was told on an earlier day."""
        return [(owed, one) for owed in self._state.owed for one in self._told if one.digest in owed.to]

    def _tell(self) -> None:
        """Each address by itself, what it missed first; that it took a message is kept before the next is tried."""
        away: set[str] = set()
        for owed, target in self._creditors():
            if target.digest not in away and self._send(target, owed.message):
                self._state = self._state.paid(owed.day, target.digest)
                self._keep(self._night)
            else:
                away.add(target.digest)
        for target in self._untold():
            if target.digest not in away and self._night.message and self._send(target, self._night.message):
                self._keep(replace(self._night, sent=(*self._night.sent, target.digest)))
            elif target.digest not in self._night.missed:
                self._keep(replace(self._night, missed=(*self._night.missed, target.digest)))
        if not self._night.tried:
            self._keep(replace(self._night, tried=True))
        if not self._untold() and not self._creditors():
            self._done(TELL, jobs.Done())

    def _send(self, target: Target, message: Message) -> bool:
        """Whether it took it; an address that did not is told nothing more by this start."""
        job = jobs.Tell(name=target.name, url=target.url, title=message.title, body=message.body)
        try:
            self._do(job, TELL_LIMIT_S)
        except StepsizeError as error:
            self._failed.append(f"{TELL}: {error}")
            return False
        return True

    def _tidy(self) -> None:
        """Never the report that this one was compared with; by the older of both days, so that a clock that is wrong
        for a night deletes nothing."""
        day, last = self._night.day, self._state.last
        if self._plan.keep_days is not None:
            now = date.fromisoformat(min(day, last or day)).toordinal()
            for one in self._shelf.days():
                if _ordinal(one) < now - self._plan.keep_days and one not in (day, last):
                    self._shelf.remove(one)
        self._done(TIDY, jobs.Done())

    def _done(self, stage: str, done: jobs.Done, *said: str) -> None:
        self._warned += done.warned
        self._keep(self._night.after(stage, *done.said, *said))

    def _keep(self, night: Night) -> None:
        self._state = replace(self._state, night=night)
        self._shelf.keep(state_bytes(self._state))


def _ordinal(day: str) -> int:
    """The number of a day; one that no calendar has is for ever."""
    try:
        return date.fromisoformat(day).toordinal()
    except ValueError:
        return date.max.toordinal()
