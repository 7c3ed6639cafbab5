"""Files that stay open between samples tell what is in them now, whatever becomes of them."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

from stepsize.instrumentation.agent.probes.kept import KeptFiles


def _open_below(directory: Path | str) -> int:
    """How many of this process's descriptors are of files there: others come and go with whatever ran before."""
    found = (os.path.realpath(entry) for entry in Path("/proc/self/fd").iterdir())
    return sum(target.startswith(f"{os.path.realpath(directory)}/") for target in found)


def test_what_changed_is_read(tmp_path: Path) -> None:
    """Each read tells the content of its moment, not of the moment of opening; none is told as empty."""
    path, files = tmp_path / "file", KeptFiles()
    path.write_text("one")
    assert files.read(str(path)) == b"one"
    path.write_text("twenty-two")
    assert files.read(str(path)) == b"twenty-two"
    assert files.read(str(tmp_path / "absent")) == b""
    files.close()


def test_what_is_gone_is_opened_anew() -> None:
    """One whose process has gone is not answered for by what was kept; nor is a descriptor left of it."""
    files = KeptFiles()
    with subprocess.Popen(["sleep", "60"]) as process:
        folder = f"/proc/{process.pid}"
        path = f"{folder}/stat"
        assert files.read(path).startswith(str(process.pid).encode())
        assert _open_below(folder) == 1
        process.kill()
        process.wait()
        assert files.read(path) == b""
        assert _open_below(folder) == 0


def test_a_long_file_is_read_to_its_end(tmp_path: Path) -> None:
    """What is longer than one read is whole, from a kept file and from one that there was no room to keep."""
    path = tmp_path / "long"
    content = os.urandom(300_000)
    path.write_bytes(content)
    for most in (0, 1):
        files = KeptFiles(most)
        assert files.read_whole(str(path)) == content
        assert files.read_whole(str(path)) == content
        files.close()


def test_what_is_in_other_directories_is_let_go(tmp_path: Path) -> None:
    """Files of directories that are named stay open; those of others, of directories below too, are closed."""
    files = KeptFiles()
    for name in ("a", "a/b", "ab"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "file").write_text(name)
        assert files.read(str(tmp_path / name / "file")) == name.encode()
    files.keep({str(tmp_path / "a")})
    assert _open_below(tmp_path) == 1
    assert files.read(str(tmp_path / "ab" / "file")) == b"ab"
    files.close()


def test_no_more_stay_open_than_may(tmp_path: Path) -> None:
    """Beyond the bound files are read all the same, and closed again; closing lets go of the rest."""
    files = KeptFiles(most=2)
    for number in range(5):
        path = tmp_path / str(number)
        path.write_text(str(number))
        assert files.read(str(path)) == str(number).encode()
    assert _open_below(tmp_path) == 2
    files.close()
    assert _open_below(tmp_path) == 0
    assert files.read(str(tmp_path / "4")) == b"4"
    files.close()
