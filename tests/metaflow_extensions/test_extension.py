"""What the extension adds to Metaflow wherever it is imported, and what that costs."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest


def python(program: str, **environment: str) -> str:
    """What a program prints in a process of its own, with no setting of Metaflow's or ours but those given."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("STEPSIZE", "METAFLOW_"))}
    finished = subprocess.run(
        [sys.executable, "-c", program], env=kept | environment, capture_output=True, text=True, check=False
    )
    assert finished.returncode == 0, finished.stderr
    return finished.stdout.strip()


def decospecs(tmp_path: Path, configuration: dict[str, object], **environment: str) -> str:
    """What every step is decorated with, under a site's configuration file."""
    (tmp_path / "config_site.json").write_text(json.dumps(configuration))
    program = "from metaflow.metaflow_config import DEFAULT_DECOSPECS; print(DEFAULT_DECOSPECS)"
    return python(program, METAFLOW_HOME=str(tmp_path), METAFLOW_PROFILE="site", **environment)


def test_importing_metaflow_imports_next_to_nothing_of_ours() -> None:
    """A few small modules, in every program that imports Metaflow; the rest where a hook has a use for it."""
    program = "import sys; import metaflow; print(*sys.modules)"
    loaded = python(program, STEPSIZE="1").split()
    assert not [name for name in loaded if name.split(".")[0] == "stepsize"]
    extension = {name.rpartition(".")[2] for name in loaded if name.startswith("metaflow_extensions.stepsize.plugins.")}
    assert extension == {"mfextinit_stepsize", "decorator", "guard", "alias", "shipped", "autosize", "mutator"}


@pytest.mark.parametrize("word", ["1", "true", "Yes", "on", "mistyped"])
def test_a_word_switches_every_step_on(tmp_path: Path, word: str) -> None:
    """Any that does not mean no: of one that is mistyped the launcher then says so."""
    assert decospecs(tmp_path, {}, STEPSIZE=word) == "stepsize"


@pytest.mark.parametrize("word", ["", "0", "False", "no", "off"])
def test_a_word_leaves_every_step_alone(tmp_path: Path, word: str) -> None:
    """As does none at all."""
    assert decospecs(tmp_path, {}, STEPSIZE=word) == ""


def test_what_the_site_sets_stays(tmp_path: Path) -> None:
    """Ours is appended to its list once; its own word of how ours is to be wins."""
    assert decospecs(tmp_path, {"METAFLOW_DEFAULT_DECOSPECS": "retry"}, STEPSIZE="1") == "retry stepsize"
    site = {"METAFLOW_DEFAULT_DECOSPECS": "stepsize:interval=5 retry"}
    assert decospecs(tmp_path, site, STEPSIZE="1") == "stepsize:interval=5 retry"
    assert decospecs(tmp_path, site) == "stepsize:interval=5 retry"


def test_a_site_that_leaves_ours_out_of_its_decorators_is_not_broken(tmp_path: Path) -> None:
    """Metaflow refuses to start a flow with a decorator that the site has not enabled."""
    assert decospecs(tmp_path, {"METAFLOW_ENABLED_STEP_DECORATOR": ["retry", "card"]}, STEPSIZE="1") == ""
    enabled = {"METAFLOW_ENABLED_STEP_DECORATOR": ["retry", "stepsize"]}
    assert decospecs(tmp_path, enabled, STEPSIZE="1") == "stepsize"


def test_track_resources_is_ours_where_nobody_else_offers_it() -> None:
    """With the options that resource-tracker's has."""
    program = (
        "import metaflow; kind = metaflow.track_resources.args[0]\n"
        "print(kind.__module__, *sorted(kind(attributes={}).attributes))"
    )
    module, *options = python(program).split()
    assert module == "metaflow_extensions.stepsize.plugins.alias"
    assert options == ["artifact_name", "create_card", "interval"]


def test_track_resources_is_its_owners_where_that_is_installed(tmp_path: Path) -> None:
    """We do not offer it at all, so that the order in which Metaflow finds extensions does not matter."""
    plugins = tmp_path / "metaflow_extensions/resource_tracker/plugins"
    plugins.mkdir(parents=True)
    (plugins / "mfextinit_resource_tracker.py").write_text(
        'STEP_DECORATORS_DESC = [("track_resources", ".owner.Owner")]\n'
    )
    (plugins / "owner.py").write_text(
        "from metaflow.decorators import StepDecorator\nclass Owner(StepDecorator):\n    name = 'track_resources'\n"
    )
    program = (
        "import metaflow; from metaflow_extensions.stepsize.plugins import mfextinit_stepsize as ours\n"
        "print(metaflow.track_resources.args[0].__module__, *(name for name, _ in ours.STEP_DECORATORS_DESC))"
    )
    owner, *offered = python(program, PYTHONPATH=str(tmp_path)).split()
    assert owner == "metaflow_extensions.resource_tracker.plugins.owner"
    assert offered == ["stepsize", "autosize"]


HOOKS = (
    "step_init",
    "package_init",
    "runtime_init",
    "runtime_step_cli",
    "task_pre_step",
    "task_exception",
    "task_finished",
)


@pytest.mark.parametrize(
    ("kind", "hooks"),
    [("stepsize", HOOKS), ("autosize", HOOKS), ("track_resources", (*HOOKS, "task_post_step"))],
)
def test_no_hook_raises_whatever_it_is_given(kind: str, hooks: tuple[str, ...]) -> None:
    """A Metaflow that calls them otherwise than we know it must not fail a flow because of us."""
    program = (
        "import metaflow\n"
        f"ours = metaflow.{kind}.args[0]()\n"
        "ours.attributes.update(interval=object(), artifact_name=object())\n"
        f"for hook in {hooks}:\n"
        "    for count in (0, 3, 12): getattr(ours, hook)(*[None] * count)\n"
        "step = lambda: 'untouched'\n"
        "assert ours.task_decorate(step, None) is step\n"
        "print('well')"
    )
    assert python(program) == "well"
