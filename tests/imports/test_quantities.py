"""Amounts as workflow programs print them: what their own code prints is read as what it was made of."""

from __future__ import annotations

import contextlib
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stepsize.collector.imports import quantities
from stepsize.collector.imports.quantities import QuantityError

NEXTFLOW_UNITS = ("B", "KB", "MB", "GB", "TB", "PB", "EB")


def nextflow_memory(size: int) -> str:
    """As Nextflow's ``MemoryUnit.toString`` prints it: one decimal at most, units of 1024."""
    if size <= 0:
        return "0"
    group = int(math.log10(size) / math.log10(1024))
    return f"{round(size / 1024**group, 1):g} {NEXTFLOW_UNITS[group]}"


def nextflow_time(millis: int) -> str:
    """As its ``Duration.toString`` prints it."""
    if millis < 1000:
        return f"{millis}ms"
    if millis < 60_000:
        return f"{math.floor(millis / 100 + 0.5) / 10}s"
    seconds = math.floor(millis / 1000 + 0.5)
    parts = (("d", seconds // 86400), ("h", seconds // 3600 % 24), ("m", seconds // 60 % 60), ("s", seconds % 60))
    return " ".join(f"{value}{unit}" for unit, value in parts if value)


def slurm_time(seconds: int) -> str:
    """As SLURM's ``secs2time_str`` prints it."""
    days, rest = divmod(seconds, 86400)
    clock = f"{rest // 3600:02d}:{rest // 60 % 60:02d}:{rest % 60:02d}"
    return f"{days}-{clock}" if days else clock


@given(st.integers(0, 1 << 50))
def test_memory_that_nextflow_rounded_is_never_less_than_it_was(size: int) -> None:
    """The most that the text may stand for: at or above the true size, and no more than a tenth of a unit above."""
    text = nextflow_memory(size)
    found = quantities.binary_bytes(text, upper=True)
    assert found is not None
    unit = 1024 ** NEXTFLOW_UNITS.index(text.split()[1]) if size else 1
    assert size <= found <= size + unit / 10 + 1


@given(st.integers(0, 10**18))
def test_a_bare_number_is_bytes(size: int) -> None:
    """As `trace.raw` and `sacct --noconvert` print it, whether or not it is a peak."""
    assert quantities.binary_bytes(str(size)) == quantities.binary_bytes(str(size), upper=True) == size


@given(st.integers(0, 100 * 86400 * 1000))
def test_times_of_nextflow(millis: int) -> None:
    """Within what its rounding leaves: half a second, or half a tenth below a minute."""
    found = quantities.spans_s(nextflow_time(millis))
    assert found is not None
    assert abs(found - millis / 1000) <= (0.0501 if millis < 60_000 else 0.501)
    assert quantities.spans_s(str(millis)) == pytest.approx(millis / 1000)


@given(st.integers(0, 1000 * 86400))
def test_times_of_slurm(seconds: int) -> None:
    """Days, hours, minutes and seconds; `ElapsedRaw` is bare."""
    assert quantities.clock_s(slurm_time(seconds)) == seconds
    assert quantities.clock_s(str(seconds)) == seconds


@given(st.integers(0, 59), st.integers(0, 59), st.integers(0, 999))
def test_cpu_times_of_slurm(minutes: int, seconds: int, millis: int) -> None:
    """`TotalCPU` below an hour has no hours but milliseconds."""
    found = quantities.clock_s(f"{minutes:02d}:{seconds:02d}.{millis:03d}")
    assert found == pytest.approx(minutes * 60 + seconds + millis / 1000)


READERS = (
    quantities.number,
    quantities.whole,
    quantities.percent,
    quantities.binary_bytes,
    quantities.spans_s,
    quantities.clock_s,
)


@given(text=st.text(max_size=40) | st.from_regex(r"[0-9.:\-dhms KMGTB%e+]{0,20}"))
def test_any_text_is_an_amount_or_an_error(text: str) -> None:
    """Never negative, never infinite, never another exception, whoever reads it."""
    for read in READERS:
        with contextlib.suppress(QuantityError):
            found = read(text)
            assert found is None or 0 <= found < math.inf


@pytest.mark.parametrize("read", READERS)
@pytest.mark.parametrize("text", ["", "-", " NA ", "Unknown", "null", "nan"])
def test_what_is_not_known_is_none(read: type, text: str) -> None:
    """Not zero."""
    assert read(text) is None


@pytest.mark.parametrize(
    ("text", "expected"),
    [("4 GB", 4 << 30), ("16G", 16 << 30), ("123456K", 123456 << 10), ("1.5G", 3 << 29), ("7 B", 7), ("0", 0)],
)
def test_sizes(text: str, expected: int) -> None:
    """Units are powers of 1024, with and without a space or a B."""
    assert quantities.binary_bytes(text) == expected


@pytest.mark.parametrize(
    ("read", "text"),
    [
        (quantities.binary_bytes, "4 XB"),
        (quantities.binary_bytes, "-4 GB"),
        (quantities.spans_s, "3 fortnights"),
        (quantities.spans_s, "1h x"),
        (quantities.clock_s, "1:2:3:4"),
        (quantities.number, "1,5"),
        (quantities.whole, "1.5"),
        (quantities.number, "1e300"),
    ],
)
def test_other_text_is_refused(read: type, text: str) -> None:
    """With what it is in the message."""
    with pytest.raises(QuantityError, match="is "):
        read(text)


def test_instants() -> None:
    """A time without a zone is of the zone that was given; a number is since 1970."""
    import datetime as dt  # noqa: PLC0415 - of this test alone

    utc = dt.timezone.utc
    noon = dt.datetime(2026, 11, 1, 12, 0, tzinfo=utc).timestamp()
    assert quantities.instant_s("2026-11-01T12:00:00", utc) == noon
    assert quantities.instant_s("2026-11-01 12:00:00.250", utc) == noon + 0.25
    assert quantities.instant_s("2026-11-01T13:00:00+01:00", None) == noon
    assert quantities.instant_s("2026-11-01T13:00:00", dt.timezone(dt.timedelta(hours=1))) == noon
    assert quantities.instant_s(str(int(noon * 1000)), None, bare_s=0.001) == noon
    assert quantities.instant_s("Unknown", utc) is None
    with pytest.raises(QuantityError, match="no date"):
        quantities.instant_s("yesterday", utc)
