"""Steps that run on other machines: what deployments are compiled to, and the compiled command of a pod, run."""

from __future__ import annotations

import io
import json
import re
import subprocess
import tarfile
from typing import TYPE_CHECKING, Any

import pytest

from tests.bare import bare_python
from tests.e2e.collecting import collector
from tests.e2e.object_store import ObjectStore, object_store

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.e2e.conftest import Workplace

FLOW = """
import time
from metaflow import FlowSpec, environment, resources, step
class RemoteFlow(FlowSpec):
    @step
    def start(self):
        import stepsize, sys
        print("stepsize of", stepsize.__file__, "beside", "opentelemetry" in sys.modules)
        total = sum(range(10_000_000))
        self.next(self.end)
    @environment(vars={"OTEL_SERVICE_NAME": "the user's own"})
    @resources(memory=900)
    @step
    def end(self):
        pass
if __name__ == "__main__":
    RemoteFlow()
"""
SECRET = "hunter2"
LAUNCHER = {
    "STEPSIZE_INTERVAL": "0.5",
    "OTEL_EXPORTER_OTLP_ENDPOINT": f"https://user:{SECRET}@collector.example:4318?key={SECRET}",
    "OTEL_EXPORTER_OTLP_HEADERS": f"authorization=Bearer%20{SECRET}",
    "OTEL_EXPORTER_OTLP_METRICS_HEADERS": f"authorization=Bearer%20{SECRET}",
    "OTEL_EXPORTER_OTLP_CLIENT_KEY": f"/{SECRET}.pem",
    "OTEL_EXPORTER_OTLP_COMPRESSION": "gzip",
    "OTEL_RESOURCE_ATTRIBUTES": "team=a b,deployment.environment.name=prod",
    "OTEL_SERVICE_NAME": "the launcher's",
}
CARRIED = {
    "STEPSIZE": "1",
    "STEPSIZE_INTERVAL": "0.5",
    "OTEL_EXPORTER_OTLP_ENDPOINT": "https://collector.example:4318",
    "OTEL_EXPORTER_OTLP_COMPRESSION": "gzip",
    "OTEL_RESOURCE_ATTRIBUTES": "team=a b,deployment.environment.name=prod",
}


@pytest.fixture
def store() -> Iterator[ObjectStore]:
    with object_store() as served:
        yield served


def _compile(workplace: Workplace, store: ObjectStore, *command: str, **more: str) -> subprocess.CompletedProcess[str]:
    script = workplace.directory / "remote_flow.py"
    script.write_text(FLOW)
    environment = {**store.environment(), **LAUNCHER, **more}
    compiled = workplace.flow(script, "--datastore=s3", *command, **environment)
    assert compiled.returncode == 0, compiled.stdout + compiled.stderr
    return compiled


def _template(compiled: subprocess.CompletedProcess[str]) -> Any:
    return json.loads(compiled.stdout[compiled.stdout.index("{") :])


def _argo(template: Any) -> dict[str, dict[str, str]]:
    """The environment of each step's container."""
    containers = {each["name"]: each["container"] for each in template["spec"]["templates"] if "container" in each}
    return {
        name: {variable["name"]: variable.get("value", "") for variable in containers[name]["env"]}
        for name in ("start", "end")
    }


def _step_functions(template: Any) -> dict[str, dict[str, str]]:
    overrides = {name: template["States"][name]["Parameters"]["ContainerOverrides"] for name in ("start", "end")}
    return {
        name: {variable["Name"]: variable.get("Value", "") for variable in each["Environment"]}
        for name, each in overrides.items()
    }


@pytest.mark.parametrize(
    ("command", "variables"),
    [("argo-workflows", _argo), ("step-functions", _step_functions)],
)
def test_a_deployment_carries_the_settings_and_no_secret(
    workplace: Workplace, store: ObjectStore, command: str, variables: Any
) -> None:
    """In the compiled template each step has them, the user's own win, and no secret is anywhere in it."""
    compiled = _compile(workplace, store, command, "create", "--only-json")
    by_step = variables(_template(compiled))
    assert by_step["start"].items() >= {**CARRIED, "OTEL_SERVICE_NAME": "the launcher's"}.items()
    assert by_step["end"].items() >= {**CARRIED, "OTEL_SERVICE_NAME": "the user's own"}.items()
    here = {"STEPSIZE_DATA", "STEPSIZE_RUNTIME", "STEPSIZE_STATE", "STEPSIZE_PYTHON", "STEPSIZE_PYTHONPATH"}
    assert all(here.isdisjoint(each) for each in by_step.values())
    assert SECRET not in compiled.stdout + compiled.stderr
    assert str(workplace.directory) not in compiled.stdout
    notes = [line for line in compiled.stderr.splitlines() if line.startswith("stepsize: ")]
    assert len(notes) == 2, compiled.stderr
    assert "OTEL_EXPORTER_OTLP_ENDPOINT" in notes[0]
    assert "OTEL_EXPORTER_OTLP_HEADERS" in notes[1]


def test_an_airflow_deployment_carries_the_settings_and_no_secret(workplace: Workplace, store: ObjectStore) -> None:
    """As above, in the DAG's file."""
    compiled = _compile(workplace, store, "airflow", "create", "dag.py")
    text = (workplace.directory / "dag.py").read_text(encoding="utf-8")
    for name, value in CARRIED.items():
        assert text.count(repr({"name": name, "value": value})) == 2, name
    assert text.count(repr({"name": "OTEL_SERVICE_NAME", "value": "the user's own"})) == 1
    assert SECRET not in text + compiled.stdout + compiled.stderr
    assert str(workplace.directory) not in text


def test_a_job_of_a_run_carries_the_settings_and_no_secret(workplace: Workplace, store: ObjectStore) -> None:
    """`run --with batch`: the job as it is submitted, which nobody here takes, so that the run fails."""
    script = workplace.directory / "remote_flow.py"
    script.write_text(FLOW)
    environment = {**store.environment(), **LAUNCHER}
    ran = workplace.flow(script, "--datastore=s3", "run", "--with", "batch", **environment)
    assert ran.returncode == 1
    assert ran.stderr.count("\nstepsize: ") == 2, ran.stderr
    (job,) = [body for path, body in store.posted if path == "/v1/submitjob"]
    assert SECRET.encode() not in job
    container = json.loads(job)["containerOverrides"]
    variables = {variable["name"]: variable["value"] for variable in container["environment"]}
    assert variables.items() >= {**CARRIED, "OTEL_SERVICE_NAME": "the launcher's"}.items()
    assert "collector.example" not in " ".join(container["command"])


def test_the_command_line_of_a_deployed_step_holds_no_setting(workplace: Workplace, store: ObjectStore) -> None:
    """Variables reach a step by its environment alone, whoever brought @environment."""
    template = _template(_compile(workplace, store, "argo-workflows", "create", "--only-json"))
    for each in template["spec"]["templates"]:
        if "container" in each:
            assert "environment:" not in " ".join(each["container"]["command"])
            assert "collector.example" not in " ".join(each["container"]["command"])


def test_one_value_of_the_sites_configuration_tracks_what_is_deployed(workplace: Workplace, store: ObjectStore) -> None:
    """`METAFLOW_DEFAULT_DECOSPECS` in Metaflow's configuration, and nothing in anybody's environment."""
    home = workplace.directory / "metaflow"
    home.mkdir(exist_ok=True)
    (home / "config.json").write_text(json.dumps({"METAFLOW_DEFAULT_DECOSPECS": "stepsize"}))
    template = _template(_compile(workplace, store, "argo-workflows", "create", "--only-json", STEPSIZE="0"))
    steps = [each for each in template["spec"]["templates"] if each["name"] in ("start", "end")]
    assert all("--with stepsize" in " ".join(each["container"]["command"]) for each in steps)


def _unpack(store: ObjectStore, directory: Path) -> None:
    """The code package, which is the one archive in the store."""
    (package,) = [content for content, _ in store.objects.values() if content.startswith(b"\x1f\x8b")]
    with tarfile.open(fileobj=io.BytesIO(package)) as archive:
        archive.extractall(directory)


def test_a_container_without_our_packages_is_tracked(workplace: Workplace, store: ObjectStore) -> None:
    """The compiled commands of a container, run on the unpacked code package: its Python has what Metaflow needs and
    nothing of ours, the code package brings the client and an agent, the site's secret brings the endpoint, and the
    attempt has reached the collector when the commands end, as nothing of the container lives on.
    """
    template = _template(_compile(workplace, store, "step-functions", "create", "--only-json"))
    container = template["States"]["start"]["Parameters"]["ContainerOverrides"]
    job = workplace.directory / "job"
    _unpack(store, job)
    # What Metaflow does around them (installing boto3, downloading the package, keeping logs) takes ten seconds.
    commands = re.findall(
        r"python remote_flow\.py (?:(?!python ).)* (?:init|step) .*?(?=; fi|\) 1>>)", container["Command"][-1]
    )
    assert len(commands) == 2
    (names,) = re.findall(r"export PYTHONUNBUFFERED=x MF_PATHSPEC=\S+", container["Command"][-1])
    python = bare_python(job / "venv", distributions=("boto3", "requests"))
    with collector(workplace) as endpoints:
        environment = {
            **{variable["Name"]: variable.get("Value", "") for variable in container["Environment"]},
            **{name: text for name, text in store.environment().items() if name.startswith("AWS_")},
            "OTEL_EXPORTER_OTLP_ENDPOINT": endpoints["http/protobuf"],
            "METAFLOW_RUN_ID": "one",
            "AWS_BATCH_JOB_ID": "job-1",
            "AWS_BATCH_JOB_ATTEMPT": "1",
            "AWS_BATCH_CE_NAME": "one",
            "AWS_BATCH_JQ_NAME": "queue",
            "AWS_EXECUTION_ENV": "AWS_ECS_EC2",
            "PYTHONPATH": str(job / ".mf_code"),
            "PATH": f"{python.parent}:/usr/bin:/bin",
            "HOME": str(job),
            "STEPSIZE_RUNTIME": str(workplace.directory / "run"),
            "STEPSIZE_CLOUD": "off",
        }
        script = " && ".join([names, *commands])
        ran = subprocess.run(
            ["bash", "-c", script], env=environment, cwd=job, capture_output=True, text=True, check=False, timeout=60
        )
        assert ran.returncode == 0, ran.stdout + ran.stderr
        assert "shipped/stepsize/__init__.py beside False" in ran.stdout
        workplace.report("RemoteFlow")  # has the collector show what it has; it knows nothing of the container's agent
        (known,) = workplace.query(
            'SELECT flow, run, step, task, outcome, cpu_seconds > 0.1, requested_memory_bytes, "user", target '
            "FROM tasks"
        )
        assert known == ("RemoteFlow", "sfn-one", "start", "job-1", "ok", True, 4096 << 20, "tester", "batch")
