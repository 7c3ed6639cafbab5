"""`stepsize nightly` as a scheduler calls it."""

from __future__ import annotations

import json
import threading

import pytest

from stepsize.commands.nightly import command
from stepsize.errors import UsageError
from stepsize.testing import write_tasks
from tests.analyzer.rows import row
from tests.nightly.site import Site, Told


def test_a_night_leaves_its_reports_and_says_one_line_and_a_second_start_nothing(site: Site, told: Told) -> None:
    """In the lake, readable by its user alone; the newest is linked.

    Then not a file changes, not its time, and nobody is told; once more on request.
    """
    site.variables["STEPSIZE_NOTIFY"] = told.url("chat")
    finished = site.measured().nightly()
    assert (finished.returncode, finished.stderr) == (0, "")
    assert len(finished.stdout.splitlines()) == 1
    assert "1 change (first report)" in finished.stdout
    latest = (site.reports / "latest").resolve()
    assert finished.stdout.strip().endswith(f"{latest / 'report.html'}; 1 told")
    assert latest.name == f"day={json.loads((site.reports / 'latest.json').read_bytes())['day']}"
    assert site.reports.stat().st_mode & 0o777 == 0o700
    report = json.loads((latest / "report.json").read_bytes())
    assert [step["flow"] for step in report] == ["TrainFlow"]
    comparison = json.loads((latest / "comparison.json").read_bytes())
    assert [change["kind"] for change in comparison["changes"]] == ["oom"]
    for name in ("report.html", "report.md", "comparison.html", "comparison.md", "comparison.csv", "comparison.txt"):
        assert "TrainFlow" in (latest / name).read_text("utf-8"), name

    before = site.files()
    second = site.nightly()
    assert (second.returncode, second.stderr) == (0, "")
    assert "done already" in second.stdout
    third = site.nightly("--format", "json")
    assert third.stdout == (site.reports / "latest/comparison.json").read_text("utf-8")
    assert site.files() == before
    assert told.paths() == ["chat"]
    once_more = site.nightly("--again", "--keep", "99999999d", "--limit", "100000000000h")  # beyond all calendars
    assert (once_more.returncode, once_more.stderr) == (0, "")
    assert told.paths() == ["chat", "chat"]


def test_it_has_an_exit_code_of_its_own_where_another_one_is_at_it(site: Site, told: Told) -> None:
    """With one line that says so; nothing is done, and the other one goes on."""
    site.measured()
    told.held["chat"] = threading.Event()
    with site.start(STEPSIZE_NOTIFY=told.url("chat")) as other:
        assert told.arrived.acquire(timeout=60)
        before = site.files()
        finished = site.nightly()
        assert (finished.returncode, finished.stdout) == (75, "")
        assert finished.stderr == f"stepsize: another stepsize is making the reports in {site.reports}; wait for it\n"
        assert site.files() == before
        assert other.poll() is None
        other.kill()


def test_a_rehearsal_shows_and_keeps_nothing(site: Site, told: Told) -> None:
    """What would be sent, and to whom without saying where they are."""
    finished = site.measured().nightly("--dry-run", STEPSIZE_NOTIFY=told.url("secret-path"))
    assert (finished.returncode, finished.stderr) == (0, "")
    assert "Would be sent to json (number 1)" in finished.stdout
    assert "ran out of memory" in finished.stdout
    assert "secret-path" not in finished.stdout
    assert told.messages == []
    assert not site.reports.exists()
    assert site.nightly("--dry-run", "--format", "csv").stdout.startswith("kind,project,")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ("--policy best", "balanced, cheap"),
        ("--since soon", "30d"),
        ("--since 3d --runs 2", "exclude each other"),
        ("--engine duckdb", "--counted"),
        ("--notify missing", "missing"),
        ("--limit soon", "--limit"),
        ("--keep soon", "--keep"),
        ("--memory much --engine duckdb --counted there", "no size"),
    ],
)
def test_wrong_usage_is_told_before_anything_is_done(
    site: Site, monkeypatch: pytest.MonkeyPatch, arguments: str, said: str
) -> None:
    """In one line, with exit code 2."""
    for name, text in site.measured().environment.items():
        monkeypatch.setenv(name, text)
    with pytest.raises(UsageError, match=said) as refused:
        command.main(arguments.split(), standalone_mode=False)
    assert (refused.value.exit_code, len(str(refused.value).splitlines())) == (2, 1)
    assert not site.reports.exists()


def test_without_a_lake_it_says_how_to_begin(site: Site) -> None:
    """Exit code 1; nothing is made. A lake without any attempt is no report either."""
    finished = site.nightly()
    assert finished.returncode == 1
    assert "STEPSIZE=1" in finished.stderr
    assert not site.data.exists()
    write_tasks(site.data, [])
    finished = site.nightly()
    assert finished.returncode == 1
    assert "report: no task has been measured yet" in finished.stderr
    assert "latest" not in {path.name for path in site.reports.iterdir()}


def test_a_file_that_cannot_be_compacted_keeps_no_report_from_being_made(site: Site) -> None:
    """It is said, and the exit code says it too; mended, the next start does what was left alone."""
    site.measured()
    old = row(run="0", flow="Old")
    write_tasks(site.data, [old])
    (database := site.data / "stepsize.duckdb").chmod(0o600)
    assert database.exists()
    damaged = next((site.data / "manifests").glob("*.json"))
    content = damaged.read_bytes()
    damaged.write_bytes(b"nonsense")
    finished = site.nightly()
    assert finished.returncode == 1
    assert "stepsize nightly: compact: " in finished.stderr
    assert (site.reports / "latest/report.json").exists()
    damaged.write_bytes(content)
    made = site.files()["latest.json"]
    finished = site.nightly()
    assert (finished.returncode, finished.stderr) == (0, "")
    assert site.files()["latest.json"] == made


def test_a_stage_that_takes_too_long_is_stopped(site: Site) -> None:
    """Each is tried within its limit, and said."""
    finished = site.measured().nightly("--limit", "1ms")
    assert finished.returncode == 1
    assert "compact: not done within 0.001 s; it was stopped" in finished.stderr
    assert "report: not done within 0.001 s; it was stopped" in finished.stderr
