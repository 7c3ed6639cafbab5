"""Who is told: real requests to a real server."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stepsize.commands.night.targets import redacted, targets
from stepsize.commands.nightly import command
from stepsize.errors import ConfigError, UsageError
from tests.nightly.site import Site, Told

SECRET = "s3cr3t-t0ken"


def test_one_that_fails_keeps_no_other_from_being_told(site: Site, told: Told, tmp_path: Path) -> None:
    """The exit code says it, a line which and why, without its secret; the next start tells it, and who was added.

    One that answers with another address has not taken it, nor one that does not answer.
    """
    file = tmp_path / "notify"
    urls = [told.url(path) for path in ("one", SECRET, "three", "moved")]
    nobody = f"json://user:{SECRET}@127.0.0.1:1/{SECRET}"
    file.write_text("# who is told\n\n" + "\n".join([*urls, nobody]))
    told.refused.add(SECRET)
    told.moved.add("moved")
    finished = site.measured().nightly("--notify", str(file))
    assert finished.returncode == 1
    assert told.paths() == ["one", "three"]
    refused, moved, away = finished.stderr.splitlines()
    assert away.startswith("stepsize nightly: notify: json (number 5) was not told: ")
    assert refused.startswith("stepsize nightly: notify: json (number 2) was not told: ")
    assert "500" in refused
    assert moved.startswith("stepsize nightly: notify: json (number 4) was not told: ")
    assert "302" in moved
    everything = finished.stdout + finished.stderr + (site.reports / ".state.json").read_text()
    assert SECRET not in everything
    told.refused.clear()
    told.moved.clear()
    file.write_text("\n".join([*urls, told.url("five")]))
    finished = site.nightly("--notify", str(file))
    assert (finished.returncode, finished.stderr) == (0, "")
    assert told.paths() == ["one", "three", SECRET, "moved", "five"]


@pytest.mark.parametrize("text", ["nonsense", f"slack://{SECRET}"])
def test_what_is_no_address_is_refused_without_saying_it(
    site: Site, monkeypatch: pytest.MonkeyPatch, text: str
) -> None:
    """Before anything is done, by its number, as wrong usage."""
    for name, value in site.measured().environment.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("STEPSIZE_NOTIFY", f"json://127.0.0.1:9/{SECRET} {text}")
    with pytest.raises(UsageError, match="number 2") as refused:
        command.main([], standalone_mode=False)
    assert SECRET not in str(refused.value)
    assert len(str(refused.value).splitlines()) == 1
    assert not site.reports.exists()


def test_addresses_are_no_part_of_what_is_said_of_them() -> None:
    """Nor of their representation."""
    (one,) = targets(None, {"STEPSIZE_NOTIFY": f"json://localhost/{SECRET}"})
    assert SECRET not in repr(one)
    assert one.name == "json (number 1)"
    assert targets(None, {}) == targets(None, {"STEPSIZE_NOTIFY": "  "}) == ()
    with pytest.raises(ConfigError, match="STEPSIZE_NOTIFY: one \\(number 1\\)"):
        targets(None, {"STEPSIZE_NOTIFY": SECRET})


@given(st.text(), st.lists(st.text("abcdefgXYZ0123456789", min_size=4, max_size=12), min_size=1, max_size=4))
def test_no_part_of_an_address_is_ever_said(text: str, parts: list[str]) -> None:
    """Whatever a library makes of it."""
    url = f"https://{parts[0]}.example/{'/'.join(parts)}"
    said = redacted(f"{text} {url} {parts[-1].upper()} {text}", url)
    for part in parts:
        assert part.lower() not in said.lower().replace("***", " ")
    assert len(said.splitlines()) <= 1


def test_a_password_of_marks_is_not_said() -> None:
    """Neither as the address has it nor as it is."""
    url = "json://ann:p%40s%21wd@host/x"
    assert redacted("p@s!wd and p%40s%21wd were refused", url) == "*** and *** were refused"
