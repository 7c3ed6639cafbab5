"""A directory for spools that users share: each has a part of its own, and what somebody else put there is not used."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from stepsize.commands.checks.agent import check_agent
from stepsize.commands.checks.finding import Level
from stepsize.instrumentation.agent.delivery import Request
from stepsize.instrumentation.agent.shared_directory import check_own, own_part
from stepsize.instrumentation.agent.spools import directories, directory_of, fault, other_spools, own_spool, waiting
from stepsize.settings import Settings

if TYPE_CHECKING:
    from pathlib import Path

    from tests.instrumentation.conftest import Place

OTHER_USER = 12345
needs_root = pytest.mark.skipif(os.getuid() != 0, reason="only root can make what is another user's")


def _shared(tmp_path: Path, mode: int = 0o1777) -> Settings:
    shared = tmp_path / "shared"
    shared.mkdir()
    shared.chmod(mode)
    return Settings.load({}, data=tmp_path / "data", endpoint="http://collector:4318", spool=shared)


def test_a_directory_of_ones_own_is_used_as_it_is(tmp_path: Path) -> None:
    """So is one that is not there yet, and one that the user's group may write to."""
    for mode in (0o700, 0o755, 0o775):
        mine = tmp_path / f"{mode:o}"
        mine.mkdir()
        mine.chmod(mode)
        assert own_part(mine) == mine
        check_own(mine, mine / "spool")
    assert own_part(tmp_path / "none") == tmp_path / "none"


def test_in_a_directory_for_all_each_user_has_a_part(tmp_path: Path) -> None:
    """Which nobody else can look into; what is kept there is found again."""
    settings = _shared(tmp_path)
    assert fault(settings) is None
    spool = own_spool(settings, {})
    spool.add(Request(b"points", 3))
    part = tmp_path / "shared" / f"stepsize-{os.getuid()}"
    assert spool.directory.parent == part
    assert {path.stat().st_mode & 0o077 for path in (part, spool.directory, *spool.directory.iterdir())} == {0}
    assert [(each.directory, each.points) for each in waiting(settings, {})] == [(spool.directory, 3)]


@needs_root
def test_in_another_users_directory_each_has_a_part_too(tmp_path: Path) -> None:
    """Its owner is trusted by whoever chose it; anybody else who may write to it is not."""
    settings = _shared(tmp_path, 0o755)
    os.chown(tmp_path / "shared", OTHER_USER, OTHER_USER)
    assert directory_of(settings).parent.name == f"stepsize-{os.getuid()}"
    assert fault(settings) is None
    (tmp_path / "shared").chmod(0o775)
    assert "no sticky bit" in (fault(settings) or "")


def test_where_others_may_replace_everything_nothing_is_kept(tmp_path: Path) -> None:
    """Said in a line that names the directory."""
    settings = _shared(tmp_path, 0o777)
    with pytest.raises(PermissionError, match="sticky bit") as raised:
        own_spool(settings, {}).add(Request(b"points", 3))
    assert raised.value.filename == str(tmp_path / "shared")
    assert str(tmp_path / "shared") in (fault(settings) or "")


def test_a_directory_that_is_not_used_is_a_fault_that_doctor_finds(place: Place, tmp_path: Path) -> None:
    """With the reason and what to do; one that is used is none."""
    settings = place.settings(endpoint="http://127.0.0.1:9", spool=tmp_path / "shared")
    assert not [each for each in check_agent(settings, {}) if each.level is Level.FAULT]
    _shared(tmp_path, 0o777)
    (found,) = [each for each in check_agent(settings, {}) if each.level is Level.FAULT]
    assert str(tmp_path / "shared") in found.said
    assert "STEPSIZE_SPOOL" in found.remedy


@pytest.mark.parametrize("trap", ["part is a link", "spool is a link", "part is open", "part is another's"])
def test_what_somebody_else_made_is_not_used(tmp_path: Path, trap: str) -> None:
    """Neither to keep points in nor to send what lies there, whatever its name."""
    settings = _shared(tmp_path)
    own, elsewhere = directory_of(settings), tmp_path / "elsewhere"
    elsewhere.mkdir(mode=0o700)
    if trap == "part is a link":
        own.parent.symlink_to(elsewhere)
    elif trap == "spool is a link":
        own.parent.mkdir(mode=0o700)
        own.symlink_to(elsewhere)
    elif trap == "part is open":
        own.parent.mkdir()
        own.parent.chmod(0o777)
    elif os.getuid() == 0:
        own.parent.mkdir(mode=0o700)
        os.chown(own.parent, OTHER_USER, OTHER_USER)
    else:
        pytest.skip("only root can make what is another user's")
    planted = own / f"{1:020d}-5-aaaaaaaa.pb.gz"
    planted.parent.mkdir(exist_ok=True)
    planted.write_bytes(b"planted")
    spool = own_spool(settings, {})
    for use in (spool.look, spool.oldest, lambda: spool.add(Request(b"points", 3))):
        with pytest.raises(PermissionError):
            use()
    assert spool.points == 0
    assert list(directories(settings)) == list(other_spools(settings, {})) == waiting(settings, {}) == []
    assert fault(settings)
    assert {path.name for path in (*elsewhere.glob("*"), *elsewhere.glob("*/*"))} <= {own.name, planted.name}


def test_what_was_kept_before_users_had_parts_is_sent(tmp_path: Path) -> None:
    """As what another credential left: where it is."""
    settings = _shared(tmp_path)
    before = settings._replace(spool=None, data=tmp_path / "before")
    earlier = own_spool(before, {})
    earlier.add(Request(b"points", 3))
    earlier.release()
    earlier.directory.rename(tmp_path / "shared" / earlier.directory.name)
    (other,) = other_spools(settings, {})
    other.look()
    assert other.points == 3
    assert [each.is_ours for each in waiting(settings, {})] == [True]
