"""Who a command is, from options and environment."""

from __future__ import annotations

import subprocess
from typing import TYPE_CHECKING

import pytest

from stepsize.instrumentation import identity
from stepsize.model import Identity, Request

if TYPE_CHECKING:
    from pathlib import Path


def test_a_command_that_nobody_named_is_named_after_itself(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Flow: the command's name. Run: the time. Step ``run``, task ``0``."""
    monkeypatch.chdir(tmp_path)
    found = identity.of_command(["/usr/bin/train", "--deep"], {"USER": "ann"})
    assert (found.flow, found.step, found.task, found.attempt, found.user) == ("train", "run", "0", 0, "ann")
    assert found.run.isdigit()
    assert found.run_origin == "adhoc"
    assert found.code_version is None


def test_options_go_before_the_environment() -> None:
    """What was said on the command line wins over `OTEL_RESOURCE_ATTRIBUTES`, which wins over the defaults."""
    said = "stepsize.flow.name=env,stepsize.run.id=r%201,stepsize.task.id=7,stepsize.task.attempt=2"
    found = identity.of_command(["x"], {"OTEL_RESOURCE_ATTRIBUTES": said}, flow="option")
    assert (found.flow, found.run, found.task, found.attempt) == ("option", "r 1", "7", 2)


def test_the_environment_fills_what_an_identity_does_not_say() -> None:
    """Project, annotations and requests come from the environment where the identity has none."""
    said = (
        "stepsize.project=p,stepsize.user=other,stepsize.annotation.rows=5,stepsize.request.memory=1000,"
        "stepsize.request.cpu=1.5,broken,=x,stepsize.request.gpu=many"
    )
    known = Identity("f", "r", "s", "t", user="ann", request=Request(cpu=2.0), annotations={"kind": "a"})
    found = identity.with_resource_attributes(known, {"OTEL_RESOURCE_ATTRIBUTES": said})
    assert (found.project, found.user) == ("p", "ann")
    assert found.annotations == {"rows": "5", "kind": "a"}
    assert found.request == Request(cpu=2.0, memory_bytes=1000)


@pytest.mark.parametrize("said", ["", "service.name=x,team=a"])
def test_a_request_is_kept_whole(said: str) -> None:
    """Each part of it, whatever else the environment says, and each part is read from there."""
    whole = Request(cpu=1.0, memory_bytes=2, gpu=3.0, disk_bytes=4, shared_memory_bytes=5, timeout_s=6.5)
    environ = {"OTEL_RESOURCE_ATTRIBUTES": said, "OTEL_SERVICE_NAME": "shop"}
    known = Identity("f", "r", "s", "t", request=whole)
    assert identity.with_resource_attributes(known, environ).request == whole
    environ["OTEL_RESOURCE_ATTRIBUTES"] = ",".join(f"{name}={value:g}" for name, value in whole.attributes().items())
    assert identity.with_resource_attributes(known._replace(request=Request()), environ).request == whole


@pytest.mark.parametrize(
    ("command", "expected"),
    [
        ("python train.py --lr 1", "train.py"),
        ("/usr/bin/python3.12 -X dev -W ignore /srv/train.py", "train.py"),
        ("python -Xdev -Wignore -bb train.py", "train.py"),
        ("python --check-hash-based-pycs always train.py", "train.py"),
        ("python -m shop.train --lr 1", "shop.train"),
        ("python -Im shop.train", "shop.train"),
        ("python -mshop.train", "shop.train"),
        ("python -uX dev -m shop.train", "shop.train"),
        ("python -c pass train.py", "python"),
        ("python -Ic pass train.py", "python"),
        ("python -", "python"),
        ("python - train.py", "python"),
        ("python -X dev", "python"),
        ("python -m", "python"),
        ("python", "python"),
        ("env python train.py", "env"),
    ],
)
def test_a_python_program_is_named_after_its_script_or_module(command: str, expected: str) -> None:
    """Whatever the interpreter itself is told before."""
    assert identity.program_of(command.split()) == expected


@pytest.mark.parametrize("packed", [False, True])
def test_the_commit_is_read_from_the_files_of_git(tmp_path: Path, packed: bool) -> None:
    """On a branch, whether its reference is a file or packed, from a folder below, and in a worktree."""
    git = ["git", "-C", str(tmp_path), "-c", "user.name=n", "-c", "user.email=e@example.org"]
    subprocess.run([*git, "init", "-q"], check=True)
    subprocess.run([*git, "commit", "-q", "--allow-empty", "-m", "m"], check=True)
    commit = subprocess.run([*git, "rev-parse", "HEAD"], check=True, capture_output=True, text=True).stdout.strip()
    if packed:
        subprocess.run([*git, "pack-refs", "--all"], check=True)
    (tmp_path / "below").mkdir()
    assert identity.git_commit(tmp_path / "below") == commit
    subprocess.run([*git, "worktree", "add", "-q", str(tmp_path / "tree")], check=True)
    assert identity.git_commit(tmp_path / "tree") == commit


def test_a_broken_repository_has_no_commit(tmp_path: Path) -> None:
    """What cannot be read is left out."""
    (tmp_path / ".git").mkdir()
    assert identity.git_commit(tmp_path) is None


def test_the_rest_of_the_environments_attributes_goes_into_the_resource() -> None:
    """As OpenTelemetry has it; `service.name` stays the flow's unless `OTEL_SERVICE_NAME` says otherwise."""
    known = Identity("Flow", "1", "step", "7")
    environ = {"OTEL_RESOURCE_ATTRIBUTES": "team=a,service.name=other,service.namespace=shop"}
    attributes = identity.with_resource_attributes(known, environ).attributes()
    assert {"team": "a", "service.name": "Flow", "service.namespace": "shop"}.items() <= attributes.items()
    named = identity.with_resource_attributes(known, {**environ, "OTEL_SERVICE_NAME": "mine"}).attributes()
    assert named["service.name"] == "mine"
    assert named["service.instance.id"] == known.instance_id
