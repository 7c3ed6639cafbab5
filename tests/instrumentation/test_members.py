"""Who is in a container, by a made-up /proc: what takes a great many processes to come about in a real one."""

from __future__ import annotations

from pathlib import Path

import pytest

from stepsize.instrumentation.agent.probes.members import Members

ROOT = 100


class Scene:
    """A container that holds a root, and whoever the test puts into it."""

    def __init__(self, directory: Path) -> None:
        self.group, self.proc = directory / "group", directory / "proc"
        self.group.mkdir()
        self.be(1, parent=0, start=1)
        self.be(ROOT, parent=1, start=10)
        self.hold(ROOT)
        self.members = Members([self.group], ROOT, set(), proc=str(self.proc))

    def be(self, pid: int, parent: int, start: int) -> None:
        """A process of the root's session."""
        fields = ["0"] * 50
        fields[0], fields[1], fields[3], fields[17], fields[19] = "S", str(parent), str(ROOT), "1", str(start)
        (self.proc / str(pid)).mkdir(parents=True, exist_ok=True)
        (self.proc / str(pid) / "stat").write_text(f"{pid} (made up) {' '.join(fields)}")

    def hold(self, *pids: int) -> None:
        (self.group / "cgroup.procs").write_text("".join(f"{pid}\n" for pid in pids))


@pytest.fixture
def scene(tmp_path: Path) -> Scene:
    return Scene(tmp_path)


@pytest.mark.parametrize("between", ["in the tree", "gone"])
def test_numbers_that_come_again_are_new_processes(scene: Scene, between: str) -> None:
    """A child that its tree did not know yet is none the more a stranger for those that had its number before it."""
    for start in range(20, 30):
        scene.be(200, parent=ROOT, start=start)
        scene.hold(ROOT, 200)
        assert scene.members.look({ROOT})
        if between == "gone":
            scene.hold(ROOT)
        assert scene.members.look({ROOT, 200} if between == "in the tree" else {ROOT})


def test_numbers_that_come_again_between_two_looks_are_new_processes(scene: Scene) -> None:
    """The same where nobody has looked while the number was free."""
    scene.hold(ROOT, 200)
    for start in range(20, 30):
        scene.be(200, parent=ROOT, start=start)
        assert scene.members.look({ROOT})


def test_a_child_that_the_tree_never_knows_is_anothers(scene: Scene) -> None:
    """One process that stays and stays unknown ends it, though others of its kind come and go meanwhile."""
    scene.be(200, parent=ROOT, start=20)
    for look in range(3):
        scene.be(201 + look, parent=ROOT, start=30 + look)
        scene.hold(ROOT, 200, 201 + look)
        assert scene.members.look({ROOT}) is (look < 2)
