"""`@autosize` as Metaflow takes it: above a flow, above a step, in `--with`, with other decorators around it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from metaflow_extensions.stepsize.plugins.sized import VARIABLE, Sized, of_step, to_text

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.xdist_group("autosize")  # one worker makes what they share

FLOW = """
import json, sys
from metaflow import Config, FlowSpec, FlowMutator, StepMutator, autosize, config_expr, project, resources, retry, step

class Shown(FlowMutator):
    def mutate(self, flow):
        for name, step in flow.steps:
            for decorator, _, _, options in step.decorator_specs:
                if decorator == "autosize":
                    said = {key: value for key, value in options.items() if value is not None}
                    print(json.dumps([name, said]))

class Added(StepMutator):
    def pre_mutate(self, step):
        step.add_decorator(autosize, deco_kwargs={"max_cpu": 3})

%(above)s
@Shown
class SizedFlow(FlowSpec):
    %(body)s
    %(first)s
    @step
    def start(self):
        self.next(self.end)
    @step
    def end(self):
        pass

if __name__ == "__main__":
    SizedFlow()
"""


ABOVE = [
    ("@autosize", "", {"start": {}, "end": {}}),
    ("@autosize()", "", {"start": {}, "end": {}}),
    ("@autosize(policy='cheap')\n@project(name='p')", "", {"start": {"policy": "cheap"}, "end": {"policy": "cheap"}}),
    ("@project(name='p')\n@autosize", "", {"start": {}, "end": {}}),
    ("", "@autosize", {"start": {}}),
    ("", "@autosize(min_memory=900)\n    @retry\n    @resources(memory=800)", {"start": {"min_memory": 900}}),
    ("", "@Added", {"start": {"max_cpu": 3}}),
    ("@autosize(max_cpu=8)", "@autosize(max_cpu=2)", {"start": {"max_cpu": 2}, "end": {"max_cpu": 8}}),
    (
        "@autosize(min_cpu=1, pin={'end': {'memory': 700, 'cpu': 2}})",
        "",
        {"start": {"min_cpu": 1}, "end": {"min_memory": 700, "min_cpu": 2}},
    ),
    (
        "@autosize(min_cpu=1, pin={'start': {'memory': 700}})",
        "@autosize(max_cpu=2)",
        {"start": {"max_cpu": 2, "min_memory": 700}, "end": {"min_cpu": 1}},
    ),
    (
        "@autosize(min_memory=900, pin={'end': {'cpu': 2}})\n@autosize(min_memory=800, max_cpu=4)",
        "",
        {"start": {"min_memory": 900, "max_cpu": 4}, "end": {"min_memory": 900, "max_cpu": 4, "min_cpu": 2}},
    ),
    (
        "@autosize(pin={'end': {'memory': 700}})\n@autosize(pin={'end': {'memory': 700}})",
        "@autosize(max_cpu=2)",
        {"start": {"max_cpu": 2}, "end": {"min_memory": 700}},
    ),
]
"""What stands above a flow and above its first step, and what each step is sized with."""
INHERITED = """
@autosize(min_memory=2000, max_cpu=3, pin={'end': {'memory': 2500, 'cpu': 2}})
class Derived(SizedFlow):
    @step
    def end(self):
        pass
"""
REFUSED = [
    ("@autosize(pin={'train': {'memory': 1}})", "", "the flow has no step train"),
    ("@autosize(pin={'end': {'disk': 1}})", "", '{"step": {"memory": MB, "cpu": cores}}'),
    ("@autosize(pin=5)", "", '{"step": {"memory": MB, "cpu": cores}}'),
    ("@autosize(pin={'end': {'memory': True}})", "", "the memory of end, True, is no amount above 0"),
    ("@autosize(pin={'end': {'memory': None}})", "", "the memory of end, None, is no amount above 0"),
    ("@autosize(pin={'end': {'cpu': -1}})", "", "the cpu of end, -1, is no amount above 0"),
    ("@autosize(memory=5)", "", "memory"),
    (
        "@autosize(pin={'start': {'memory': 700}})",
        "@autosize(min_memory=900)",
        "min_memory of step start is said twice",
    ),
]
"""What stands above a flow and above its first step, and what is said of it."""

FORKING = """
import os, sys, metaflow.cli
for case in sys.argv[1:]:
    name, *command = case.split()
    child = os.fork()
    if child == 0:
        for descriptor in (1, 2):
            os.dup2(os.open(f"{name}.out", os.O_WRONLY | os.O_CREAT | os.O_APPEND), descriptor)
        sys.argv = [f"{name}.py", "--no-pylint", *command]
        __file__ = f"{name}.py"
        exec(compile(open(__file__).read(), __file__, "exec"))
        os._exit(0)
    status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    print(name, status, flush=True)
"""
"""Each case in a child of one process: what Metaflow takes to be imported is most of what a flow takes to be shown."""


def environment(place: Path) -> dict[str, str]:
    kept = {name: text for name, text in os.environ.items() if not name.startswith(("OTEL_", "STEPSIZE", "METAFLOW_"))}
    ours = {
        "HOME": str(place),
        "STEPSIZE_DATA": str(place / "lake"),
        "STEPSIZE_RUNTIME": str(place / "run"),
        "STEPSIZE_AUTOSIZE_WAIT": "0",
        "METAFLOW_HOME": str(place),
        "METAFLOW_DATASTORE_SYSROOT_LOCAL": str(place),
        "METAFLOW_USER": "tester",
    }
    return {**kept, **ours}


def written(above: str = "", body: str = "", first: str = "", derived: str = "") -> str:
    """A flow with these lines above its class, in it, and above its first step."""
    text = FLOW % {"above": above, "body": body, "first": first}
    return text.replace("if __name__", derived + "\nif __name__").replace(
        "    SizedFlow()", "    Derived()" if derived else "    SizedFlow()"
    )


def launched(place: Path, *command: str, flow: str = "") -> subprocess.CompletedProcess[str]:
    """The command of a flow, in a process of its own."""
    (place / "flow.py").write_text(flow or written())
    return subprocess.run(
        [sys.executable, "flow.py", "--no-pylint", *command],
        env=environment(place),
        cwd=place,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )


@pytest.fixture(scope="module")
def outputs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, tuple[int, str]]:
    """The exit status and output of each flow below."""
    place = tmp_path_factory.mktemp("flows")
    above = {f"above{number}": written(up, "", first) for number, (up, first, _) in enumerate(ABOVE)}
    refused = {f"refused{number}": written(up, "", first) for number, (up, first, _) in enumerate(REFUSED)}
    flows = {
        **above,
        **refused,
        "plain": written(),
        "inherited": written("@autosize(min_memory=900, min_cpu=1)", derived=INHERITED),
        "checked": written("@autosize"),
    }
    for name, text in flows.items():
        (place / f"{name}.py").write_text(text)
    ran = subprocess.run(
        [sys.executable, "-c", FORKING, *(f"{name} {'check' if name == 'checked' else 'show'}" for name in flows)],
        env=environment(place) | {"STEPSIZE_AUTOSIZE_WAIT": "5"},
        cwd=place,
        capture_output=True,
        text=True,
        check=True,
        timeout=120,
    )
    assert not (place / "lake").exists(), "what only looks at a flow asks no lake, and makes none"
    codes = dict(line.split() for line in ran.stdout.splitlines())
    return {name: (int(codes[name]), (place / f"{name}.out").read_text()) for name in flows}


def shown(output: tuple[int, str]) -> dict[str, Any]:
    """The options of each step that is sized."""
    status, text = output
    assert status == 0, text
    assert "stepsize: @autosize:" not in text
    return dict(json.loads(line) for line in text.splitlines() if line.startswith("["))


def test_nothing_is_sized_that_nobody_asked_for(outputs: Any) -> None:
    """Importing the name does nothing; nor does what only looks at a flow say anything of sizes."""
    assert shown(outputs["plain"]) == {}
    assert shown(outputs["checked"]) == {"start": {}, "end": {}}


@pytest.mark.parametrize("number", range(len(ABOVE)))
def test_it_stands_above_flows_and_steps(outputs: Any, number: int) -> None:
    """With brackets and without, with others above and below; a step's own wins over its flow's, the outer one over the
    inner, option by option.
    """
    assert shown(outputs[f"above{number}"]) == ABOVE[number][2]


def test_a_derived_flow_has_the_last_word(outputs: Any) -> None:
    """What it says itself wins; what it leaves open is as the flow has it that it comes from."""
    assert shown(outputs["inherited"]) == {
        "start": {"min_memory": 2000, "min_cpu": 1, "max_cpu": 3},
        "end": {"min_memory": 2500, "min_cpu": 2, "max_cpu": 3},
    }


def test_its_options_may_be_a_configs(tmp_path: Path) -> None:
    """As those of any mutator."""
    config = "sizes = Config('sizes', default_value='{\"policy\": \"cheap\"}')"
    ran = launched(tmp_path, "show", flow=written("@autosize(policy=config_expr('sizes.policy'))", config))
    assert shown((ran.returncode, ran.stdout + ran.stderr)) == {
        "start": {"policy": "cheap"},
        "end": {"policy": "cheap"},
    }


@pytest.mark.parametrize("number", range(len(REFUSED)))
def test_what_it_does_not_know_stops_the_flow(outputs: Any, number: int) -> None:
    """A pin that pinned nothing would be a surprise later; which of two was meant is not ours to say."""
    status, text = outputs[f"refused{number}"]
    assert status != 0
    assert REFUSED[number][2] in text


def test_every_step_of_a_run_can_be_sized_without_a_change_of_code(tmp_path: Path) -> None:
    """`--with autosize`; an option that is no amount is named, and the step left alone. `0` asks no lake."""
    ran = launched(tmp_path, "run", "--with", "autosize:min_memory=9000,max_cpu=lots")
    assert ran.returncode == 0, ran.stderr
    notes = [line.removeprefix("stepsize: @autosize: ") for line in ran.stderr.splitlines() if "@autosize" in line]
    assert notes == [
        f"{step}: max_cpu='lots' is no amount above 0; what the flow says holds." for step in ("end", "start")
    ]
    pinned = launched(tmp_path, "run", "--with", "autosize:min_memory=9000")
    assert pinned.stderr.count("gets 1 cpu, 9000 MB in place of 1 cpu, 4096 MB (pinned).") == 2
    assert "history" not in pinned.stderr


NAMES = st.from_regex(r"[A-Za-z_]\w{0,20}", fullmatch=True)


@given(NAMES, NAMES, NAMES, st.none() | st.sampled_from([0.25, 2.0, 96.0]), st.none() | st.integers(1, 10**15))
def test_a_size_reaches_the_process_of_its_step(
    flow: str, step: str, policy: str, cpu: float | None, memory: int | None
) -> None:
    """And no other step's: what a task starts inherits its environment."""
    sized = Sized(policy, cpu, memory)
    environ = {VARIABLE: to_text(flow, step, sized)}
    assert of_step(environ, flow, step) == sized
    assert of_step(environ, flow, step + "2") is None
    assert of_step(environ, flow + "2", step) is None
    assert of_step({}, flow, step) is None


@given(st.text(alphabet="F/s.0x-", max_size=12))
def test_a_variable_that_is_no_size_is_none(text: str) -> None:
    """Whoever set it."""
    found = of_step({VARIABLE: f"F/s/{text}"}, "F", "s")
    assert found is None or isinstance(found, Sized)
