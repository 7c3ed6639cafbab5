"""The collector's clock is set while it runs: nothing is closed by it, and every point stays on its day."""

from __future__ import annotations

import time
from pathlib import Path

from tests.collector.otlp import SECOND, RequestBuilder, identity
from tests.collector.running import RunningCollector, wait_for
from tests.durability.campaign import CONFIG
from tests.durability.faults import Clock
from tests.durability.site import Site

SILENCE_S = 3.0


def say(collector: RunningCollector, task: str) -> None:
    """A task gives a sign of life, by its own clock, which is right."""
    request = RequestBuilder(identity(task)).gauge("stepsize.task.memory.usage", [(time.time_ns(), 1)], unit="By")
    assert collector.post(request.content())[0] == 200


def outcomes(site: Site) -> dict[str, str | None]:
    return dict(site.rows("SELECT task, outcome FROM tasks"))


def seconds_until(site: Site, task: str, outcome: str) -> float:
    started_s = time.monotonic()
    wait_for(lambda: outcomes(site).get(task) == outcome, f"{task} to be {outcome}")
    return time.monotonic() - started_s


def test_a_clock_that_is_set(site: Site, tmp_path: Path) -> None:
    """Two hours forward close no attempt early, four hours back none late; days and readers' files stay."""
    site.clock = Clock(tmp_path / "clock")
    site.config = CONFIG.replace("linger: 2s", f"linger: 1h, silence: {SILENCE_S:.0f}s")
    collector = site.collect()
    say(collector, "before")
    site.flush()
    with site.lake.reading() as reader:
        set_s = time.monotonic()
        site.clock.set(7200)
        # The silence of an attempt that was heard a moment ago begins anew: it is not closed because hours have passed.
        seconds_until(site, "before", "lost")
        assert time.monotonic() - set_s > SILENCE_S
        say(collector, "between")
        site.flush()
        site.clock.set(-7200)
        say(collector, "after")
        assert seconds_until(site, "between", "lost") < 4 * SILENCE_S
        assert reader.execute("SELECT task FROM points").fetchall() == [("before",)]
    say(collector, "between")
    site.flush()
    assert outcomes(site)["between"] is None
    wrong = "SELECT count(*) FROM points WHERE day <> time::DATE OR abs(epoch_ns(time) - ?) > ?"
    with site.lake.reading() as reader:
        assert reader.execute(wrong, [time.time_ns(), 600 * SECOND]).fetchall() == [(0,)]
        assert reader.execute("SELECT count(*), count(DISTINCT task) FROM points").fetchall() == [(4, 3)]
