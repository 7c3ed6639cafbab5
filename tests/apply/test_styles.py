"""Flows of many styles: nothing but decorators and the import changes, and Metaflow reads what was advised."""

from __future__ import annotations

import difflib
from pathlib import Path

import metaflow
import pytest

from tests.apply.advice import applied, for_all, memory_written
from tests.apply.effective import asked
from tests.apply.outside import outside

HERE = Path(__file__).parent / "flows"
TUTORIALS = Path(metaflow.__file__).parent / "tutorials"
FLOWS = [*sorted(HERE.glob("*.py")), *sorted(TUTORIALS.glob("**/*.py"))]
ADVICE = {"cpu": 3, "memory_mb": 780, "timeout_s": 5400}


def named(path: Path) -> str:
    return path.stem if path.parent == HERE else f"tutorial {path.parent.name}"


def test_there_are_thirty_of_them() -> None:
    """Metaflow's own tutorials among them."""
    assert len(FLOWS) >= 30
    assert sum(path.is_relative_to(TUTORIALS) for path in FLOWS) >= 6


@pytest.mark.parametrize("path", FLOWS, ids=named)
def test_metaflow_reads_what_was_advised_and_the_rest_stays_byte_for_byte(path: Path, tmp_path: Path) -> None:
    """Every step is edited, a second time changes nothing; Metaflow's own decorators, loaded from the edited file,
    merge to the advice, and what was not advised stays.
    """
    text = path.read_bytes().decode()
    advice = for_all(text, **ADVICE)
    edited = applied(text, *advice, timeout=True)
    after = edited.data.decode()
    assert outside(after) == outside(text)
    assert {edit.step for edit in edited.edits} == {one.step for one in advice}
    assert not [remark for remark in edited.remarks if remark.kind.value == "refused"]
    again = applied(after, *advice, timeout=True)
    assert (again.data, again.edits) == (edited.data, ())
    old, new = tmp_path / "old.py", tmp_path / "new.py"
    old.write_bytes(text.encode())
    new.write_bytes(edited.data)
    before, now = asked(old), asked(new)
    assert before.keys() == now.keys()
    for (flow, step), amounts in now.items():
        memory = memory_written(text, flow, step, 780)
        kept = {key: value for key, value in before[flow, step].items() if key in ("gpu", "disk")}
        assert amounts == {"cpu": 3, "memory": memory, "timeout": 5400, **kept}, (flow, step)


@pytest.mark.parametrize("path", FLOWS, ids=named)
def test_a_step_without_advice_stays(path: Path) -> None:
    """Advice that keeps what is asked for changes no byte."""
    text = path.read_bytes().decode()
    kept = for_all(text)
    assert applied(text, *kept, timeout=True).data == text.encode()


def test_the_diff_of_a_layout_of_many_lines() -> None:
    """Comments stay with what they are about, new arguments get lines of their own."""
    text = (HERE / "many_lines.py").read_text()
    after = applied(text, *for_all(text, cpu=3, memory_mb=780, disk_mb=20_000)).data.decode()
    lines = difflib.unified_diff(text.splitlines(), after.splitlines(), n=0)
    changed = [line for line in lines if line[:2] not in ("--", "++", "@@")]
    assert changed == [
        "-        memory=16_000,        # measured by hand, once",
        "-        cpu=4,",
        "+        memory=780,        # measured by hand, once",
        "+        cpu=3,",
        "-        cpu=2",
        "+        cpu=2,",
        "+        memory=780,",
        "+        disk=20000",
        "-        memory=64000,",
        "+        memory=780,",
        "-        cpu=16  # as many as there are",
        "+        cpu=3, disk=20000  # as many as there are",
    ]
