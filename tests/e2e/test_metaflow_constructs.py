"""What Metaflow can do with a step, each construct in a real local run, and what the lake says of it afterwards."""

from __future__ import annotations

import base64
import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import metaflow
import pytest

from tests.e2e.conftest import Workplace, make_workplace
from tests.places import short_directory

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.xdist_group("constructs")

HAS_SWITCH = tuple(int(part) for part in metaflow.__version__.split(".")[:2]) >= (2, 18)
SWITCH = """
    @step
    def count(self):
        self.counted = getattr(self, "counted", 0) + 1
        self.more = "yes" if self.counted < 3 else "no"
        self.next({"yes": self.count, "no": self.timed}, condition="more")
"""
NO_SWITCH = """
    @step
    def count(self):
        self.next(self.timed)
"""
FLOW = """
import json, os, signal, time
from metaflow import FlowSpec, card, catch, current, parallel, step, timeout, track_resources
from metaflow.cards import Markdown
class ConstructsFlow(FlowSpec):
    @step
    def start(self):
        self.common = 1
        self.next(self.left, self.right)
    @track_resources(artifact_name="used", interval=0.1)
    @step
    def left(self):
        ballast = b"x" * 150_000_000
        until = time.process_time() + 0.5
        while time.process_time() < until:
            pass
        self.next(self.merged)
    @track_resources(artifact_name="used")
    @step
    def right(self):
        self.next(self.merged)
    @step
    def merged(self, inputs):
        self.merge_artifacts(inputs)
        assert not hasattr(self, "used")
        print("USED", json.dumps({one.used["pathspec"].split("/")[2]: one.used for one in inputs}))
        self.next(self.shown)
    @card(type="blank", id="mine")
    @step
    def shown(self):
        current.card["mine"].append(Markdown("drawn by the user"))
        current.card["mine"].refresh()
        self.next(self.gang, num_parallel=2)
    @parallel
    @step
    def gang(self):
        if current.parallel.node_index == 1:
            until = time.process_time() + 0.4
            while time.process_time() < until:
                pass
        self.next(self.together)
    @step
    def together(self, inputs):
        self.common = inputs[0].common
        self.next(self.count)
{switch}
    @catch(var="too_late")
    @timeout(seconds=1)
    @step
    def timed(self):
        time.sleep(30)
        self.next(self.shot)
    @catch(var="gone")
    @step
    def shot(self):
        os.kill(os.getpid(), signal.SIGKILL)
        self.next(self.end)
    @step
    def end(self):
        assert self.too_late and self.gone and self.common == 1
if __name__ == "__main__":
    ConstructsFlow()
"""


@pytest.fixture(scope="module")
def ran() -> Iterator[tuple[Workplace, str]]:
    """The flow has run once, tracked by the environment alone; its standard output."""
    with short_directory() as directory:
        # Metaflow starts the workers of a local @parallel step with the `python` of the path.
        path = os.pathsep.join((str(Path(sys.executable).parent), os.environ["PATH"]))
        workplace = make_workplace(directory, STEPSIZE="1", PATH=path)
        script = workplace.directory / "constructs_flow.py"
        script.write_text(FLOW.replace("{switch}", SWITCH if HAS_SWITCH else NO_SWITCH))
        finished = workplace.flow(script)
        assert finished.returncode == 0, finished.stdout + finished.stderr
        workplace.report()
        yield workplace, finished.stdout


def _rows(workplace: Workplace, step: str, columns: str = "task, attempt, outcome") -> list[tuple[Any, ...]]:
    return workplace.query(f"SELECT {columns} FROM tasks WHERE step = '{step}' ORDER BY task, attempt")


def test_every_attempt_has_one_row_and_nothing_else_has(ran: tuple[Workplace, str]) -> None:
    """Two decorators of ours on a step, workers below their control task: still one row each."""
    workplace, _ = ran
    steps = dict(workplace.query("SELECT step, count(*) FROM tasks GROUP BY step"))
    expected = dict.fromkeys(("start", "left", "right", "merged", "shown", "together", "timed", "shot", "end"), 1)
    assert steps == {**expected, "gang": 2, "count": 3 if HAS_SWITCH else 1}
    failed = workplace.query("SELECT step FROM tasks WHERE outcome <> 'ok' ORDER BY step")
    assert failed == [("shot",), ("timed",)]


def test_artifacts_of_an_alias_merge(ran: tuple[Workplace, str]) -> None:
    """Both branches have one of the same name: the join does not fail, and each held its own branch's figures."""
    workplace, output = ran
    (line,) = [line for line in output.splitlines() if "USED" in line]
    used = json.loads(line.partition("USED")[2])
    assert used["left"]["memory_peak_bytes"] > 150_000_000 > used["right"]["memory_peak_bytes"]
    ((peak, samples),) = _rows(workplace, "left", "memory_peak_bytes, samples")
    assert used["left"]["memory_peak_bytes"] == pytest.approx(peak, rel=0.05)
    assert 0.5 <= used["left"]["cpu_seconds"] < 1
    assert samples >= 4, "half a second at ten a second"


def test_no_artifact_appears_in_the_users_flow(ran: tuple[Workplace, str]) -> None:
    """But the one that was asked for by name."""
    workplace, _ = ran
    program = (
        "from metaflow import Flow, namespace; namespace(None); run = Flow('ConstructsFlow').latest_run\n"
        "print(*sorted({artifact.id for step in run for artifact in step.task.artifacts}))"
    )
    listed = subprocess.run(
        [sys.executable, "-c", program],
        env=workplace.environment,
        cwd=workplace.directory,
        capture_output=True,
        text=True,
        check=True,
    )
    users = {"common", "gone", "name", "too_late", *(("counted", "more") if HAS_SWITCH else ())}
    assert set(listed.stdout.split()) == users | {"used"}


def test_the_users_own_card_is_made(ran: tuple[Workplace, str]) -> None:
    """A `@card` that is refreshed works beside ours."""
    workplace, _ = ran
    (page,) = workplace.directory.rglob("steps/shown/**/blank-mine-*.html")
    (content,) = re.findall(r'__MF_DATA__\["[\w-]+"\] = "([\w+/=]+)"', page.read_text())
    assert b"drawn by the user" in base64.b64decode(content)


def test_each_node_of_a_parallel_step_has_its_row(ran: tuple[Workplace, str]) -> None:
    """Control task and worker, told apart by their index; the worker's work is its own."""
    workplace, _ = ran
    (_, _, control_item), (worker, cpu_seconds, worker_item) = _rows(workplace, "gang", "task, cpu_seconds, item")
    assert (control_item, worker_item) == ("0", "1")
    assert worker.endswith("node_1")
    assert cpu_seconds >= 0.4


@pytest.mark.skipif(not HAS_SWITCH, reason="Metaflow has switches from 2.18 on")
def test_each_round_of_a_recursive_step_is_a_task(ran: tuple[Workplace, str]) -> None:
    """The same step of the same run, three times."""
    workplace, _ = ran
    rounds = _rows(workplace, "count")
    assert len({task for task, _, _ in rounds}) == 3
    assert {(attempt, outcome) for _, attempt, outcome in rounds} == {(0, "ok")}


def test_a_step_that_ran_out_of_time_failed(ran: tuple[Workplace, str]) -> None:
    """`@timeout`, although `@catch` let the flow go on."""
    workplace, _ = ran
    ((outcome, duration_s),) = _rows(workplace, "timed", "outcome, duration_s")
    assert outcome == "failed"
    assert 0.9 <= duration_s < 10


def test_what_catch_runs_in_a_dead_steps_place_is_no_attempt(ran: tuple[Workplace, str]) -> None:
    """It uses next to nothing: sizing by it would be sizing by nothing."""
    workplace, _ = ran
    assert _rows(workplace, "shot", "attempt, outcome, exit_signal") == [(0, "killed", 9)]


RESUMED = """
import os
from metaflow import FlowSpec, project, step, stepsize
@project(name="shop")
class ResumedFlow(FlowSpec):
    @step
    def start(self):
        self.items = [1, 2]
        self.next(self.each, foreach="items")
    @stepsize
    @step
    def each(self):
        self.next(self.joined)
    @step
    def joined(self, inputs):
        assert "FAIL" not in os.environ
        self.next(self.end)
    @step
    def end(self):
        pass
if __name__ == "__main__":
    ResumedFlow()
"""


def test_resumed_runs_have_rows_for_what_ran_and_spins_have_none(workplace: Workplace) -> None:
    """Tasks that `resume` clones are attempts of the run that ran them; `spin` is a rehearsal, and says so."""
    script = workplace.directory / "resumed_flow.py"
    script.write_text(RESUMED)
    assert workplace.flow(script, "--branch", "trial", "run", FAIL="1").returncode == 1
    resumed = workplace.flow(script, "--branch", "trial", "resume")
    assert resumed.returncode == 0, resumed.stdout + resumed.stderr
    workplace.report()
    (failed,), (rest,) = workplace.query("SELECT run FROM tasks GROUP BY run ORDER BY min(started_at)")
    assert workplace.query(f"SELECT step, outcome FROM tasks WHERE run = '{failed}' ORDER BY started_at") == [
        ("start", "ok"),
        ("each", "ok"),
        ("each", "ok"),
        ("joined", "failed"),
    ]
    assert workplace.query(f"SELECT step, outcome FROM tasks WHERE run = '{rest}' ORDER BY started_at") == [
        ("joined", "ok"),
        ("end", "ok"),
    ]
    assert workplace.query("SELECT DISTINCT project, branch FROM tasks") == [("shop", "test.trial")]

    spun = workplace.flow(script, "--branch", "trial", "spin", "each")
    if "No such command" in spun.stderr:
        return  # Metaflow before 2.19
    assert spun.returncode == 0, spun.stdout + spun.stderr
    assert "Ignoring Step decorator 'stepsize'" in spun.stdout + spun.stderr
    workplace.report()
    assert workplace.query("SELECT count(*) FROM tasks") == [(6,)]


KEPT = """
from metaflow import FlowSpec, step, track_resources
class KeptFlow(FlowSpec):
    @track_resources(artifact_name="used")
    @step
    def start(self):
        self.next(self.end)
    @step
    def end(self):
        print("USED", self.used["cpu_seconds"] > 0, self.used["memory_peak_bytes"] > 10**7)
if __name__ == "__main__":
    KeptFlow()
"""


@pytest.mark.parametrize("environment", [{"STEPSIZE_INTERVAL": "often"}, {"OTEL_SDK_DISABLED": "true"}])
def test_an_artifact_that_was_asked_for_is_there_whatever_is_wrong(
    workplace: Workplace, environment: dict[str, str]
) -> None:
    """A flow that reads it must not fail because of us: its process's own figures are in it."""
    script = workplace.directory / "kept_flow.py"
    script.write_text(KEPT)
    finished = workplace.flow(script, **environment)
    assert finished.returncode == 0, finished.stdout + finished.stderr
    assert "USED True True" in finished.stdout
    assert not workplace.data.exists()
