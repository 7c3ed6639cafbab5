"""Retention as it is configured: nothing is dropped unless somebody says so, and then in words that are understood."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from stepsize.collector.config.service import default_text, parse
from stepsize.collector.limits import SinkLimits, UpkeepLimits
from stepsize.collector.sink.settings import SinkSettings
from stepsize.errors import ConfigError
from stepsize.store.retention import Retention
from tests.upkeep.lake import FIRST, commit, levels, samples, seen
from tests.upkeep.test_erase import environment

DAY_S = 86_400.0


def configured(retention: str) -> Retention:
    text = f"""
receivers: {{otlp: {{protocols: {{http: {{endpoint: "127.0.0.1:0"}}}}}}}}
exporters: {{parquet: {{retention: {retention}}}}}
service: {{pipelines: {{metrics: {{receivers: [otlp], exporters: [parquet]}}}}}}
"""
    parquet = parse(text, "c.yaml", {}).parquet
    assert parquet is not None
    return parquet.upkeep.retention


def test_nothing_is_dropped_by_default() -> None:
    """Neither by what is shipped, nor where the section is left out or empty."""
    shipped = parse(default_text(), "c.yaml", {}).parquet
    assert shipped is not None
    assert shipped.upkeep.retention == Retention() == configured("{}") == configured("")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("{points: 30d, tasks: 2y, max_size: 50GiB}", Retention(30 * DAY_S, 730 * DAY_S, 50 << 30)),
        ("{points: 1.5w, max_size: 1TB}", Retention(10.5 * DAY_S, None, 10**12)),
        ("{points: 720h}", Retention(30 * DAY_S)),
        ("{points: 0, tasks: 0s, max_size: 0}", Retention()),
    ],
)
def test_ages_and_sizes(text: str, expected: Retention) -> None:
    """Days, weeks and years beside what Go writes; 0 is for ever. The sink's process is told the same."""
    retention = configured(text)
    assert retention == expected
    limits = SinkLimits(upkeep=UpkeepLimits(retention))
    settings = SinkSettings(data=Path("/d"), state=Path("/s"), writer=FIRST, limits=limits)
    assert SinkSettings.from_json(settings.to_json()) == settings


@pytest.mark.parametrize(
    "text", ["{points: 30}", "{points: 30 days}", "{points: 1h}", "{points: -3d}", "{max_size: x}"]
)
def test_what_is_not_understood(text: str) -> None:
    """A number without a unit, less than a day, nonsense: one line that says how to write it."""
    with pytest.raises(ConfigError, match=r"c\.yaml:\d+: exporters\.parquet\.retention\.\w+: "):
        configured(text)


def compact(data: Path, home: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "stepsize", "compact", "--data", str(data), *arguments]
    return subprocess.run(
        command, env=environment(home, home), capture_output=True, text=True, check=False, timeout=60, cwd=home
    )


def test_the_command_compacts_and_drops_what_it_is_told(tmp_path: Path) -> None:
    """Days that are past are compacted at once; what is older goes where an age is given; a lake has to be there."""
    data = tmp_path / "lake"
    assert compact(data, tmp_path).returncode == 1
    commit(data, FIRST, *samples(1, 3))
    commit(data, FIRST, *samples(1, 3), *samples(1, 3, task="2"))
    commit(data, FIRST, *samples(60, 3))
    done = compact(data, tmp_path, "--keep-points", "30d")
    assert (done.returncode, done.stdout) == (0, "2 files compacted to 1, 1 dropped\n"), done.stderr
    assert len(seen(data)) == 6
    assert levels(data, FIRST) == [64]
    assert compact(data, tmp_path, "--keep-points", "soon").returncode == 2
