"""Upkeep by a collector that runs: its own files and those that others have left, while requests come in."""

from __future__ import annotations

import os
import time

from stepsize.store.layout import make_directory
from stepsize.store.merge import DAY
from tests.collector.otlp import RequestBuilder, identity
from tests.collector.running import CONFIG, Place, wait_for
from tests.upkeep.lake import FIRST, SECOND_WRITER, commit, levels, samples

RETENTION = CONFIG.replace("parquet: {}", "parquet: {linger: 1s, retention: {points: 30d}}")
"""Attempts that linger for a second have the sink look every quarter of it."""


def test_a_collector_tends_the_lake(place: Place) -> None:
    """Its days that are past are compacted, those of a writer that is gone too; of what both hold one copy stays, what
    is too old goes, and what comes in meanwhile is stored. Its end does not wait for work that goes on."""
    data = place.settings.data
    for writer in (FIRST, SECOND_WRITER):
        for start in range(0, 40, 10):
            commit(data, writer, *samples(2, 40)[start : start + 10])
        commit(data, writer, *samples(40, 5))
    quiet_s = time.time() - 2 * 3600
    for path in data.glob("points/*/*.parquet"):
        os.utime(path, (quiet_s, quiet_s))
    make_directory(place.settings.state_dir)
    (place.settings.state_dir / "writer").write_text(f"{FIRST}\n")
    collector = place.collect(RETENTION)
    request = RequestBuilder(identity("1")).gauge("n", [(time.time_ns(), 1)]).content()
    assert collector.post(request)[0] == 200
    collector.flush()
    wait_for(lambda: DAY in levels(data, FIRST), "the collector's own files")
    past = "SELECT count(*), count(DISTINCT time) FROM points WHERE metric <> 'n'"
    wait_for(lambda: place.rows(past) == [(40, 40)], "those of the writer that is gone")
    assert collector.terminate() == 0
    assert levels(data, FIRST) == [0, DAY]
    assert place.rows("SELECT count(*) FROM points WHERE metric = 'n'") == [(1,)]
    assert levels(data, SECOND_WRITER) == []
