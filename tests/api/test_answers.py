"""What a recording answers: numbers that are right, whatever came when."""

from __future__ import annotations

import bisect
import json
import math
from pathlib import Path
from typing import Any

import duckdb
import pytest
from hypothesis import given
from hypothesis import strategies as st

import stepsize
from stepsize.api.recorded import Recorded
from stepsize.api.tables import SAME_ROUND_S, latest_by
from stepsize.errors import DataError, UsageError
from stepsize.instrumentation.recording import HOST_FIELDS, TASK_FIELDS, TIME
from stepsize.model import Identity, Outcome, Request, cpu_bucket, cpu_quantile
from stepsize.testing import write_tasks
from tests.analyzer.rows import row
from tests.api.recordings import GIB, START_S, recorded, steady

_VALUE = st.none() | st.floats(0, 1e12, allow_subnormal=False)


def _rows(fields: Any) -> st.SearchStrategy[list[dict[str, float | None]]]:
    """Records in the order of time."""
    record = st.fixed_dictionaries({TIME: st.floats(0.001, 30), **{field.name: _VALUE for field in fields[:6]}})
    return st.lists(record, max_size=12)


def _columns(rows: list[dict[str, float | None]]) -> dict[str, list[float | None]]:
    columns: dict[str, list[float | None]] = {TIME: []}
    moment = 0.0
    for record in rows:
        moment += record[TIME] or 0.0
        for name, value in record.items():
            columns.setdefault(name, []).append(moment if name == TIME else value)
    return columns


def test_an_even_load_in_numbers(tmp_path: Path) -> None:
    """CPU by time, peaks, means and what grew, in the units of the names."""
    found = recorded(tmp_path, task=steady(10, cores=2.0, memory_bytes=3 * GIB))
    stats = found.stats()
    assert (stats.samples, stats.duration_s) == (10, 10)
    assert (stats.cpu_seconds, stats.cpu_mean, stats.cpu_max) == (20, 2, 2)
    assert stats.cpu_p95 == pytest.approx(2.0)
    assert (stats.memory_mean_bytes, stats.memory_peak_bytes) == (3 * GIB, 3 * GIB)
    assert stats["process_memory_mib"].mean == 3 * 1024
    assert stats["process_utime"].total == 20
    assert stats["process_children"].maximum == 2
    assert stats["process_gpu_usage"].mean is None
    assert stats["system_cpu_usage"].count == 0


def test_a_mean_is_over_time(tmp_path: Path) -> None:
    """A value that held for nine seconds weighs nine times one that held for one."""
    found = recorded(tmp_path, task={TIME: [1, 10], "memory_bytes": [GIB, 2 * GIB]})
    assert found.stats().memory_mean_bytes == pytest.approx(1.9 * GIB)


def test_what_grew_while_it_could_not_be_read_is_in_the_next_row(tmp_path: Path) -> None:
    """Nothing is lost, and the row itself is absent."""
    found = recorded(tmp_path, task={TIME: [1, 2, 3], "disk_write_bytes": [5, None, 12]})
    assert found.metrics("process")["disk_write_bytes"].to_pylist() == [5, None, 7]
    assert found.stats().disk_write_bytes == 12


def test_the_host_is_told_row_by_row_beside_the_attempt(tmp_path: Path) -> None:
    """Each row has what of the host had been sampled by then; what grew adds up to what the host's own rows say."""
    host = {TIME: [0.0, 1.001, 2.001], "cpu_user_s": [100.0, 101.0, 105.0], "cpu_system_s": [7.0, 7.0, 7.0]}
    host |= {"net_received_bytes": [1000.0, 1500.0, 1900.0], "memory_used_bytes": [GIB, 2 * GIB, 3 * GIB]}
    task = {TIME: [0.5, 1.0, 1.5, 2.0], "cpu_cores": [1.0] * 4}
    found = recorded(tmp_path, task=task, host=host)
    table = found.metrics()
    assert table["system_memory_used_mib"].to_pylist() == [1024, 2048, 2048, 3072]
    assert table["system_net_recv_bytes"].to_pylist() == [None, 500, 0, 400]
    assert table["system_cpu_usage"].to_pylist()[1:] == pytest.approx([1 / 1.001, 1 / 1.001, 4.0])
    assert found.stats()["system_net_recv_bytes"].total == 900


@given(st.lists(st.floats(0.001, 2), max_size=30), st.lists(st.floats(0.001, 2), max_size=30))
def test_the_last_sample_by_a_moment_is_found(moments: list[float], samples: list[float]) -> None:
    """As a search for each of them would find it."""
    moments_s = [sum(moments[: n + 1]) for n in range(len(moments))]
    samples_s = [sum(samples[: n + 1]) for n in range(len(samples))]
    expected = [bisect.bisect_right(samples_s, moment + SAME_ROUND_S) - 1 for moment in moments_s]
    assert list(latest_by(moments_s, samples_s)) == expected


@given(task=_rows(TASK_FIELDS), host=_rows(HOST_FIELDS), cut=st.integers(0, 12))
def test_looking_twice_gives_what_looking_once_does(
    task: list[dict[str, float | None]], host: list[dict[str, float | None]], cut: int
) -> None:
    """Statistics folded in two parts are those of the whole."""
    data = Path("/nonexistent")
    whole = recorded(data, task=_columns(task), host=_columns(host)).stats()
    partly = recorded(data, task=_columns(task[:cut]), host=_columns(host[:cut]))
    partly.stats()
    rest = recorded(data, task=_columns(task), host=_columns(host))
    for stream, other in ((partly._task, rest._task), (partly._host, rest._host)):
        stream.load({name: column[len(stream) :] for name, column in other.columns.items()})
    again = partly.stats()
    assert set(again.columns) == set(whole.columns)
    for name, statistic in whole.columns.items():
        for part in ("count", "mean", "minimum", "maximum", "total", "latest"):
            one, other_value = getattr(statistic, part), getattr(again[name], part)
            assert (one is None) == (other_value is None), (name, part)
            assert one is None or math.isclose(one, other_value, rel_tol=1e-9, abs_tol=1e-6), (name, part)


@given(st.lists(st.floats(0, 8000), min_size=1, max_size=50))
def test_time_is_counted_by_the_buckets_of_the_lake(cores: list[float]) -> None:
    """A recording's histogram is what `stepsize.model.cpu_bucket` makes of each second."""
    seconds = [float(n) for n in range(1, len(cores) + 1)]
    found = recorded(Path("/nonexistent"), task={TIME: seconds, "cpu_cores": cores})
    expected: dict[int, float] = {}
    for value in cores:
        expected[cpu_bucket(value)] = expected.get(cpu_bucket(value), 0.0) + 1
    assert found.seen().cpu_histogram == pytest.approx(expected)
    assert found.stats().cpu_p95 == cpu_quantile(expected, 0.95)


def test_names_units_and_rows_as_asked_for(tmp_path: Path) -> None:
    """Human names, own prefixes, bytes, and the rows that are new."""
    found = recorded(tmp_path, task=steady(5))
    assert found.metrics("process", human_names=True).column_names[:3] == ["Timestamp", "PID", "children"]
    own = found.metrics(system_prefix="s.", process_prefix="p.")
    assert {"timestamp", "s.cpu_usage", "p.cpu_usage"} <= set(own.column_names)
    in_bytes = found.metrics("process", in_bytes=True)
    assert in_bytes["memory_bytes"].to_pylist() == [GIB] * 5
    assert found.metrics(offset=3).num_rows == 2
    with pytest.raises(UsageError, match="combined, process and system"):
        found.metrics("everything")  # type: ignore[arg-type]  # what the types forbid, on purpose
    with pytest.raises(UsageError, match="arrow and pandas"):
        found.metrics(to="polars")  # type: ignore[arg-type]  # what the types forbid, on purpose


def test_a_saved_recording_answers_the_same(tmp_path: Path) -> None:
    """Through one Parquet file, which any reader reads."""
    identity = Identity("Flow", "1", "step", "1", user="ann", request=Request(cpu=4), annotations={"rows": 3})
    before = recorded(tmp_path, task=steady(50), host={TIME: [1, 2], "cpus": [8, 8]}, identity=identity)
    after = stepsize.load(before.save(tmp_path / "attempt.parquet"))
    assert after.identity == identity
    assert (after.pid, after.outcome, after.running) == (42, Outcome.OK, False)
    assert after.stats() == before.stats()
    for of in ("combined", "process", "system"):
        assert after.metrics(of).equals(before.metrics(of))  # type: ignore[arg-type]  # what the types forbid, on purpose
    assert after.recommend() == before.recommend()
    assert stepsize.loads(before.dumps()).stats() == before.stats()
    counted = duckdb.sql(f"SELECT count(*) FROM '{tmp_path / 'attempt.parquet'}' WHERE of = 'task'").fetchall()
    assert counted == [(50,)]


def test_what_is_no_recording_is_refused(tmp_path: Path) -> None:
    """In one line: bytes of something else, a Parquet file of something else, no file."""
    with pytest.raises(DataError, match="not a saved recording"):
        stepsize.loads(b"something else")
    other = tmp_path / "other.parquet"
    duckdb.sql(f"COPY (SELECT 1 AS a) TO '{other}'")
    with pytest.raises(DataError, match="not a saved recording"):
        stepsize.load(other)
    with pytest.raises(UsageError, match="cannot read"):
        stepsize.load(tmp_path / "missing.parquet")


def test_an_attempt_alone_is_advised_on(tmp_path: Path) -> None:
    """More than its peak, the cores that were enough; servers that have both; a page."""
    found = recorded(tmp_path, task=steady(100, cores=3.0, memory_bytes=4 * GIB))
    advice = found.recommend()
    assert advice.cpu.value == 3
    assert advice.memory_mb.value is not None
    assert 4 * GIB < advice.memory_mb.value * 10**6 < 16 * GIB
    offers = found.match(limit=3)
    assert len(offers) == 3
    assert all(offer.vcpus >= 3 and offer.memory_mib * 2**20 >= advice.memory_mb.value * 10**6 for offer in offers)
    assert offers == sorted(offers, key=lambda offer: offer.price_hourly)
    assert {offer.vendor_id for offer in found.match(vendors=("aws",))} == {"aws"}
    page = found.report()
    assert page.startswith("<!")
    assert "Flow/step" in page
    assert page.save(tmp_path / "page.html").read_text(encoding="utf-8") == page
    (step,) = json.loads(found.report(format="json"))
    assert step["recommended"]["cpu"] == 3


def test_other_recordings_count_as_history(tmp_path: Path) -> None:
    """The highest peak among them is what is asked for; the attempt itself counts once."""
    small = recorded(tmp_path, task=steady(100, memory_bytes=GIB), name="1")
    large = recorded(tmp_path, task=steady(100, memory_bytes=8 * GIB), name="2")
    alone, together = small.recommend().memory_mb.value, small.recommend(history=[large, small]).memory_mb.value
    assert alone is not None
    assert together is not None
    assert together * 10**6 >= 8 * GIB > alone * 10**6
    assert large.recommend(history=[small]) == small.recommend(history=[large])


def test_the_lake_s_history_counts_where_it_is_asked_for(tmp_path: Path) -> None:
    """All of it or the newest runs; the attempt's own row there is not counted again."""
    found = recorded(tmp_path, task=steady(100, memory_bytes=GIB))
    assert found.recommend(history=True) == found.recommend()  # there is no lake yet
    rows = [
        row(flow="Flow", step="step", run=str(run), task="9", user="ann", memory_peak_bytes=peak, project=None)
        for run, peak in ((5, 20 * GIB), (6, 2 * GIB))
    ]
    own = {"flow": "Flow", "run": "1", "step": "step", "task": "1", "attempt": 0, "user": "ann", "outcome": "ok"}
    write_tasks(tmp_path, [*rows, {**rows[0], **own}])
    everything = json.loads(found.report(history=True, format="json"))
    assert everything[0]["tasks"] == 3
    advised = found.recommend(history=True).memory_mb.value
    assert advised is not None
    assert advised * 10**6 > 20 * GIB


def test_an_attempt_that_runs_is_advised_on_by_what_it_has_shown(tmp_path: Path) -> None:
    """And the reasons say that it does."""
    found = recorded(tmp_path, task=steady(60), ended_s=None, outcome=None)
    advice = found.recommend()
    assert advice.memory_mb.value is not None
    assert any("still runs" in reason for reason in advice.reasons)


def test_no_samples_no_advice(tmp_path: Path) -> None:
    """An attempt of which nothing is known has nothing to ask for, and the reasons say so."""
    found = recorded(tmp_path)
    assert found.recommend().memory_mb.value is None
    assert found.recommend().all_reasons
    assert found.match() == []
    assert found.report().startswith("<!")


def test_times_are_those_of_the_samples(tmp_path: Path) -> None:
    """Seconds since 1970, rising."""
    found: Recorded = recorded(tmp_path, task=steady(3))
    assert found.metrics("process")["timestamp"].to_pylist() == [START_S + second for second in (1, 2, 3)]


def test_a_quota_and_threads_are_part_of_the_advice(tmp_path: Path) -> None:
    """While it runs, after it, and once it was saved: a quota of two cores that threw out 16 threads."""
    task = steady(100, cores=2.0)
    task |= {"throttled_s": [0.5 * s for s in range(1, 101)], "cpu_limit_cores": [None, *[2.0] * 99]}
    identity = Identity("Flow", "1", "step", "1", request=Request(cpu=2.0))
    for end in ({}, {"ended_s": None, "outcome": None}):
        found = recorded(tmp_path, task=task, identity=identity, threads={"OMP_NUM_THREADS": "16"}, **end)
        for seen in (found, stepsize.loads(found.dumps())):
            said = " ".join(seen.recommend().cpu.reasons)
            assert "A quota held it back for 50% of the run time" in said
            assert "OMP_NUM_THREADS=16 starts more threads than 3: set it to 3." in said
