"""`stepsize apply` as a user calls it: what is shown, written, refused, and the exit code."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import pytest
from click.testing import CliRunner

from stepsize.analyzer.edits.diff import unified
from stepsize.cli import cli
from stepsize.commands import flow_file
from stepsize.errors import StepsizeError, UnavailableError, UsageError
from stepsize.testing import write_tasks
from tests.analyzer.rows import row
from tests.apply.advice import applied, wanted
from tests.places import short_directory

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

GB = 10**9
FLOW = """from metaflow import FlowSpec, resources, step


class TrainFlow(FlowSpec):
    # Größe von Hand
    @resources(memory=8000)
    @step
    def start(self):
        self.next(self.end)

    @step
    def end(self):
        pass


if __name__ == "__main__":
    TrainFlow()
"""
EDITED = FLOW.replace("memory=8000", "memory=650")


@dataclass(frozen=True)
class Answer:
    """What a command left."""

    returncode: int
    stdout: bytes
    stderr: bytes


@dataclass(frozen=True)
class Place:
    """A directory with flows, a lake, and the command."""

    home: Path
    lake: Path
    runtime: str

    @property
    def environment(self) -> dict[str, str]:
        return {"HOME": str(self.home), "STEPSIZE_DATA": str(self.lake), "STEPSIZE_RUNTIME": self.runtime}

    def apply(self, *arguments: str) -> Answer:
        """The command in this process: what `stepsize.cli.main` says of an error is the error's own."""
        result = CliRunner().invoke(cli, ["apply", *arguments], env=self.environment, standalone_mode=False)
        if isinstance(result.exception, StepsizeError):
            return Answer(result.exception.exit_code, result.stdout_bytes, f"{result.exception}\n".encode())
        if result.exception is not None:
            raise result.exception
        return Answer(result.return_value or 0, result.stdout_bytes, result.stderr_bytes)

    def run(self, *arguments: str, **more: str) -> subprocess.CompletedProcess[bytes]:
        """The command in a process of its own."""
        return subprocess.run(
            [*arguments],
            env={"PATH": os.environ["PATH"], **self.environment, **more},
            cwd=self.home,
            capture_output=True,
            check=False,
            timeout=60,
        )

    def flow(self, content: bytes = FLOW.encode(), name: str = "flow.py") -> Path:
        path = self.home / name
        path.write_bytes(content)
        return path


@pytest.fixture(scope="module")
def lake(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Ten runs that asked for 8000 MB and used 600; the step `end` has never been seen."""
    directory = tmp_path_factory.mktemp("lake")
    write_tasks(directory, [row(step="start", run=str(run), requested_memory_bytes=8 * GB) for run in range(10)])
    return directory


@pytest.fixture
def place(tmp_path: Path, lake: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Place]:
    """A home of its own, which is where the command is called."""
    monkeypatch.chdir(tmp_path)
    with short_directory() as runtime:
        yield Place(tmp_path, lake, str(runtime))


def test_it_shows_a_diff_that_git_applies_and_changes_nothing(place: Place) -> None:
    """On standard output the diff alone; on standard error what else is to be known."""
    path = place.flow()
    shown = place.run(sys.executable, "-m", "stepsize", "apply", "flow.py")
    assert shown.returncode == 0
    assert path.read_text() == FLOW
    assert b"-    @resources(memory=8000)\n+    @resources(memory=650)\n" in shown.stdout
    assert b"\x1b" not in shown.stdout
    said = shown.stderr.decode()
    assert "flow.py:12: end: has not been measured yet" in said
    assert "1 value of 1 step to change; --write does it" in said
    subprocess.run(["git", "apply", "-"], input=shown.stdout, cwd=place.home, check=True)
    assert path.read_text() == EDITED


def test_it_writes_and_then_has_nothing_to_do(place: Place) -> None:
    """The second time the file is not even touched."""
    path = place.flow()
    path.chmod(0o750)
    written = place.apply("flow.py", "--write")
    assert (written.returncode, written.stdout) == (0, b"")
    assert path.read_text() == EDITED
    assert path.stat().st_mode & 0o777 == 0o750
    before = path.stat()
    again = place.apply("flow.py", "--write")
    assert again.returncode == 0
    assert b"Nothing to change." in again.stderr
    after = path.stat()
    assert (after.st_ino, after.st_mtime_ns) == (before.st_ino, before.st_mtime_ns)
    assert sorted(one.name for one in place.home.iterdir() if one.is_file()) == ["flow.py"]


@pytest.mark.parametrize(
    "content",
    [
        FLOW.replace("\n", "\r\n").encode(),
        FLOW.encode("utf-8-sig"),
        f"# -*- coding: latin-1 -*-\n{FLOW}".encode("latin-1"),
        f"#!/usr/bin/python\n# vim: set fileencoding=cp1252 :\n{FLOW}".encode("cp1252"),
        FLOW.rstrip("\n").encode(),
        FLOW.replace("\n", "\r\n", 4).encode(),
    ],
    ids=["crlf", "mark", "latin-1", "cp1252", "no end", "mixed"],
)
def test_encoding_mark_and_line_ends_stay(place: Place, content: bytes) -> None:
    """Only the number is another one; the diff is in the file's own bytes, so that it applies."""
    path = place.flow(content)
    shown = place.apply("flow.py")
    file = flow_file.read(path)
    file.replace(applied(file.text, wanted("TrainFlow", "start", memory_mb=650)).data.decode())
    expected = content.replace(b"memory=8000", b"memory=650")
    assert path.read_bytes() == expected
    place.flow(content)
    subprocess.run(["git", "apply", "-"], input=shown.stdout, cwd=place.home, check=True)
    assert path.read_bytes() == expected


def test_a_link_stays_a_link(place: Place) -> None:
    """What it leads to is edited, where it lies, and is what the diff is of."""
    (place.home / "below").mkdir()
    path = place.flow(name="below/flow.py")
    link = place.home / "linked.py"
    link.symlink_to("below/flow.py")
    assert b"+++ b/below/flow.py\n" in place.apply("linked.py").stdout
    assert place.apply("linked.py", "--write").returncode == 0
    assert link.is_symlink()
    assert path.read_text() == EDITED


NAMES = ["with space.py", ' "quoted".py', "tab\t.py", "line\n\x1b[31m.py", "größe.py", os.fsdecode(b"latin-\xe9.py")]


@pytest.mark.parametrize("tool", [("git", "apply", "-"), ("patch", "-p1", "--silent")], ids=["git", "patch"])
def test_a_diff_applies_whatever_the_file_is_called(tmp_path: Path, tool: tuple[str, ...]) -> None:
    """Blanks, quotes, control characters, bytes that are no text: quoted as git quotes them."""
    if shutil.which(tool[0]) is None:
        pytest.skip(f"no {tool[0]} here")
    for name in NAMES:
        (tmp_path / name).write_text(FLOW)
    difference = b"".join(unified(FLOW.encode(), EDITED.encode(), name) for name in NAMES)
    assert b"\x1b" not in difference
    subprocess.run(tool, input=difference, cwd=tmp_path, check=True, timeout=60)
    assert {(tmp_path / name).read_text() for name in NAMES} == {EDITED}


def test_a_diff_names_what_its_own_encoding_lacks(place: Place) -> None:
    """The name is the file system's, the lines are the file's."""
    place.flow(f"# coding: latin-1\n{FLOW}".encode("latin-1"), "日本.py")
    shown = place.apply("日本.py")
    assert "+++ b/日本.py\n".encode() in shown.stdout
    assert "# Größe von Hand".encode("latin-1") in shown.stdout


def test_the_source_is_not_written_over_by_what_is_printed(place: Place) -> None:
    """`--out` on the file itself, or a link to it, would lose it."""
    path = place.flow()
    (place.home / "other.py").hardlink_to(path)
    for out in ("flow.py", "./flow.py", "other.py"):
        answer = place.apply("flow.py", "--out", out)
        assert (answer.returncode, b"would be lost" in answer.stderr) == (2, True)
    assert path.read_text() == FLOW


def test_of_flows_that_share_a_step_one_is_edited_with_the_others_in_mind(place: Place, tmp_path: Path) -> None:
    """`--flow` chooses what is edited; what the other one needs counts all the same. A base class that is never run is
    no flow that lacks a history.
    """
    rows = [
        row(flow=flow, step="start", run=str(run), requested_memory_bytes=8 * GB, memory_peak_bytes=peak)
        for run in range(10)
        for flow, peak in (("A", GB // 2), ("B", 3 * GB))
    ]
    write_tasks(tmp_path / "lake", rows)
    place = replace(place, lake=tmp_path / "lake")
    base = FLOW.split("\n\nif __name__", maxsplit=1)[0].replace("    @step\n    def end", "    def end")
    own = "class B(TrainFlow):\n    @step\n    def more(self):\n        pass\n"
    place.flow(f"{base}\n\nclass A(TrainFlow):\n    pass\n\n\n{own}".encode())
    answer = place.apply("flow.py", "--flow", "A", "--format", "json")
    told = json.loads(answer.stdout)
    assert (answer.stderr, told["refusals"], told["notes"]) == (b"", [], [])
    ((step, after),) = [(edit["step"], int(edit["after"])) for edit in told["edits"]]
    assert (step, 3000 < after < 8000) == ("start", True)


@pytest.mark.skipif(not hasattr(os, "setxattr"), reason="no extended attributes here")
def test_extended_attributes_stay(tmp_path: Path) -> None:
    """Labels and access control lists are of the file, not of its text; another name of it keeps the old text."""
    path = tmp_path / "flow.py"
    path.write_text(FLOW)
    (tmp_path / "other.py").hardlink_to(path)
    try:
        os.setxattr(path, "user.note", b"mine")
    except OSError:
        pytest.skip("this file system has none")
    flow_file.read(path).replace(EDITED)
    assert (os.getxattr(path, "user.note"), path.read_text()) == (b"mine", EDITED)
    assert (tmp_path / "other.py").read_text() == FLOW


def test_of_the_steps_that_are_not_named_nothing_is_said(place: Place) -> None:
    """`end` has not been measured, which is of no interest then."""
    place.flow()
    answer = json.loads(place.apply("flow.py", "--step", "start", "--format", "json").stdout)
    assert [edit["step"] for edit in answer["edits"]] == ["start"]
    assert (answer["refusals"], answer["notes"]) == ([], [])


def test_check_exits_with_1_where_there_are_edits_to_make(place: Place) -> None:
    """And with 0 once they are made, although steps without history are left."""
    path = place.flow()
    due = place.apply("flow.py", "--check")
    assert due.returncode == 1
    assert path.read_text() == FLOW
    path.write_text(EDITED)
    assert place.apply("flow.py", "--check").returncode == 0


def test_json_tells_each_edit_and_each_refusal(place: Place) -> None:
    """Standard output is JSON alone."""
    place.flow(FLOW.replace("memory=8000", "memory=MEMORY").replace("class", "MEMORY = 8000\n\n\nclass").encode())
    answer = json.loads(place.apply("flow.py", "--format", "json").stdout)
    place_of = {"flow": "TrainFlow", "step": "start", "line": 9}
    assert answer["edits"] == []
    (refusal,) = answer["refusals"]
    assert refusal.items() >= {**place_of, "kind": "refused"}.items()
    assert "memory=MEMORY" in refusal["reason"]
    assert [note["kind"] for note in answer["notes"]] == ["unmeasured"]
    place.flow()
    answer = json.loads(place.apply("flow.py", "--format", "json", "--write").stdout)
    (edit,) = answer["edits"]
    assert edit == {
        **place_of,
        "line": 6,
        "decorator": "resources",
        "argument": "memory",
        "before": "8000",
        "after": "650",
    }
    assert (answer["file"], answer["written"]) == ("flow.py", True)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("nothing.py",), "cannot read nothing.py: No such file"),
        (("empty.py",), "empty.py holds no Metaflow flow"),
        (("broken.py",), "broken.py: line 2: this is no Python"),
        (("binary.py",), "binary.py is no text in the encoding"),
        (("rot13.py",), "rot13.py is no text in the encoding"),
        (("flow.ipynb",), "flow.ipynb is a notebook"),
        (("pipe",), "cannot read pipe: it is no regular file"),
        (("large.py",), "large.py: 1024 MiB are no flow that somebody wrote"),
        (("below/nothing.py", "--format", "config"), "cannot read below/nothing.py: No such file"),
        (("flow.py", "--flow", "OtherFlow"), "no flow 'OtherFlow'"),
        (("TrainFlow", "--flow", "OtherFlow", "--format", "config"), "--flow is for a file of several flows"),
        (("flow.py", "--step", "end"), "no step 'end' of TrainFlow has been measured"),
        (("flow.py", "--project", "x"), "measured in other projects alone (none)"),
        (("flow.py", "--write", "--check"), "exclude each other"),
        (("flow.py", "--write", "--format", "config"), "--write and --check are for the flow's source"),
        (("flow.py", "--since", "1d", "--runs", "2"), "--since and --runs exclude each other"),
        (("flow.py", "--target", "moon"), "kubernetes, batch, fargate"),
        (("unseen.py",), "no flow 'UnseenFlow' has been measured; known are TrainFlow"),
        (("NoFlow", "--format", "config"), "no flow 'NoFlow' has been measured"),
    ],
)
def test_wrong_usage_is_one_line_and_exit_code_2(place: Place, arguments: tuple[str, ...], said: str) -> None:
    """It says what is wrong; nothing is written."""
    place.flow()
    place.flow(b"x = 1\n", "empty.py")
    place.flow(b"x = 1\nclass (\n", "broken.py")
    place.flow(b"\xff\xfe\x00", "binary.py")
    place.flow(b"# coding: rot13\nk = 1\n", "rot13.py")
    place.flow(b"{}", "flow.ipynb")
    os.mkfifo(place.home / "pipe")
    os.truncate(place.flow(b"", "large.py"), 1 << 30)
    place.flow(FLOW.replace("TrainFlow", "UnseenFlow").encode(), "unseen.py")
    finished = place.apply(*arguments)
    assert (finished.returncode, finished.stdout) == (2, b"")
    (line,) = finished.stderr.decode().splitlines()
    assert said in line


def test_a_file_that_changes_meanwhile_is_left_alone(tmp_path: Path) -> None:
    """Somebody saves it between reading and writing: that stays, and no temporary file does."""
    path = tmp_path / "flow.py"
    path.write_text(FLOW)
    file = flow_file.read(path)
    path.write_text(FLOW.replace("8000", "9000"))
    with pytest.raises(UnavailableError, match="has changed meanwhile"):
        file.replace(EDITED)
    assert path.read_text() == FLOW.replace("8000", "9000")
    path.unlink()
    with pytest.raises(UsageError, match="cannot write"):
        file.replace(EDITED)
    assert list(tmp_path.iterdir()) == []


def test_production_is_not_sized_by_what_others_run(place: Place, tmp_path: Path) -> None:
    """Where both have been measured, production's history counts."""
    rows = [
        row(
            step="start",
            run=str(run),
            project="p",
            branch="prod",
            requested_memory_bytes=8 * GB,
            memory_peak_bytes=5 * GB,
        )
        for run in range(10)
    ]
    rows += [{**one, "branch": "user.ann", "memory_peak_bytes": GB // 10, "run": f"a{n}"} for n, one in enumerate(rows)]
    write_tasks(tmp_path / "lake", rows)
    place = replace(place, lake=tmp_path / "lake")
    place.flow(FLOW.replace("class", '@project(name="p")\nclass').replace("import", "import project,").encode())
    (edit,) = json.loads(place.apply("flow.py", "--format", "json").stdout)["edits"]
    assert 5000 < int(edit["after"]) < 8000


@pytest.mark.skipif(shutil.which("script") is None, reason="nothing here makes a terminal")
def test_a_terminal_gets_colours(place: Place) -> None:
    """Green for what comes, red for what goes."""
    place.flow()
    command = f"{sys.executable} -m stepsize apply flow.py"
    shown = place.run("script", "-qec", command, "/dev/null", TERM="xterm")
    assert b"\x1b[32m+    @resources(memory=650)" in shown.stdout
    assert b"\x1b[31m-    @resources(memory=8000)" in shown.stdout


def test_without_libcst_it_says_what_to_install(place: Place) -> None:
    """One line; a flow that is named needs no source, and so no libcst."""
    place.flow()
    program = (
        "import sys\n"
        "sys.modules['libcst'] = None\n"
        "from stepsize.cli import main\n"
        "for arguments in (['TrainFlow', '--format', 'config'], ['flow.py']):\n"
        "    sys.argv = ['stepsize', 'apply', *arguments]\n"
        "    try:\n"
        "        main()\n"
        "    except SystemExit as ended:\n"
        "        print('ENDED', ended.code or 0)\n"
    )
    finished = place.run(sys.executable, "-c", program)
    assert finished.stderr == b"stepsize: reading a flow's source takes libcst: pip install 'stepsize[apply]'\n"
    said = finished.stdout.decode().split("ENDED ")
    assert json.loads(said[0])["start"]["resources"]["memory"] == 650
    assert [one[0] for one in said[1:]] == ["0", "2"]
