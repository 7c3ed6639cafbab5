"""The image, built here without an engine: its steps are read from the Dockerfile and carried out below a directory."""

from __future__ import annotations

import importlib.util
import json
import os
import re
import shutil
import subprocess
import sys
import sysconfig
import time
from importlib.metadata import distribution
from pathlib import Path

import pytest

from stepsize.collector.config.service import parse
from tests.collector.otlp import RequestBuilder, identity
from tests.collector.running import Place, RunningCollector, wait_for
from tests.deploy.dockerfiles import Step, closure, context, stages, steps, wheel
from tests.interop.peers import DOCKERFILE

ROOT = Path(__file__).parents[2]
TEXT = (ROOT / "Dockerfile").read_text("utf-8")
GATEWAY_TEXT = (ROOT / "deploy/gateway/Dockerfile").read_text("utf-8")
BUILD, RUN = stages(TEXT)
IGNORED = (ROOT / ".dockerignore").read_text("utf-8")
INSIDE = {"/opt/stepsize", "/src", "/data", "/etc/stepsize"}
"""Directories of the image, which lie below the test's own here."""


def below(image: Path, text: str) -> str:
    return re.sub("|".join(sorted(INSIDE)), lambda found: f"{image}{found[0]}", text)


def build(image: Path, variables: dict[str, str]) -> None:
    """Carry out the first stage: copies from the context, then commands."""
    sent = context(ROOT, IGNORED)
    directory = image
    for step in BUILD[1:]:
        if step.name == "WORKDIR":
            directory = Path(below(image, step.text))
            directory.mkdir(parents=True)
        elif step.name == "COPY":
            *sources, target = step.text.split()
            for source in sources:
                copy(source, directory / target, sent)
        else:
            assert step.name == "RUN", step
            command = ["sh", "-euc", below(image, step.text)]
            done = subprocess.run(command, cwd=directory, env=variables, capture_output=True, text=True, check=False)
            assert done.returncode == 0, done.stdout + done.stderr


def copy(source: str, target: Path, sent: list[str]) -> None:
    """As `COPY` does: a directory's contents into the target, a file below it."""
    found = [name for name in sent if name == source or name.startswith(f"{source}/")]
    assert found, f"{source} is not in the context"
    for name in found:
        path = target / (Path(name).name if name == source else Path(name).relative_to(source))
        path.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(ROOT / name, path, follow_symlinks=False)


def variables(image: Path, wheels: Path, **more: str) -> dict[str, str]:
    """What builds it: this interpreter as `python`, and no index but the wheels."""
    programs = image / "bin"
    programs.mkdir(parents=True)
    (programs / "python").symlink_to(sys.executable)
    return {
        "PATH": f"{programs}:{os.environ['PATH']}",
        "HOME": str(image),
        "PIP_NO_INDEX": "1",
        "PIP_FIND_LINKS": str(wheels),
        "PIP_DISABLE_PIP_VERSION_CHECK": "1",
        "PIP_NO_COMPILE": "1",
        **more,
    }


def serve(place: Place, image: Path) -> RunningCollector:
    """What `docker run` would start: the image's entry point, command and variables; on the loopback."""
    (image / "etc/stepsize").mkdir(parents=True)
    config = (ROOT / "collector/otel-config.yaml").read_text("utf-8")
    config = config.replace("}:4317", "}:0").replace("}:4318", "}:0")
    (image / "etc/stepsize/otel-config.yaml").write_text(config)
    (entry,) = (json.loads(step.text) for step in RUN if step.name == "ENTRYPOINT")
    (arguments,) = (json.loads(step.text) for step in RUN if step.name == "CMD")
    (said,) = (step.text for step in RUN if step.name == "ENV")
    named = dict(one.split("=", 1) for one in below(image, said).split())
    environment = place.environment(STEPSIZE_DATA=str(place.settings.data))
    environment["PATH"] = named["PATH"].replace("$PATH", os.environ["PATH"])
    program = shutil.which(entry[0], path=environment["PATH"])
    assert program
    assert Path(program).is_relative_to(image)
    process = subprocess.Popen(
        [program, *(below(image, one) for one in arguments)],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=environment,
        cwd=place.home,
    )
    place.processes.append(process)
    assert process.stderr
    line = process.stderr.readline().decode()
    assert "lake" in line, line + process.stderr.read().decode()
    return RunningCollector(place, process, line)


def assert_it_collects(place: Place, image: Path) -> None:
    """Points that are sent to it are in its lake, and it ends when it is told to."""
    collector = serve(place, image)
    body = RequestBuilder(identity()).gauge("numbered", [(time.time_ns(), 7)]).message.SerializeToString()
    assert collector.post(body)[0] == 200
    wait_for(lambda: collector.flush() or place.rows("SELECT value_int FROM points") == [(7,)], "the point is stored")
    assert collector.terminate() == 0


def test_its_steps_make_an_environment_whose_entry_point_collects(place: Place, tmp_path: Path) -> None:
    """From the files that the context has, no more; what it depends on is lent by the test's own environment."""
    image, wheels = tmp_path / "image", tmp_path / "wheels"
    wheels.mkdir()
    wheel(distribution("setuptools"), wheels)
    build(image, variables(image, wheels, PIP_NO_DEPS="1"))
    (site,) = (image / "opt/stepsize/lib").glob("python*/site-packages")
    assert not (site / "pip").exists()
    (site / "others.pth").write_text(sysconfig.get_path("purelib"))
    assert_it_collects(place, image)


@pytest.mark.peers
@pytest.mark.skipif(importlib.util.find_spec("boto3") is None, reason="make test-peers installs boto3")
def test_its_steps_fill_an_empty_environment(place: Place, tmp_path: Path) -> None:
    """With everything that it depends on, in the versions of constraints.txt, and nothing of the test's environment."""
    image, wheels = tmp_path / "image", tmp_path / "wheels"
    wheels.mkdir()
    project = pytest.importorskip("tomllib").loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    extras = [one for extra in ("notify", "s3") for one in project["optional-dependencies"][extra]]
    for one in closure(["setuptools", *project["dependencies"], *extras]).values():
        wheel(one, wheels)
    build(image, variables(image, wheels))
    assert_it_collects(place, image)
    program = image / "opt/stepsize/bin/python"
    script = "import apprise, boto3, stepsize; print(stepsize.__file__)"
    said = subprocess.run([program, "-Ic", script], capture_output=True, text=True, check=True).stdout
    assert Path(said.strip()).is_relative_to(image)


def test_the_context_is_what_is_copied() -> None:
    """Nothing of a checkout's secrets, tests or environments is sent to a builder; all that is copied is."""
    sent = context(ROOT, IGNORED)
    copied = {
        source
        for step in BUILD + RUN
        if step.name == "COPY" and not step.text.startswith("--from")
        for source in step.text.split()[:-1]
    }
    assert {name.split("/")[0] for name in sent} == {source.split("/")[0] for source in copied}
    listed = IGNORED.splitlines()
    assert listed.index("*") < min(listed.index(line) for line in listed if line.startswith("!"))


@pytest.mark.parametrize("text", [TEXT, GATEWAY_TEXT], ids=["stepsize", "gateway"])
def test_what_it_begins_with_is_pinned(text: str) -> None:
    """By a version and a digest; the same ones in both files."""
    begun = {step.text.split()[0] for step in steps(text) if step.name == "FROM"}
    for image in begun:
        assert re.fullmatch(r"[a-z/-]+:\d+\.\d+\.\d+(-[a-z-]+)?@sha256:[0-9a-f]{64}", image), image
    (python,) = (image for image in begun if image.startswith("python:"))
    assert python in TEXT


def test_it_runs_as_nobody_who_owns_its_program() -> None:
    """A user by number, who may write to the volumes' directories alone."""
    names = [step.name for step in RUN]
    (user,) = (step.text for step in RUN if step.name == "USER")
    (made,) = (step.text for step in RUN if step.name == "RUN")
    assert user == "10001:10001"
    assert f"--uid {user.split(':')[0]} --gid {user.split(':')[1]}" in made
    assert "install -d -o 10001 -g 10001 -m 0700 /data /run/stepsize /scratch" in made
    assert names.index("USER") > max(place for place, name in enumerate(names) if name in {"RUN", "COPY"})


def test_its_configuration_is_one_of_ours() -> None:
    """What is copied there is what the command reads, and its ports are the ones that are exposed."""
    (source, target) = next(step.text.split() for step in RUN if step.text.endswith("otel-config.yaml"))
    (arguments,) = (json.loads(step.text) for step in RUN if step.name == "CMD")
    assert arguments == ["collect", "--config", target]
    protocols = parse((ROOT / source).read_text("utf-8"), source, {}).receivers["otlp"].protocols
    (exposed,) = (step.text.split() for step in RUN if step.name == "EXPOSE")
    assert {int(port) for port in exposed} == {protocols.grpc.endpoint.port, protocols.http.endpoint.port}


@pytest.mark.peers
@pytest.mark.needs(DOCKERFILE)
@pytest.mark.parametrize("text", [TEXT, GATEWAY_TEXT], ids=["stepsize", "gateway"])
def test_buildkit_has_nothing_to_say(text: str) -> None:
    """No error, no warning of `docker build --check`; it reads the instructions that these tests read."""
    done = subprocess.run([DOCKERFILE.path], input=text, capture_output=True, text=True, check=True)
    said = json.loads(done.stdout)
    assert said["warnings"] == []
    read = [Step(*one["text"].split(maxsplit=1)) for one in said["instructions"]]
    assert [(one.name, one.text.split()) for one in steps(text)] == [(one.name, one.text.split()) for one in read]


@pytest.mark.peers
@pytest.mark.needs(DOCKERFILE)
def test_buildkit_would_have_something_to_say() -> None:
    """Of a Dockerfile with faults."""
    text = "FROM x as y\nMAINTAINER z\nCMD echo\n"
    done = subprocess.run([DOCKERFILE.path], input=text, capture_output=True, text=True, check=True)
    said = {warning.split(":")[0] for warning in json.loads(done.stdout)["warnings"]}
    assert said == {"FromAsCasing", "MaintainerDeprecated", "JSONArgsRecommended"}


@pytest.mark.peers
@pytest.mark.needs(DOCKERFILE)
def test_a_builder_is_sent_what_these_tests_think() -> None:
    """By the rules of Docker's own matcher, over all that is committed, and what else lies in a checkout."""
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, check=True, capture_output=True).stdout.decode()
    names = [name for name in listed.split("\0") if name]
    others = [
        "secrets/sql-key",
        ".venv/bin/python",
        "src/x.egg-info/PKG-INFO",
        "src/stepsize/__pycache__/a.pyc",
        ".env",
    ]
    command = [DOCKERFILE.path, ROOT / ".dockerignore"]
    asked = "\n".join([*names, *others])
    said = subprocess.run(command, input=asked, capture_output=True, text=True, check=True).stdout
    assert said.splitlines() == context(ROOT, IGNORED)
