"""A token is renewed while points wait: a real collector that asks for one has all of them, once, under the new one."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest

from stepsize.commands.settle import settle
from stepsize.instrumentation.agent.spools import pending_points, waiting
from stepsize.settings import Settings
from tests.collector import running
from tests.instrumentation.conftest import end_agent

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.collector.running import RunningCollector
    from tests.instrumentation.conftest import Place

CONFIG = """
extensions: {{bearertokenauth: {{filename: {tokens}}}}}
receivers: {{otlp: {{protocols: {{http: {{endpoint: "127.0.0.1:{port}", auth: {{authenticator: bearertokenauth}}}}}}}}}}
exporters: {{parquet: {{}}}}
service:
  extensions: [bearertokenauth]
  pipelines: {{metrics: {{receivers: [otlp], exporters: [parquet]}}}}
"""


@dataclass
class Platform:
    """A collector that admits who has a token, on a port that it keeps."""

    place: running.Place
    port: int = 0

    def collect(self, *tokens: str) -> RunningCollector:
        file = self.place.home / "tokens"
        file.write_text("\n".join(tokens) + "\n")
        collector = self.place.collect(CONFIG.format(tokens=file, port=self.port))
        self.port = int(collector.http.rpartition(":")[2])
        return collector


@pytest.fixture
def platform(tmp_path: Path) -> Iterator[Platform]:
    home = tmp_path / "platform"
    home.mkdir()
    with running.place_in(home) as made:
        yield Platform(made)


def _host(place: Place, port: int, token: str, monkeypatch: pytest.MonkeyPatch) -> Settings:
    """Settings of the host once it has been given this token."""
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", f"http://127.0.0.1:{port}")
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_HEADERS", f"Authorization=Bearer%20{token}")
    settings = Settings.load(os.environ, data=place.home / "data", runtime=place.runtime, interval_s=0.2)
    place.used.append(settings)
    return settings


def _run(place: Place, settings: Settings, name: str) -> None:
    headers = os.environ["OTEL_EXPORTER_OTLP_HEADERS"]
    place.run(settings, name, "time.sleep(0.3)", env={"OTEL_EXPORTER_OTLP_HEADERS": headers})


@pytest.mark.parametrize("when", ["refused", "down"])
def test_points_kept_under_the_old_token_arrive_under_the_new_one(
    place: Place, platform: Platform, monkeypatch: pytest.MonkeyPatch, when: str
) -> None:
    """Whether the old one was refused or the collector was away meanwhile; nothing twice, nothing left on the host."""
    collector = platform.collect("new-token")
    if when == "down":
        collector.terminate()
    old = _host(place, platform.port, "old-token", monkeypatch)
    _run(place, old, "kept")
    end_agent(old)
    (kept,) = waiting(old)
    assert (kept.barred, kept.is_ours) == (when == "refused", True)
    assert kept.destination == f"http://127.0.0.1:{platform.port}"
    assert "old-token" not in kept.waits_for + (kept.directory / "destination.json").read_text()
    if when == "down":
        collector = platform.collect("new-token")
    new = _host(place, platform.port, "new-token", monkeypatch)
    assert pending_points(new) == kept.points
    assert settle(new, running.DEADLINE_S) == []
    assert (pending_points(new), waiting(new)) == (0, [])
    collector.flush()
    assert platform.place.rows("SELECT count(*) FROM exact_points") == [(kept.points,)]
    assert platform.place.rows("SELECT task, outcome FROM tasks") == [("kept", "ok")]
