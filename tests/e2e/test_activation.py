"""The ways to switch tracking on, and what is known of a task whichever way it was."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from tests.e2e.conftest import Workplace

FLOW = """
import time
from metaflow import FlowSpec, catch, project, step
{imports}
@project(name="shop")
class KindsFlow(FlowSpec):
    @step
    def start(self):
        self.outer = ["a", "b"]
        self.next(self.group, foreach="outer")
    @step
    def group(self):
        self.inner = [10, 20]
        self.next(self.item, foreach="inner")
    @step
    def item(self):
        self.next(self.inner_join)
    @step
    def inner_join(self, inputs):
        self.next(self.outer_join)
    @step
    def outer_join(self, inputs):
        self.next(self.caught)
    @catch(var="problem")
    @step
    def caught(self):
        raise ValueError("caught by Metaflow")
        self.next(self.timed)
    {decorator}
    @step
    def timed(self):
        time.sleep(1)
        self.next(self.end)
    @step
    def end(self):
        pass
if __name__ == "__main__":
    KindsFlow()
"""


def _flow(workplace: Workplace, *arguments: str, imports: str = "", decorator: str = "", **environment: str) -> None:
    script = workplace.directory / "kinds_flow.py"
    script.write_text(FLOW.format(imports=imports, decorator=decorator))
    finished = workplace.flow(script, *(arguments or ("run",)), **environment)
    assert finished.returncode == 0, finished.stdout + finished.stderr
    workplace.report()


def test_with_stepsize_tracks_every_step_of_one_run(workplace: Workplace) -> None:
    """`--with stepsize`: nested foreach items, the project's branch, and a step that `@catch` saved, as failed."""
    _flow(workplace, "run", "--with", "stepsize", STEPSIZE="0")
    rows = workplace.query("SELECT step, item, outcome FROM tasks ORDER BY step, item")
    assert [item for step, item, _ in rows if step == "item"] == ["a/10", "a/20", "b/10", "b/20"]
    assert [outcome for step, _, outcome in rows if step == "caught"] == ["failed"]
    assert {outcome for step, _, outcome in rows if step != "caught"} == {"ok"}
    assert len(rows) == 1 + 2 + 4 + 2 + 1 + 1 + 1 + 1
    ((known,),) = workplace.query(
        'SELECT DISTINCT {project: project, branch: branch, user: "user", origin: run_origin, target: target, '
        "versions: count(DISTINCT code_version) OVER ()} FROM tasks"
    )
    whose = {"project": "shop", "branch": "user.tester", "user": "tester"}
    assert known == {**whose, "origin": "adhoc", "target": "local", "versions": 1}


def test_the_decorator_tracks_one_step_at_its_own_interval(workplace: Workplace) -> None:
    """`@stepsize(interval=0.1)` above one step, and nothing in the environment."""
    _flow(workplace, imports="from metaflow import stepsize", decorator="@stepsize(interval=0.1)", STEPSIZE="0")
    ((step, samples),) = workplace.query("SELECT step, samples FROM tasks")
    assert step == "timed"
    assert samples >= 9, "25 are due at ten a second, 7 at one a second"


def test_decorators_that_the_site_adds_stay(workplace: Workplace) -> None:
    """Metaflow ignores extensions where METAFLOW_DEFAULT_DECOSPECS is set: ours is appended to the site's."""
    _flow(workplace, METAFLOW_DEFAULT_DECOSPECS="retry:times=0,minutes_between_retries=0")
    assert workplace.query("SELECT count(*) FROM tasks") == [(13,)]


QUICK = """
import time
from metaflow import FlowSpec, step
class QuickFlow(FlowSpec):
    @step
    def start(self):
        time.sleep(2.5)
        self.next(self.end)
    @step
    def end(self):
        pass
if __name__ == "__main__":
    QuickFlow()
"""


@pytest.mark.parametrize(
    ("arguments", "environment"),
    [
        (("run", "--with", "stepsize:interval=0.1"), {}),
        (("--with", "stepsize:interval=0.1", "run"), {}),
        (("run",), {"METAFLOW_DECOSPECS": "stepsize:interval=0.1"}),
        (("run",), {"METAFLOW_DEFAULT_DECOSPECS": "stepsize:interval=0.1"}),
        # What is said of one run wins over what is said of all.
        (("run", "--with", "stepsize:interval=0.1"), {"STEPSIZE": "1", "STEPSIZE_INTERVAL": "5"}),
    ],
)
def test_every_way_that_metaflow_has_to_decorate_steps(
    workplace: Workplace, arguments: tuple[str, ...], environment: dict[str, str]
) -> None:
    """Both steps once, at ten samples a second."""
    script = workplace.directory / "quick_flow.py"
    script.write_text(QUICK)
    finished = workplace.flow(script, *arguments, **{"STEPSIZE": "0", **environment})
    assert finished.returncode == 0, finished.stdout + finished.stderr
    workplace.report()
    (_, ended), (started, samples) = workplace.query("SELECT step, samples FROM tasks ORDER BY step")
    assert (started, ended > 0) == ("start", True)
    assert samples >= 9, "25 are due at ten a second, 7 at one a second"


def test_switched_off_nothing_is_tracked_and_nothing_is_started(workplace: Workplace) -> None:
    """Neither a lake nor a socket appears: without STEPSIZE, and with OpenTelemetry's own switch."""
    script = workplace.directory / "kinds_flow.py"
    script.write_text(FLOW.format(imports="", decorator=""))
    for environment in ({"STEPSIZE": "0"}, {"STEPSIZE": "1", "OTEL_SDK_DISABLED": "true"}):
        assert workplace.flow(script, **environment).returncode == 0
    assert not workplace.data.exists()
    assert not list((workplace.directory / "run").glob("*.sock"))


def test_the_demo_does_what_the_readme_says(workplace: Workplace) -> None:
    """`make run` is this command: flows of every kind, the table, the HTML, and a second time over its own remains."""
    finished = workplace.stepsize("demo", "--dir", "demo", OTEL_EXPORTER_OTLP_ENDPOINT="http://127.0.0.1:9")
    assert finished.returncode == 0, finished.stderr
    for step in (
        "PipelineFlow/extract",
        "PipelineFlow/train",
        "BranchFlow/score",
        "ForeachFlow/shard",
        "RetryFlow/fetch",
    ):
        assert step in finished.stdout
    assert "Report written to" in finished.stderr
    page = (workplace.directory / "demo/report.html").read_text(encoding="utf-8")
    assert "ForeachFlow/shard" in page
    lake = ["--data", str(workplace.directory / "demo/lake")]
    steps = {
        (one["flow"], one["step"]): one
        for one in json.loads(workplace.stepsize("report", *lake, "--format", "json").stdout)
    }
    assert steps["PipelineFlow", "extract"]["tasks"] == 3
    assert steps["PipelineFlow", "extract"]["recommended"]["memory_mb"] < 16000
    assert steps["PipelineFlow", "train"]["recommended"]["memory_mb"] > 600


def test_a_directory_that_is_not_the_demos_is_left_alone(workplace: Workplace) -> None:
    """Somebody's files are never removed for a demonstration."""
    (workplace.directory / "mine").mkdir()
    (workplace.directory / "mine/file").write_text("kept")
    finished = workplace.stepsize("demo", "--dir", "mine")
    assert finished.returncode == 2
    assert len(finished.stderr.splitlines()) == 1
    assert (workplace.directory / "mine/file").read_text() == "kept"


def test_the_runner_api_is_tracked_too(workplace: Workplace) -> None:
    """A flow that another program starts."""
    script = workplace.directory / "kinds_flow.py"
    script.write_text(FLOW.format(imports="", decorator=""))
    program = (
        "from metaflow import Runner\n"
        f"with Runner({str(script)!r}, pylint=False, show_output=False).run() as running: print(running.status)"
    )
    finished = subprocess.run(
        [sys.executable, "-c", program],
        env=workplace.environment,
        cwd=workplace.directory,
        capture_output=True,
        text=True,
        check=False,
    )
    assert finished.stdout.split()[-1:] == ["successful"], finished.stderr
    workplace.report()
    assert workplace.query("SELECT count(*) FROM tasks") == [(13,)]
