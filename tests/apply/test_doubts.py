"""What a file does not show for sure is refused, for the steps that it is about alone; what it shows is not."""

from __future__ import annotations

import time

import pytest

from tests.apply.advice import applied, wanted
from tests.apply.test_edits import HEAD, flow, said, train

FIRST = "    @resources(memory=8000)\n    @step\n    def start(self): pass\n"
OTHER = f"class OtherFlow(FlowSpec):\n{FIRST}"
CLASS = "class TrainFlow(FlowSpec):\n"
ADVICE = (wanted("TrainFlow", "start", memory_mb=600), wanted("OtherFlow", "start", memory_mb=600))


def deeper(text: str) -> str:
    return "".join(f"    {line}" for line in text.splitlines(keepends=True))


@pytest.mark.parametrize(
    "body",
    [
        f"    if LARGE:\n{deeper(FIRST)}    else:\n{deeper(FIRST)}",
        f"{FIRST}    if LARGE:\n{deeper(FIRST)}",
        f"{FIRST}    start = changed(start)\n",
        f"{FIRST}    del start\n",
        f"    try:\n{deeper(FIRST)}    except Exception:\n        start = None\n",
    ],
)
def test_a_step_that_may_be_another_one_is_refused(body: str) -> None:
    """It is told; the other flow of the file is edited all the same."""
    edited = applied(HEAD + CLASS + body + OTHER, *ADVICE)
    assert [edit.flow for edit in edited.edits] == ["OtherFlow"]
    ((_, text),) = said(edited)
    assert "which of them counts, only running the file would show" in text


@pytest.mark.parametrize("block", ["if LARGE:", "with suppress(Exception):", "for _ in range(1):", "while not DONE:"])
def test_a_step_in_a_block_of_the_class_is_one(block: str) -> None:
    """Where it is there, it asks for what is advised."""
    text = f"{HEAD}{CLASS}    {block}\n{deeper(FIRST)}"
    after = applied(text, *ADVICE).data.decode()
    assert after == text.replace("8000", "600")


def test_of_definitions_one_after_another_the_last_one_counts() -> None:
    """As Python has it."""
    text = HEAD + CLASS + FIRST + FIRST.replace("8000", "7000")
    assert applied(text, *ADVICE).data.decode() == text.replace("7000", "600")


@pytest.mark.parametrize(
    "flows",
    [
        f"if LARGE:\n{deeper(CLASS + FIRST)}else:\n{deeper(CLASS + FIRST)}",
        f"{CLASS}{FIRST}{CLASS}{FIRST}",
        f"{CLASS}{FIRST}TrainFlow = changed(TrainFlow)\n",
    ],
)
def test_a_flow_that_may_be_another_one_is_refused_alone(flows: str) -> None:
    """Which of them runs is not known; the file's other flow is."""
    edited = applied(HEAD + flows + OTHER, *ADVICE)
    assert [edit.flow for edit in edited.edits] == ["OtherFlow"]
    assert ["TrainFlow means several things" in text for _, text in said(edited)] == [True]


def test_a_name_that_a_function_changes_is_no_decorator_of_metaflow() -> None:
    """`global` reaches the module's names from anywhere."""
    head = f"{HEAD}def change():\n    global resources\n    resources = print\nchange()\n"
    assert "@resources may change what it asks for" in said(train("@resources(memory=8000)", head))[0][1]


@pytest.mark.parametrize(
    ("head", "base", "refused"),
    [
        ("from mylib import Base\n", "Base", True),
        ("from .base import Base\n", "Base", True),
        ("import mylib\n", "FlowSpec, mylib.Base", True),
        ("from abc import ABC\n", "FlowSpec, ABC", False),
        ("from typing import Generic, TypeVar\nT = TypeVar('T')\n", "FlowSpec, Generic[T], object", False),
        ("class Base(FlowSpec): pass\n", "Base", False),
    ],
)
def test_mutators_of_a_base_class_that_is_not_read_are_inherited(head: str, base: str, *, refused: bool) -> None:
    """So it has to be trusted, as decorators have to; Python's own have none."""
    text = flow("@resources(memory=8000)", HEAD + head, base)
    advice = wanted("TrainFlow", "train", memory_mb=600)
    edited = applied(text, advice)
    assert bool(edited.edits) is not refused
    if refused:
        name = base.rpartition(" ")[2]
        assert said(edited)[0][1].endswith(f"give --trust {name}")
        assert applied(text, advice, trusted=frozenset([name])).edits


@pytest.mark.parametrize(
    "helper",
    [
        "def sized(f):\n    from mylib import big\n    return big(f)\n",
        "def sized(f):\n    from mylib import *\n    return big(f)\n",
        "from metaflow import resources as r\ndef sized(f): return r(memory=7)(f)\n",
        "big, small = (resources(memory=9), None)\ndef sized(f): return big(f)\n",
        "ALL = {'big': resources(memory=9)}\ndef sized(f): return ALL['big'](f)\n",
        "try:\n    from mylib import big\nexcept ImportError:\n    big = None\ndef sized(f): return big(f)\n",
        "for big in [resources(memory=9)]: pass\ndef sized(f): return big(f)\n",
    ],
)
def test_a_helper_that_reaches_resources_by_other_ways_is_refused(helper: str) -> None:
    """Imports inside of it, aliases, containers."""
    assert "--trust sized" in said(train("@sized\n@resources(memory=8000)", HEAD + helper))[0][1]


def test_a_helper_that_counts_calls_is_none() -> None:
    """What is changed by `global` and is never called says nothing of resources."""
    head = f"{HEAD}import logging\nCALLS = 0\nLOG = logging.getLogger()\n"
    head += "def counted(f):\n    global CALLS\n    CALLS += 1\n    LOG.info('step')\n    return f\n"
    assert train("@counted\n@resources(memory=8000)", head).edits


def test_beside_another_star_only_what_flows_need_is_metaflows() -> None:
    """`@big` may come from either."""
    head = "from metaflow import *\nfrom mylib import *\n"
    assert train("@resources(memory=8000)", head).edits
    assert "--trust big" in said(train("@big\n@resources(memory=8000)", head))[0][1]
    assert train("@big\n@resources(memory=8000)", head.replace("mylib", "math")).edits


@pytest.mark.parametrize(
    "decorator",
    [f"@resources(memory=1{'0' * 5000})", f"@resources('{'x' * 5000}')", f"@(lambda f: g('{'x' * 5000}',\n    f))"],
)
def test_a_refusal_is_a_line_that_can_be_read(decorator: str) -> None:
    """However long what it is about is."""
    ((_, text),) = said(train(decorator))
    assert len(text) < 250
    assert text.isprintable()


def test_helpers_that_call_one_another_take_no_longer_than_they_are_long() -> None:
    """Each is looked at once: 300 in a row, each above a step, in a few seconds of CPU time."""
    helpers = "".join(f"def d{n}(f): return d{max(n - 1, 0)}(f)\n" for n in range(300))
    steps = "".join(f"    @d{n}\n{FIRST.replace('start', f's{n}')}" for n in range(300))
    advice = [wanted("TrainFlow", f"s{n}", memory_mb=600) for n in range(300)]
    began = time.process_time()
    assert len(applied(HEAD + helpers + CLASS + steps, *advice).edits) == 300
    assert time.process_time() - began < 5
