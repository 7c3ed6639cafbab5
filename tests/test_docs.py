"""The documentation says what the code does."""

from __future__ import annotations

import re
import runpy
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from stepsize.cli import COMMANDS
from stepsize.collector.components.table import COMPONENTS
from stepsize.collector.config.service import parse

ROOT = Path(__file__).parent.parent


def test_the_reference_is_up_to_date() -> None:
    """`make docs` writes it from the tables in the code.

    In a process of its own: a command keeps to how help was called when somebody first asked for it.
    """
    program = f"import runpy; print(runpy.run_path({str(ROOT / 'docs/generate.py')!r})['page'](), end='')"
    command = [sys.executable, "-X", "utf8", "-c", program]
    written = subprocess.run(command, check=True, capture_output=True, encoding="utf-8").stdout
    assert (ROOT / "docs/reference.md").read_text(encoding="utf-8") == written


def test_the_collectors_keys_are_up_to_date() -> None:
    """`make docs` writes every key there is after what is written by hand; each says something."""
    generate = runpy.run_path(str(ROOT / "docs/generate.py"))
    page = (ROOT / "docs/collector.md").read_text(encoding="utf-8")
    assert page == generate["collector_page"](page)
    silent = [
        f"{section}.{name}.{key}"
        for section, types in COMPONENTS.items()
        for name, kind in types.items()
        for key, row in generate["keys"](kind)
        if not generate["meaning"](row)
    ]
    assert silent == []


def test_the_readme_begins_with_the_two_commands_of_first_contact() -> None:
    """`make run`, then `make test`, then pip; every command is named."""
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    assert readme.index("make run") < readme.index("make test") < readme.index("pip install")
    for command in COMMANDS:
        assert f"stepsize {command}" in readme, command


def test_every_decision_has_its_parts() -> None:
    """What was chosen, why, and what was weighed."""
    decisions = sorted((ROOT / "docs/decisions").glob("[0-9]*.md"))
    assert decisions
    for decision in decisions:
        text = decision.read_text(encoding="utf-8")
        for part in ("## Context", "## Decision", "## Consequences"):
            assert part in text, f"{decision.name} lacks {part}"


BLOCKS = re.findall(r"```yaml\n(.*?)```", (ROOT / "docs/collector.md").read_text(encoding="utf-8"), re.DOTALL)
COMPLETE = {
    "receivers": {"otlp": {"protocols": {"grpc": None}}},
    "exporters": {"parquet": None},
    "service": {"pipelines": {"metrics": {"receivers": ["otlp"], "exporters": ["parquet"]}}},
}
"""What a block that shows a part of a configuration leaves away."""


@pytest.mark.parametrize("block", BLOCKS)
def test_the_collectors_examples_are_understood(block: str) -> None:
    """Every configuration on the collector's page, or part of one, is one that the collector takes."""
    shown = yaml.safe_load(block)
    whole = {**COMPLETE, **shown, "service": {**COMPLETE["service"], **shown.get("service", {})}}
    config = parse(yaml.safe_dump(whole), "docs/collector.md", {}, lambda _path: "a token\n")
    assert config.pipelines.keys() == whole["service"]["pipelines"].keys()
