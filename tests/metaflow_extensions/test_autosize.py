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


def launched(
    place: Path, *command: str, above: str = "", body: str = "", first: str = ""
) -> subprocess.CompletedProcess[str]:
    """The command of a flow with these lines above its class, in it, and above its first step."""
    (place / "flow.py").write_text(FLOW % {"above": above, "body": body, "first": first})
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
    return subprocess.run(
        [sys.executable, "flow.py", "--no-pylint", *(command or ("show",))],
        env={**kept, **ours},
        cwd=place,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )


def shown(ran: subprocess.CompletedProcess[str]) -> dict[str, Any]:
    """The options of each step that is sized."""
    assert ran.returncode == 0, ran.stdout + ran.stderr
    return dict(json.loads(line) for line in ran.stdout.splitlines() if line.startswith("["))


def test_nothing_is_sized_that_nobody_asked_for(tmp_path: Path) -> None:
    """Importing the name does nothing."""
    assert shown(launched(tmp_path)) == {}


@pytest.mark.parametrize(
    ("above", "first", "expected"),
    [
        ("@autosize", "", {"start": {}, "end": {}}),
        ("@autosize()", "", {"start": {}, "end": {}}),
        (
            "@autosize(policy='cheap')\n@project(name='p')",
            "",
            {"start": {"policy": "cheap"}, "end": {"policy": "cheap"}},
        ),
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
    ],
)
def test_it_stands_above_flows_and_steps(tmp_path: Path, above: str, first: str, expected: dict[str, Any]) -> None:
    """With brackets and without, with others above and below; a step's own wins over its flow's."""
    assert shown(launched(tmp_path, above=above, first=first)) == expected


def test_its_options_may_be_a_configs(tmp_path: Path) -> None:
    """As those of any mutator."""
    ran = launched(
        tmp_path,
        above="@autosize(policy=config_expr('sizes.policy'))",
        body="sizes = Config('sizes', default_value='{\"policy\": \"cheap\"}')",
    )
    assert shown(ran) == {"start": {"policy": "cheap"}, "end": {"policy": "cheap"}}


def test_a_least_that_is_said_twice_stops_the_flow(tmp_path: Path) -> None:
    """Which of the two was meant is not ours to say."""
    ran = launched(tmp_path, above="@autosize(pin={'start': {'memory': 700}})", first="@autosize(min_memory=900)")
    assert ran.returncode != 0
    assert "min_memory of step start is said twice" in ran.stdout + ran.stderr


@pytest.mark.parametrize(
    ("above", "said"),
    [
        ("@autosize(pin={'train': {'memory': 1}})", "the flow has no step train"),
        ("@autosize(pin={'end': {'disk': 1}})", '{"step": {"memory": MB, "cpu": cores}}'),
        ("@autosize(pin=5)", '{"step": {"memory": MB, "cpu": cores}}'),
        ("@autosize(memory=5)", "memory"),
    ],
)
def test_what_it_does_not_know_stops_the_flow(tmp_path: Path, above: str, said: str) -> None:
    """A pin that pinned nothing would be a surprise later."""
    ran = launched(tmp_path, above=above)
    assert ran.returncode != 0
    assert said in ran.stdout + ran.stderr


def test_every_step_of_a_run_can_be_sized_without_a_change_of_code(tmp_path: Path) -> None:
    """`--with autosize`; an option that is no amount is named, and the step left alone. `0` asks no lake."""
    ran = launched(tmp_path, "run", "--with", "autosize:min_memory=lots")
    assert ran.returncode == 0, ran.stderr
    notes = [line for line in ran.stderr.splitlines() if line.startswith("stepsize: @autosize: ")]
    assert [note.partition("min_memory")[2] for note in notes] == [
        "='lots' is no amount above 0; what the flow says holds."
    ] * 2
    pinned = launched(tmp_path, "run", "--with", "autosize:min_memory=9000")
    assert pinned.stderr.count("gets 1 cpu, 9000 MB in place of 1 cpu, 4096 MB (safe, no history).") == 2


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
