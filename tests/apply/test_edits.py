"""What is edited of a step, what is not, and what is said of it."""

from __future__ import annotations

import textwrap
from typing import Any

import pytest

from stepsize.analyzer.costs import Amounts
from stepsize.analyzer.edits.plan import Edited
from stepsize.errors import UsageError
from tests.apply.advice import applied, wanted

HEAD = "from metaflow import FlowSpec, batch, config_expr, kubernetes, resources, step, Config, StepMutator\n"
PLAIN, DEEP = "from metaflow import FlowSpec", "from metaflow.api import FlowSpec, step\n"
LINES = "from metaflow import (\n    step,\n"


def flow(decorators: str, head: str = HEAD, base: str = "FlowSpec") -> str:
    """A flow of one step below these decorators; the first of them is on line 3 where the head has one."""
    lines = textwrap.indent(textwrap.dedent(decorators).strip("\n"), "    ")
    return f"{head}class TrainFlow({base}):\n{lines}\n    @step\n    def train(self):\n        pass\n"


def train(decorators: str, head: str = HEAD, options: dict[str, Any] | None = None, **advice: Any) -> Edited:
    """One step, with 600 MB and one core advised unless it is said otherwise."""
    advised = {"cpu": 1, "memory_mb": 600} if not advice.keys() & {"cpu", "memory_mb", "gpu", "disk_mb"} else {}
    return applied(flow(decorators, head), wanted("TrainFlow", "train", **advised, **advice), **(options or {}))


def said(edited: Edited, kind: str = "refused") -> list[tuple[int, str]]:
    return [(remark.line, remark.text) for remark in edited.remarks if remark.kind.value == kind]


def step_of(edited: Edited) -> str:
    """The step's decorators after the edit."""
    text = edited.data.decode()
    return textwrap.dedent(text[text.index("\n", text.index("class ")) + 1 : text.index("    @step")]).strip()


@pytest.mark.parametrize(
    ("decorators", "reason"),
    [
        ("@resources(memory=MEMORY, cpu=4)", "memory=MEMORY is no number"),
        ("@resources(cpu=4, memory=config.train)", "memory=config.train is no number"),
        ('@resources(memory=config_expr("config.memory"))', 'memory=config_expr("config.memory") is no number'),
        ('@resources(memory=f"{8}000")', 'memory=f"{8}000" is no number'),
        ("@resources(memory=8 * GB)", "memory=8 * GB is no number"),
        ("@resources(memory=-8000)", "memory=-8000 is no number"),
        (f"@resources(memory=1{'0' * 400})", "is no number"),
        (f"@resources(memory=1{'0' * 5000})", "is no number"),
        ('@resources(memory="8" "000")', 'memory="8" "000" is no number'),
        ('@resources(memory="8GB")', 'memory="8GB" is no number'),
        ("@resources(memory=int(8000))", "memory=int(8000) is no number"),
        ("@resources(cpu=4, **SIZES)", "**SIZES"),
        ("@resources(4, 8000)", "@resources(4) lacks a name"),
        ("@kubernetes(memory=MEMORY)\n@resources(memory=8000)", "memory=MEMORY is no number"),
    ],
)
def test_a_value_that_only_running_the_file_would_show_is_refused_with_its_line(decorators: str, reason: str) -> None:
    """Not a byte of the step changes, whatever else could be edited."""
    edited = train(decorators)
    assert edited.data.decode() == flow(decorators)
    ((line, text),) = said(edited)
    assert line == 3
    assert reason in text


@pytest.mark.parametrize(
    ("head", "decorators", "name"),
    [
        ("from mylib import big\n", "@big", "big"),
        ("import mylib\n", "@mylib.sized(8)", "mylib.sized"),
        ("big = resources(memory=8000)\n", "@big", "big"),
        ("class Sized(StepMutator):\n    def mutate(self, s): s.add_decorator('resources')\n", "@Sized", "Sized"),
        ("def sized(f): return resources(memory=1)(f)\n", "@sized", "sized"),
        ("resources = None\n", "@resources(memory=8000)", "resources"),
        ("import mylib\ndef sized(f): return mylib.big(f)\n", "@sized", "sized"),
        ("def big(f): return resources(memory=1)(f)\ndef sized(f): return big(f)\n", "@sized", "sized"),
    ],
)
def test_a_decorator_that_may_set_resources_is_refused_unless_trusted(head: str, decorators: str, name: str) -> None:
    """Mutators, what other modules define, what calls were given a name: the line of its use is told."""
    head = HEAD + head
    edited = train(decorators, head)
    assert edited.data.decode() == flow(decorators, head)
    ((line, text),) = said(edited)
    assert line == head.count("\n") + 2
    assert f"--trust {name}" in text
    trusted = train(decorators, head, {"trusted": frozenset([name])})
    assert trusted.edits
    assert said(trusted) == []


@pytest.mark.parametrize(
    "head",
    [
        "def logged(f): return f\n",
        "import functools\ndef named(f): return functools.wraps(f)(f)\ndef logged(f): return named(f)\n",
        "class Logged(StepMutator):\n    def mutate(self, s): print(s)\n",
        "from metaflow import card as logged\n",
        "from metaflow import retry\nlogged = retry(times=3)\n",
    ],
)
def test_a_decorator_that_never_speaks_of_resources_is_no_obstacle(head: str) -> None:
    """Metaflow's own, and those of the file that leave them alone."""
    name = "Logged" if "class" in head else "logged"
    assert train(f"@{name}\n@resources(memory=8000)", HEAD + head).edits


def test_a_mutator_of_the_whole_flow_is_one_of_each_step() -> None:
    """Its line is that of the class's decorator."""
    text = flow("@resources(memory=8000)").replace("class ", "@everything\nclass ")
    edited = applied("from mylib import everything\n" + text, wanted("TrainFlow", "train", memory_mb=600))
    assert [(line, "--trust everything" in reason) for line, reason in said(edited)] == [(3, True)]


@pytest.mark.parametrize(
    "decorators",
    ["@resources(memory=1)\n@resources(cpu=2)", "@batch\n@kubernetes", "@batch(memory=1)\n@kubernetes(cpu=2)"],
)
def test_what_metaflow_does_not_take_is_refused(decorators: str) -> None:
    """Two of one kind, or two platforms."""
    edited = train(decorators)
    assert not edited.edits
    assert "Metaflow does not take" in said(edited)[0][1]


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("@resources", "@resources(cpu=1, memory=600)"),
        ("@resources()", "@resources(cpu=1, memory=600)"),
        ("@resources(\n    # nothing yet\n)", "@resources(\n    # nothing yet\n    cpu=1, memory=600\n)"),
        ("@resources(cpu=2)", "@resources(cpu=1, memory=600)"),
        ("@resources(cpu=2,)", "@resources(cpu=1, memory=600,)"),
        ("@resources(memory='8000', cpu = 2)", "@resources(memory='600', cpu = 1)"),
        ("@resources(memory=8_000, cpu=1)  # both", "@resources(memory=600, cpu=1)  # both"),
        ("@kubernetes(memory=8000)", "@kubernetes(memory=600, cpu=1)"),
        ("@kubernetes", "@kubernetes(cpu=1, memory=600)"),
        ('@kubernetes(image="x")', '@kubernetes(image="x", cpu=1, memory=600)'),
        # Metaflow's defaults count: 4096 MB of the one would be the larger.
        ("@kubernetes(memory=8000)\n@resources(cpu=1)", "@kubernetes(memory=600)\n@resources(cpu=1, memory=600)"),
        ("@resources(memory=5, cpu=1)\n@batch(memory=8000)", "@resources(memory=5, cpu=1)\n@batch(memory=576)"),
        ("@batch(cpu=4)\n@resources(memory=900)", "@batch(cpu=1)\n@resources(memory=576)"),
        ("", "@resources(cpu=1, memory=600)"),
    ],
)  # fmt: skip
def test_the_edit_makes_the_effective_value_what_is_advised(before: str, after: str) -> None:
    """In the manner in which the rest is written; MiB on Batch (600 MB are 572.2 of them)."""
    edited = train(before)
    assert step_of(edited) == after
    assert said(edited) == []


def test_more_memory_is_written_to_one_decorator() -> None:
    """The larger of two counts, so that one is enough: the one that says the most."""
    edited = train("@kubernetes(memory=5000)\n@resources(memory=6000)", cpu=1, memory_mb=9000)
    assert step_of(edited) == "@kubernetes(memory=5000, cpu=1)\n@resources(memory=9000, cpu=1)".replace(
        ", cpu=1)\n", ")\n"
    )


def test_what_the_report_keeps_stays() -> None:
    """No recommendation, or the request itself."""
    kept = Amounts(cpu=4, memory_mb=8000)
    edited = train("@resources(cpu=4, memory=8000)", requested=kept, cpu=4, memory_mb=8000)
    assert (edited.edits, edited.remarks) == ((), ())


def test_what_was_given_on_the_command_line_is_told() -> None:
    """`--with kubernetes:memory=16000` is in the runs, not in the source; what it gives counts wherever it is more."""
    given = Amounts(cpu=1, memory_mb=16_000)
    edited = train("", requested=given, target="kubernetes", cpu=1, memory_mb=5000)
    assert step_of(edited) == "@resources(memory=5000)"
    ((line, text),) = said(edited, "note")
    assert (line, "16000 MB of memory" in text, "--with" in text) == (5, True, True)


def test_below_what_with_kubernetes_asks_for_the_decorator_itself_is_needed() -> None:
    """Metaflow takes the larger of its 4096 MB and @resources."""
    edited = train("", requested=Amounts(cpu=1, memory_mb=4096), target="kubernetes", cpu=1, memory_mb=600)
    assert any("--with kubernetes asks for 4096 MB of memory at least" in text for _, text in said(edited, "note"))


def test_what_somebody_raised_since_is_not_lowered() -> None:
    """The runs asked for less than the source does now; other resources are edited all the same."""
    edited = train("@resources(cpu=4, memory=8000)", requested=Amounts(cpu=4, memory_mb=4096), cpu=2, memory_mb=600)
    assert step_of(edited) == "@resources(cpu=2, memory=8000)"
    assert "raised it since" in said(edited)[0][1]


@pytest.mark.parametrize(
    ("decorator", "requested_mb"), [("@batch(memory=8192)", 8192 * 2**20 / 10**6), ("@kubernetes(memory=8192)", 8192)]
)
def test_a_request_is_compared_in_the_platforms_unit(decorator: str, requested_mb: float) -> None:
    """8192 on Batch are MiB, 8590 MB: nobody raised it."""
    requested = Amounts(cpu=1, memory_mb=requested_mb)
    edited = train(decorator, requested=requested, cpu=1, memory_mb=3000)
    assert [edit.after for edit in edited.edits] == ["2944" if "batch" in decorator else "3000"]
    assert edited.remarks == ()


def test_gpus_are_taken_only_where_that_is_asked_for() -> None:
    """A step that never used its GPU may be meant to: losing it is for its author to say."""
    requested = Amounts(cpu=1, memory_mb=600, gpu=2)
    kept = train("@resources(cpu=1, memory=600, gpu=2)", requested=requested, gpu=0)
    assert not kept.edits
    assert "--drop-gpus" in said(kept)[0][1]
    dropped = train(
        "@resources(cpu=1, memory=600, gpu=2)", None or HEAD, {"drop_gpus": True}, requested=requested, gpu=0
    )
    assert step_of(dropped) == "@resources(cpu=1, memory=600, gpu=0)"
    fewer = train("@kubernetes(gpu=4)", requested=Amounts(gpu=4), gpu=2)
    assert step_of(fewer) == "@kubernetes(gpu=2)"


def test_disk_goes_where_there_is_any() -> None:
    """Kubernetes gives 10 GB unasked, so less has to be said there; Batch takes none."""
    assert (
        step_of(train("@kubernetes\n@resources(disk=20000)", disk_mb=5000))
        == "@kubernetes(disk=5000)\n@resources(disk=5000)"
    )
    batch = train("@batch", disk_mb=5000)
    assert not batch.edits
    assert "ephemeral_storage" in said(batch)[0][1]


def test_fargate_gets_a_pair_and_no_gpus() -> None:
    """One core goes with 2048 MiB at least; what needs a GPU cannot run there."""
    edited = train("@batch(cpu=4, memory=16384)", target="fargate", cpu=1, memory_mb=600, gpu=1)
    assert step_of(edited) == "@batch(cpu=1, memory=2048)"
    assert "no GPUs" in said(edited)[0][1]


@pytest.mark.parametrize(
    ("before", "seconds", "after"),
    [
        ("", 5400, "@timeout(minutes=90)"),
        ("", 7200, "@timeout(hours=2)"),
        ("", 90, "@timeout(seconds=90)"),
        ("@timeout(seconds=20000)", 5400, "@timeout(seconds=5400)"),
        ("@timeout(hours=12)", 7200, "@timeout(hours=2)"),
        ("@timeout(hours=12)", 5400, "@timeout(hours=1, minutes=30)"),
        ("@timeout(hours=12, minutes=15)", 7200, "@timeout(hours=2, minutes=0)"),
        ("@timeout(minutes=600, seconds=1)", 5430, "@timeout(minutes=90, seconds=30)"),
    ],
)
def test_timeouts_are_edited_where_that_is_asked_for(before: str, seconds: int, after: str) -> None:
    """Metaflow adds the parts up; those that are written keep their place."""
    head = HEAD.replace("\n", ", timeout\n")
    edited = train(before, head, {"timeout": True}, cpu=None, timeout_s=seconds)
    assert step_of(edited) == after
    assert not train(before, head, cpu=None, timeout_s=seconds).edits


def test_a_step_that_flows_share_is_edited_for_all_of_them() -> None:
    """The largest advice; nothing where one of them has none."""
    text = flow("@resources(memory=8000)") + "class A(TrainFlow): pass\nclass B(TrainFlow): pass\n"
    both = applied(text, wanted("A", "train", memory_mb=600), wanted("B", "train", memory_mb=900))
    assert [edit.after for edit in both.edits] == ["900"]
    one = applied(text, wanted("A", "train", memory_mb=600))
    assert not one.edits
    assert "A and B share it, and nothing is known of it in B" in said(one)[0][1]


def test_an_overridden_step_is_its_own_flows() -> None:
    """The base class's step stays for those that use it."""
    text = (
        flow("@resources(memory=8000)")
        + "class A(TrainFlow):\n    @resources(memory=7000)\n    @step\n    def train(self): pass\n"
    )
    edited = applied(text, wanted("A", "train", memory_mb=600))
    assert [edit.before for edit in edited.edits] == ["7000"]


def test_steps_without_history_and_history_without_steps_are_told() -> None:
    """A step that has not run yet, and one that is defined elsewhere or no more."""
    text = flow("", HEAD.replace("\n", "\nfrom base import Base\n"), "Base")
    edited = applied(text, wanted("TrainFlow", "load", memory_mb=600))
    assert said(edited, "unmeasured") == [(6, "has not been measured yet")]
    assert said(edited, "missing") == [
        (3, "was measured, but is no step of this file (maybe of Base, which is not read)"),
    ]


@pytest.mark.parametrize(
    ("head", "imported"),
    [
        ("from metaflow import FlowSpec, step\n", "from metaflow import FlowSpec, resources, step\n"),
        ("from metaflow import step, FlowSpec\n", "from metaflow import step, FlowSpec, resources\n"),
        ("from metaflow import step, FlowSpec  # noqa\n", "from metaflow import step, FlowSpec, resources  # noqa\n"),
        ("from metaflow import (FlowSpec, step,)\n", "from metaflow import (FlowSpec, resources, step,)\n"),
        (f"{LINES}    FlowSpec,\n)\n", f"{LINES}    FlowSpec,\n    resources,\n)\n"),
        (f"{LINES}    FlowSpec  # base\n)\n", f"{LINES}    FlowSpec,  # base\n    resources\n)\n"),
        (f"{PLAIN}, \\\n    step, Config\n", f"{PLAIN}, \\\n    step, Config, resources\n"),
        (f"import os; {DEEP}", f"import os; from metaflow import resources; {DEEP}"),
        (f"{PLAIN}, step\nif 0: from metaflow import resources\n", f"{PLAIN}, resources as metaflow_resources, step\n"),
        (f"{PLAIN}, step\nif True:\n    {PLAIN}, step\n", f"{PLAIN}, resources, step\nif True:\n    {PLAIN}, step\n"),
        (f"resources = 1\n{PLAIN}, step\n", f"resources = 1\n{PLAIN}, resources as metaflow_resources, step\n"),
    ],
)  # fmt: skip
def test_the_import_is_extended_in_its_manner(head: str, imported: str) -> None:
    """Once, in its order where it keeps one."""
    edited = train("", head, memory_mb=600)
    assert edited.data.decode().startswith(imported)
    called = "metaflow_resources" if "metaflow_" in imported else "resources"
    assert step_of(edited) == f"@{called}(memory=600)"


def test_a_pair_is_written_whole_or_not_at_all() -> None:
    """On Fargate fewer cores do not go with memory that somebody raised since."""
    requested = Amounts(cpu=4, memory_mb=8000)
    edited = train("@batch(cpu=4, memory=16384)", target="fargate", requested=requested, cpu=1, memory_mb=600)
    assert not edited.edits
    assert "raised it since" in said(edited)[0][1]


def test_an_import_further_down_is_not_there_yet() -> None:
    """The name is imported where the step can see it."""
    text = flow("", f"{PLAIN}, step\n") + "from metaflow import resources\n"
    after = applied(text, wanted("TrainFlow", "train", memory_mb=600)).data.decode()
    assert after.startswith(f"{PLAIN}, resources as metaflow_resources, step\n")
    assert "    @metaflow_resources(memory=600)\n" in after


@pytest.mark.parametrize("value", [" + ".join(["1"] * 400), "+1" * 20_000, "-" * 20_000 + "1", "(" * 3000 + ")" * 3000])
def test_what_nests_too_deep_is_one_line(value: str) -> None:
    """Hundreds of operands, of which libcst goes down one after another; thousands would end the process."""
    with pytest.raises(UsageError, match="nests too deep"):
        applied(f"x = {value}\n")


def test_what_a_later_python_takes_is_left_to_libcst() -> None:
    """The Python that runs this may be older than what the flow is written for."""
    later = "type Rows = list[int]\n"
    edited = applied(flow("@resources(memory=8000)") + later, wanted("TrainFlow", "train", memory_mb=600))
    assert edited.data.decode() == flow("@resources(memory=600)") + later


@pytest.mark.parametrize("gone", ["del resources\n", "match 1:\n    case resources: pass\n"])
def test_a_name_that_means_something_else_by_then_is_not_written(gone: str) -> None:
    """``del`` and ``match`` give a name another meaning, too."""
    after = applied(flow("", HEAD + gone), wanted("TrainFlow", "train", memory_mb=600)).data.decode()
    assert "    @metaflow_resources(memory=600)\n" in after


@pytest.mark.parametrize(
    "text",
    ["class (", "x = '\0'\n", "print 'x'\n", "x = 1\rclass A: pass\r", "x = 1\n\x0cclass A: pass\n"],
)
def test_what_is_no_python_is_one_line(text: str) -> None:
    """With the line it is about, where there is one."""
    with pytest.raises(UsageError, match=r"line 1: this is no Python|null byte|carriage return or a form feed"):
        applied(text)
