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
from metaflow import FlowSpec, autosize, batch, resources, retry, step
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


FAILED = {**KILLED, "container": {"exitCode": 1, "reason": "Essential container in task exited"}}


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


def known(workplace: Workplace, *steps: str, **more: Any) -> None:
    """History of 300 MB and one core, of these steps, or of both."""
    rows = [row for step in steps or ("start", "end") for row in history("SizedFlow", step, **more)]
    write_tasks(workplace.data, rows)


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


def test_a_lake_that_gives_no_answer_does_not_hold_a_run(workplace: Workplace) -> None:
    """One line, the flow's own request and its pins; that there is no history it does not say, for it does not know."""
    known(workplace)
    flow = FLOW.replace("memory=8000)\n    @step\n    def end", "memory=600)\n    @step\n    def end")
    launched = launch(workplace, flow=flow, STEPSIZE_AUTOSIZE_WAIT="0.05")
    assert launched.returncode == 0, launched.stderr
    late, pinned, _ = said(launched)
    assert late.endswith("gave no answer within 0.05 s (STEPSIZE_AUTOSIZE_WAIT); what the flow says holds.")
    assert pinned == "end gets 1 cpu, 700 MB in place of 1 cpu, 600 MB (pinned)."


def batch(store: ObjectStore, ends: list[dict[str, Any]]) -> None:
    """Have AWS Batch end its jobs so, one after the other."""
    submitted = iter(range(len(ends)))

    def describe(asked: Any) -> Any:
        (job,) = asked["jobs"]
        return {"jobs": [{**ends[int(job)], "jobId": job}]}

    store.answers["/v1/submitjob"] = lambda _: {"jobId": str(next(submitted)), "jobName": "one"}
    store.answers["/v1/describejobs"] = describe


def test_a_job_gets_more_memory_after_a_kill_for_want_of_it(workplace: Workplace, store: ObjectStore) -> None:
    """The first attempt asks for what history says. It is killed, and the second asks for twice that. That fails
    otherwise, which more memory would not mend: nothing is said, and the third asks for as much. It is killed, and the
    user's most is reached, which is said. The job's own environment tells it what it was given; its tmpfs, of half of
    the memory by default, is what it would be without us.
    """
    known(workplace, target="batch")
    batch(store, [KILLED, FAILED, KILLED, KILLED])
    environment = {**store.environment(), **store.service()}
    flow = FLOW.replace(
        "    @resources(cpu=4, memory=8000", "    @batch(use_tmpfs=True)\n    @resources(cpu=4, memory=500"
    )
    flow = flow.replace("@autosize(", "@autosize(max_memory=620, ")
    ran = launch(workplace, "--datastore=s3", "run", flow=flow, times=3, **environment)
    assert ran.returncode == 1
    jobs = submitted(store)
    assert [job["VCPU"] for job in jobs] == ["1"] * 4, ran.stderr
    lowered, twice, again, most = (int(job["MEMORY"]) for job in jobs)
    assert 300 < lowered < 400
    assert (twice, again, most) == (min(2 * lowered, 620),) * 3
    lines = said(ran)
    assert any("start gets 1 cpu," in line and "(balanced," in line for line in lines)
    assert [line.partition(" ran")[2] for line in lines if "out of memory" in line] == [
        f" out of memory; its retry gets {twice} MB.",
        f" out of memory; more than {twice} MB there is not for it.",
    ]
    last = [json.loads(body)["containerOverrides"] for path, body in store.posted if path == "/v1/submitjob"][-1]
    variables = {variable["name"]: variable["value"] for variable in last["environment"]}
    assert variables["STEPSIZE_SIZED"] == f"SizedFlow/start/balanced/1/{most << 20}"
    defined = [json.loads(body) for path, body in store.posted if path == "/v1/registerjobdefinition"]
    tmpfs = [each["containerProperties"]["linuxParameters"]["tmpfs"][0]["size"] for each in defined]
    assert set(tmpfs) == {250}


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
    platform gives a retry what the attempt before had. Each container is told what it was given. A step without
    history is as the flow says.
    """
    known(workplace, "start", target=target)
    compiled = launch(workplace, "--datastore=s3", command, "create", "--only-json", **store.environment())
    assert compiled.returncode == 0, compiled.stderr
    steps = found(json.loads(compiled.stdout[compiled.stdout.index("{") :]))
    cpu, memory, told = steps["start"]
    assert cpu == "1"
    assert 300 < int(memory) < 1000
    assert told == f"SizedFlow/start/safe/1/{int(memory) * megabyte}"
    assert [float(amount) for amount in steps["end"][:2]] == [1, 8000]
    assert said(compiled)[0] == "no history of end: what the flow says holds."


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
