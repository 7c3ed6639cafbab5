"""`@autosize` in real flows: what a launch gives its steps, where it runs here, as jobs of Batch, and deployed."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

import pytest

from stepsize.testing import write_tasks
from tests.e2e.conftest import EXAMPLES, make_workplace
from tests.e2e.object_store import ObjectStore, object_store
from tests.metaflow_extensions.histories import history
from tests.places import short_directory

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Iterator

    from tests.e2e.conftest import Workplace

FLOW = """
from metaflow import FlowSpec, autosize, resources, retry, step
@autosize(pin={"end": {"memory": 700}})
class SizedFlow(FlowSpec):
    @retry(times=TIMES, minutes_between_retries=0)
    @resources(cpu=4, memory=8000)
    @step
    def start(self):
        self.next(self.end)
    @resources(memory=8000)
    @step
    def end(self):
        pass
if __name__ == "__main__":
    SizedFlow()
"""
KILLED = {
    "jobId": "job-1",
    "jobName": "one",
    "status": "FAILED",
    "createdAt": 1,
    "startedAt": 2,
    "stoppedAt": 3,
    "container": {"exitCode": 137, "reason": "OutOfMemoryError: Container killed due to memory usage"},
}


@pytest.fixture
def workplace() -> Iterator[Workplace]:
    """One where nothing is tracked but by `@autosize`."""
    with short_directory() as directory:
        yield make_workplace(directory)


@pytest.fixture
def store() -> Iterator[ObjectStore]:
    with object_store() as served:
        yield served


def launch(
    workplace: Workplace, *command: str, flow: str = FLOW, times: int = 1, **more: str
) -> subprocess.CompletedProcess[str]:
    script = workplace.directory / "sized_flow.py"
    script.write_text(flow.replace("TIMES", str(times)))
    return workplace.flow(script, *command, **more)


def said(launched: subprocess.CompletedProcess[str]) -> list[str]:
    lines = launched.stderr.splitlines()
    return [line.removeprefix("stepsize: @autosize: ") for line in lines if "stepsize: @autosize: " in line]


def known(workplace: Workplace, **more: Any) -> None:
    """History of 300 MB and one core, of both steps."""
    write_tasks(workplace.data, [*history("SizedFlow", "start", **more), *history("SizedFlow", "end", **more)])


def submitted(store: ObjectStore) -> list[dict[str, str]]:
    """What the jobs asked Batch for."""
    jobs = [json.loads(body)["containerOverrides"] for path, body in store.posted if path == "/v1/submitjob"]
    return [{row["type"]: row["value"] for row in job["resourceRequirements"]} for job in jobs]


def test_a_run_is_sized_by_the_runs_before_and_says_so(workplace: Workplace) -> None:
    """Without history the flow's own request holds; the tasks are tracked, so that there is one. What each attempt was
    given is what its row tells, with the policy.
    """
    first = launch(workplace)
    assert first.returncode == 0, first.stderr
    assert said(first) == ["no history of end, start: what the flow says holds."]
    known(workplace)
    second = launch(workplace)
    assert second.returncode == 0, second.stderr
    (end, start, _) = said(second)
    assert re.fullmatch(r"start gets 1 cpu, \d+ MB in place of 4 cpu, 8000 MB \(safe, 25 tasks in 9 runs\)\.", start)
    assert end.startswith("end gets 1 cpu, 700 MB in place of 1 cpu, 8000 MB (safe, ")
    workplace.report()
    rows = workplace.query(
        "SELECT step, requested_cpu, requested_memory_bytes // 1000000, annotations ->> 'autosize', target FROM tasks "
        "WHERE target = 'local' ORDER BY started_at"
    )
    assert rows[:2] == [("start", 4, 8000, "safe", "local"), ("end", 1, 8000, "safe", "local")]
    (memory,) = re.findall(r"gets 1 cpu, (\d+) MB", start)
    assert rows[2:] == [("start", 1, int(memory), "safe", "local"), ("end", 1, 700, "safe", "local")]


@pytest.mark.parametrize("command", ["show", "check", "help"])
def test_what_only_looks_at_the_flow_asks_nothing(workplace: Workplace, command: str) -> None:
    """No lake is read, none is made, nothing is said."""
    looked = launch(workplace, command)
    assert looked.returncode == 0
    assert not said(looked)
    assert not workplace.data.exists()


def test_a_lake_that_gives_no_answer_does_not_hold_a_run(workplace: Workplace) -> None:
    """One line, and the flow's own request."""
    known(workplace)
    launched = launch(workplace, STEPSIZE_AUTOSIZE_WAIT="0.05")
    assert launched.returncode == 0, launched.stderr
    late, left = said(launched)
    assert "gave no answer within 0.05 s" in late
    assert left == "no history of end, start: what the flow says holds."


def test_a_job_gets_more_memory_after_a_kill_for_want_of_it(workplace: Workplace, store: ObjectStore) -> None:
    """`run --with batch`, whose every job is killed: the first asks for what history says, the second for no less than
    the flow itself would have, the third for twice that. The job's own environment tells it what it was given.
    """
    known(workplace, target="batch")
    store.answers["/v1/submitjob"] = {"jobId": "job-1", "jobName": "one"}
    store.answers["/v1/describejobs"] = {"jobs": [KILLED]}
    environment = {**store.environment(), **store.service()}
    ran = launch(workplace, "--datastore=s3", "run", "--with", "batch", times=2, **environment)
    assert ran.returncode == 1
    jobs = submitted(store)
    assert [job["VCPU"] for job in jobs] == ["1", "1", "1"], ran.stderr
    lowered, own, twice = (int(job["MEMORY"]) for job in jobs)
    assert lowered < 1000
    assert (own, twice) == (8000, 16000)
    lines = said(ran)
    assert any("start gets 1 cpu," in line and "(balanced," in line for line in lines)
    assert [line.partition(" ran")[2] for line in lines if "out of memory" in line] == [
        " out of memory; its retry gets 8000 MB.",
        " out of memory; its retry gets 16000 MB.",
    ]
    last = [json.loads(body)["containerOverrides"] for path, body in store.posted if path == "/v1/submitjob"][-1]
    variables = {variable["name"]: variable["value"] for variable in last["environment"]}
    assert variables["STEPSIZE_SIZED"] == f"SizedFlow/start/balanced/1/{16000 << 20}"


def test_a_job_that_failed_otherwise_is_tried_again_as_it_was(workplace: Workplace, store: ObjectStore) -> None:
    """Memory is no remedy for it."""
    known(workplace, target="batch")
    store.answers["/v1/submitjob"] = {"jobId": "job-1", "jobName": "one"}
    failed = {**KILLED, "container": {"exitCode": 1, "reason": "Essential container in task exited"}}
    store.answers["/v1/describejobs"] = {"jobs": [failed]}
    ran = launch(workplace, "--datastore=s3", "run", "--with", "batch", **{**store.environment(), **store.service()})
    assert len(submitted(store)) == 2
    assert len({job["MEMORY"] for job in submitted(store)}) == 1
    assert not [line for line in said(ran) if "out of memory" in line]


def _argo(template: Any) -> dict[str, tuple[str, str, str]]:
    found = {}
    for each in template["spec"]["templates"]:
        if each["name"] in ("start", "end"):
            asked = each["container"]["resources"]["requests"]
            variables = {variable["name"]: variable.get("value", "") for variable in each["container"]["env"]}
            found[each["name"]] = asked["cpu"], asked["memory"].removesuffix("M"), variables["STEPSIZE_SIZED"]
    return found


def _step_functions(template: Any) -> dict[str, tuple[str, str, str]]:
    found = {}
    for name in ("start", "end"):
        job = template["States"][name]["Parameters"]["ContainerOverrides"]
        asked = {row["Type"]: row["Value"] for row in job["ResourceRequirements"]}
        variables = {variable["Name"]: variable.get("Value", "") for variable in job["Environment"]}
        found[name] = asked["VCPU"], asked["MEMORY"], variables["STEPSIZE_SIZED"]
    return found


@pytest.mark.parametrize(
    ("command", "found", "target", "megabyte"),
    [
        ("argo-workflows", _argo, "kubernetes", 10**6),
        ("step-functions", _step_functions, "batch", 1 << 20),
    ],
)
def test_a_deployment_is_sized_when_it_is_compiled(
    workplace: Workplace, store: ObjectStore, command: str, found: Any, target: str, megabyte: int
) -> None:
    """Below Metaflow's own default too, which its decorator of the platform would insist on; by `safe`, since the
    platform gives a retry what the attempt before had. Each container is told what it was given.
    """
    known(workplace, target=target)
    compiled = launch(workplace, "--datastore=s3", command, "create", "--only-json", **store.environment())
    assert compiled.returncode == 0, compiled.stderr
    steps = found(json.loads(compiled.stdout[compiled.stdout.index("{") :]))
    cpu, memory, told = steps["start"]
    assert cpu == "1"
    assert 300 < int(memory) < 1000
    assert told == f"SizedFlow/start/safe/1/{int(memory) * megabyte}"
    assert int(steps["end"][1]) in (700, 704)  # Batch is asked for MiB, in steps


def test_a_deployment_without_history_is_as_the_flow_says(workplace: Workplace, store: ObjectStore) -> None:
    """But for what the user pins."""
    compiled = launch(workplace, "--datastore=s3", "argo-workflows", "create", "--only-json", **store.environment())
    steps = _argo(json.loads(compiled.stdout[compiled.stdout.index("{") :]))
    assert [steps[name][:2] for name in ("start", "end")] == [("4.0", "8000.0"), ("1.0", "8000.0")]
    assert said(compiled) == ["no history of end, start: what the flow says holds."]


def test_what_a_run_is_told_by_hand_is_a_least(workplace: Workplace) -> None:
    """An amount in `--with` is meant for this very run."""
    known(workplace)
    flow = FLOW.replace("    @resources(memory=8000)\n", "")
    launched = launch(workplace, "run", "--with", "resources:memory=5000", flow=flow)
    assert launched.returncode == 0, launched.stderr
    assert [line[:24] for line in said(launched) if line.startswith("end ")] == ["end keeps 1 cpu, 5000 MB"]


def test_the_example_does_what_it_says(workplace: Workplace) -> None:
    """With three runs behind it, `load` asks for what it is pinned to."""
    write_tasks(workplace.data, history("AutosizeFlow", "load", runs=3, tasks=1))
    ran = workplace.flow(EXAMPLES / "autosize_flow.py")
    assert ran.returncode == 0, ran.stderr
    assert any(line.startswith("load gets 1 cpu, 500 MB in place of 4 cpu, 8000 MB (safe, 3") for line in said(ran))
