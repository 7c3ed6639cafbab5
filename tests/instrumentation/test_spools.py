"""What waits on this machine, as people are told: where, for whom, how much, since when and why."""

from __future__ import annotations

import os
from dataclasses import replace
from typing import TYPE_CHECKING

from stepsize.instrumentation.agent.account import account_of
from stepsize.instrumentation.agent.delivery import Request
from stepsize.instrumentation.agent.label import Label
from stepsize.instrumentation.agent.spool import Spool
from stepsize.instrumentation.agent.spools import directory_of, pending_points, waiting
from stepsize.settings import Settings

if TYPE_CHECKING:
    from pathlib import Path

URL = "http://ann:5ecret@collector.example:4318"


def _environ(token: str, tenant: str = "a") -> dict[str, str]:
    headers = f"authorization=Bearer%20{token},x-scope-orgid={tenant}"
    return {"OTEL_EXPORTER_OTLP_ENDPOINT": URL, "OTEL_EXPORTER_OTLP_HEADERS": headers}


def _spool(environ: dict[str, str], data: Path, *, time_unix_s: float = 1.0, **label: object) -> Settings:
    settings = Settings.load(environ, data=data)
    account = account_of(settings, environ)
    said = replace(Label(account.digest, account.destination, account.headers), **label)
    spool = Spool(directory_of(settings), 1 << 20, label=said, now_unix_s=lambda: time_unix_s)
    spool.add(Request(os.urandom(100), 7))
    spool.release()
    return settings


def test_each_spool_is_told(tmp_path: Path) -> None:
    """Its destination without secrets, what is in it, and whether these settings send it: whatever the token."""
    _spool(_environ("old"), tmp_path, time_unix_s=5.0)
    _spool(_environ("old", tenant="b"), tmp_path, time_unix_s=6.0)
    settings = _spool(_environ("new"), tmp_path, time_unix_s=7.0)
    found = sorted(waiting(settings, _environ("new")), key=lambda each: each.oldest_unix_s or 0)
    assert [each.is_ours for each in found] == [True, False, True]
    assert [each.oldest_unix_s for each in found] == [5.0, 6.0, 7.0]
    assert {(each.requests, each.points, each.damaged) for each in found} == {(1, 7, 0)}
    assert all(each.size_bytes == next(each.directory.glob("*.gz")).stat().st_size for each in found)
    assert {(each.destination, each.headers) for each in found} == {
        ("http://collector.example:4318", ("x-scope-orgid",))
    }
    assert pending_points(settings, _environ("new")) == 14
    assert not any("5ecret" in repr(each) + each.waits_for for each in found)


def test_what_it_waits_for_is_told(tmp_path: Path) -> None:
    """A task, an answer, other credentials; of one that says nothing of itself, the settings it was kept under."""
    _spool(_environ("1", "a"), tmp_path, time_unix_s=1)
    _spool(_environ("1", "b"), tmp_path, time_unix_s=2, reason="Connection refused")
    _spool(_environ("1", "c"), tmp_path, time_unix_s=3, reason="HTTP 401", barred=True)
    settings = _spool(_environ("1", "d"), tmp_path, time_unix_s=4)
    (directory_of(settings) / "destination.json").write_text("{")
    said = [each.waits_for for each in sorted(waiting(settings, {}), key=lambda each: each.oldest_unix_s or 0)]
    assert said == [
        "the next task or report that sends to http://collector.example:4318",
        "http://collector.example:4318 to take it (Connection refused)",
        "credentials that http://collector.example:4318 accepts (HTTP 401)",
        "a task with the very settings that it was kept under, headers included",
    ]


def test_nothing_is_made_to_look(tmp_path: Path) -> None:
    """Where nothing was ever kept, nothing is there afterwards; what is no spool is left alone."""
    settings = Settings.load(_environ("1"), data=tmp_path / "data")
    assert waiting(settings, _environ("1")) == []
    assert not settings.data.exists()
    settings.spool_dir.mkdir(parents=True)
    (settings.spool_dir / "notes").write_text("mine")
    (settings.spool_dir / "empty").mkdir()
    (settings.spool_dir / "away").symlink_to(tmp_path)
    assert waiting(settings, _environ("1")) == []
