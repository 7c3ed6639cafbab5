"""An attempt that goes on where an earlier one stopped says so."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from metaflow_extensions.stepsize.plugins.checkpoint import resumed_from
from tests.e2e.conftest import make_workplace
from tests.places import short_directory

CHECKPOINT = Path(__file__).parents[2] / ".peers" / "metaflow-checkpoint"
"""Where `make test-peers` puts it: not into our environment, whose every flow would then load it."""

FLOW = """
from pathlib import Path
from metaflow import FlowSpec, checkpoint, current, retry, step, stepsize
class SavedFlow(FlowSpec):
    @stepsize
    @retry(times=1, minutes_between_retries=0)
    @checkpoint
    @step
    def start(self):
        if not current.checkpoint.is_loaded:
            Path(current.checkpoint.directory, "state").write_text("half")
            current.checkpoint.save()
            raise ValueError("the first attempt stops halfway")
        self.next(self.end)
    @checkpoint
    @stepsize
    @step
    def end(self):
        pass
if __name__ == "__main__":
    SavedFlow()
"""


def _current(checkpoint: Any) -> Any:
    return SimpleNamespace(get={"checkpoint": checkpoint}.get)


def test_the_attempt_whose_checkpoint_was_loaded_is_named() -> None:
    """By its pathspec and number; where none was, or there is no such decorator, nothing is."""
    saved = SimpleNamespace(pathspec="SavedFlow/17/start/1", attempt=0)
    assert resumed_from(_current(SimpleNamespace(is_loaded=True, info=saved))) == "SavedFlow/17/start/1/0"
    assert resumed_from(_current(SimpleNamespace(is_loaded=False, info=None))) is None
    assert resumed_from(_current(None)) is None


@pytest.mark.peers
@pytest.mark.skipif(not CHECKPOINT.exists(), reason="metaflow-checkpoint is not here (make test-peers)")
def test_a_retry_from_a_checkpoint_is_annotated_whichever_decorator_stands_above() -> None:
    """Only the attempt that really resumed."""
    with short_directory() as directory:
        workplace = make_workplace(directory, PYTHONPATH=str(CHECKPOINT))
        script = directory / "saved_flow.py"
        script.write_text(FLOW)
        finished = workplace.flow(script)
        assert finished.returncode == 0, finished.stdout + finished.stderr
        workplace.report()
        rows = workplace.query(
            "SELECT step, attempt, outcome, annotations->>'resumed_from' FROM tasks ORDER BY started_at"
        )
        ((run,),) = workplace.query("SELECT DISTINCT run FROM tasks")
    assert rows == [
        ("start", 0, "failed", None),
        ("start", 1, "ok", f"SavedFlow/{run}/start/1/0"),
        ("end", 0, "ok", None),
    ]
