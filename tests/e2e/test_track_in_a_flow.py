"""``stepsize.track`` and ``annotate`` inside of a Metaflow step that is tracked itself."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tests.e2e.conftest import Workplace

FLOW = """
import stepsize
from metaflow import FlowSpec, step

class InnerFlow(FlowSpec):
    @step
    def start(self):
        assert stepsize.annotate(rows=5)
        with stepsize.track(step="inner") as task:
            assert stepsize.annotate(part=1)
        self.seen = (task.identity.flow, task.identity.run, str(task.outcome))
        assert stepsize.annotate(more="text")
        self.next(self.end)

    @step
    def end(self):
        assert self.seen[0] == "InnerFlow"

if __name__ == "__main__":
    InnerFlow()
"""


def test_a_block_within_a_step_has_a_row_of_its_own(workplace: Workplace) -> None:
    """Under the step's flow and run; the step's own row is untouched, and each has what was said in it."""
    script = workplace.directory / "flow.py"
    script.write_text(FLOW)
    finished = workplace.flow(script)
    assert finished.returncode == 0, finished.stdout + finished.stderr
    workplace.report()
    rows = workplace.query("SELECT step, run, outcome, cpu_seconds > 0, annotations FROM tasks ORDER BY started_at")
    assert [row[0] for row in rows] == ["start", "inner", "end"]
    assert len({row[1] for row in rows}) == 1
    assert {row[2] for row in rows} == {"ok"}
    assert all(row[3] for row in rows)
    assert [json.loads(row[4]) for row in rows[:2]] == [{"rows": 5, "more": "text"}, {"part": 1}]
