"""What other systems read: each format goes through a real reader of it."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest
import yaml
from kubernetes import client
from kubernetes.utils.quantity import parse_quantity

from stepsize.analyzer.costs import Amounts
from stepsize.analyzer.edits import snippets
from stepsize.analyzer.edits.snippets.sizes import StepSizes, sizes_of
from stepsize.analyzer.sizing.targets import TARGETS
from stepsize.errors import UsageError
from tests.apply.advice import wanted

if TYPE_CHECKING:
    from pathlib import Path

MB, MIB = 10**6, 2**20
TRAIN = StepSizes(
    step="train", runs=10, cpu=2, memory_bytes=650 * MB, gpu=1, disk_bytes=5000 * MB, timeout_s=5400
)  # fmt: skip
LOAD = StepSizes(step="Load_it's", runs=1, cpu=0.5, memory_bytes=4096 * MIB)


def test_a_metaflow_flow_reads_the_config(tmp_path: Path) -> None:
    """A real run, in whose task the decorators hold what the file says."""
    (tmp_path / "sizes.json").write_text(snippets.render("config", "SizedFlow", [TRAIN]))
    (tmp_path / "flow.py").write_text(
        "from metaflow import Config, FlowSpec, resources, step, timeout\n"
        "class SizedFlow(FlowSpec):\n"
        '    sizes = Config("sizes", default="sizes.json")\n'
        "    @resources(**sizes.train.resources)\n"
        "    @timeout(**sizes.train.timeout)\n"
        "    @step\n"
        "    def start(self):\n"
        "        for decorator in type(self).start.decorators:\n"
        "            print('READ', decorator.name, sorted(decorator.attributes.items()))\n"
        "        self.next(self.end)\n"
        "    @step\n"
        "    def end(self): pass\n"
        "if __name__ == '__main__': SizedFlow()\n"
    )
    environment = {"PATH": os.environ["PATH"], "HOME": str(tmp_path), "USER": "ann"}
    run = subprocess.run(
        [sys.executable, "flow.py", "run"],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    assert "READ timeout [('hours', 0), ('minutes', 90), ('seconds', 0)]" in run.stdout
    (line,) = [line for line in run.stdout.splitlines() if "READ resources" in line]
    for pair in ("('cpu', 2)", "('memory', 650)", "('gpu', 1)", "('disk', 5000)"):
        assert pair in line


def test_a_kubernetes_patch_has_only_fields_and_amounts_that_there_are() -> None:
    """Each key is one of the client's models, each amount one of its quantities; containers merge by name."""
    documents = list(yaml.safe_load_all(snippets.render("kubernetes", "TrainFlow", [TRAIN, LOAD])))
    assert [document["metadata"]["name"] for document in documents] == ["train", "load-it-s"]
    for document in documents:
        known_fields("V1CronJob", document)
    pod = documents[0]["spec"]["jobTemplate"]["spec"]
    assert pod["activeDeadlineSeconds"] == 5400
    (container,) = pod["template"]["spec"]["containers"]
    assert container["name"] == "train"
    requests, limits = container["resources"]["requests"], container["resources"]["limits"]
    assert {name: parse_quantity(value) for name, value in requests.items()} == {
        "cpu": 2,
        "memory": 650 * MB,
        "ephemeral-storage": 5000 * MB,
        "nvidia.com/gpu": 1,  # or the object's own request, unlike the limit, would be refused
    }
    assert {name: parse_quantity(value) for name, value in limits.items()} == {"memory": 650 * MB, "nvidia.com/gpu": 1}
    other = documents[1]["spec"]["jobTemplate"]["spec"]["template"]["spec"]["containers"][0]["resources"]
    assert parse_quantity(other["requests"]["memory"]) == 4096 * MIB
    assert parse_quantity(other["requests"]["cpu"]) * 2 == 1


def known_fields(model: str, value: dict[str, Any]) -> None:
    """Fails where `value` has a key that the model lacks."""
    kind = getattr(client, model)
    names = {json_name: attribute for attribute, json_name in kind.attribute_map.items()}
    for key, part in value.items():
        below = kind.openapi_types[names[key]]
        if below.startswith("list["):
            for element in part:
                known_fields(below[5:-1], element)
        elif below.startswith("V1"):
            known_fields(below, part)


def test_the_airflow_module_is_python_that_makes_pods() -> None:
    """It compiles, runs, and holds for each task what the KubernetesExecutor takes."""
    text = snippets.render("airflow", "etl", [TRAIN, LOAD])
    scope: dict[str, Any] = {}
    exec(compile(text, "sizes.py", "exec"), scope)
    configs = scope["EXECUTOR_CONFIG"]
    assert list(configs) == ["train", "Load_it's"]
    pod = client.ApiClient().sanitize_for_serialization(configs["train"]["pod_override"])
    (container,) = pod["spec"]["containers"]
    assert container == {
        "name": "base",
        "resources": {
            "requests": {"cpu": "2", "memory": "650M", "ephemeral-storage": "5000M", "nvidia.com/gpu": "1"},
            "limits": {"memory": "650M", "nvidia.com/gpu": "1"},
        },
    }


def test_the_nextflow_configuration() -> None:
    """MB of Nextflow are MiB, so there are fewer of them; what runs out of memory gets more the next time."""
    assert snippets.render("nextflow", "rnaseq", [TRAIN, LOAD]) == (
        "process {\n"
        "    withName: 'train' { // from 10 runs\n"
        "        cpus = 2\n"
        "        memory = { 620.MB * task.attempt }\n"
        "        disk = 4769.MB\n"
        "        accelerator = 1\n"
        "        time = 5400.s\n"
        "        errorStrategy = { task.exitStatus in ((130..145) + 104) ? 'retry' : 'finish' }\n"
        "        maxRetries = 2\n"
        "    }\n"
        "\n"
        "    withName: 'Load_it\\'s' { // from 1 run\n"
        "        cpus = 1\n"
        "        memory = { 4096.MB * task.attempt }\n"
        "        errorStrategy = { task.exitStatus in ((130..145) + 104) ? 'retry' : 'finish' }\n"
        "        maxRetries = 2\n"
        "    }\n"
        "}\n"
    )


def test_the_snakemake_profile() -> None:
    """MB of 10^6 bytes, minutes, whole threads."""
    assert yaml.safe_load(snippets.render("snakemake", "rnaseq", [TRAIN, LOAD])) == {
        "set-threads": {"train": 2, "Load_it's": 1},
        "set-resources": {
            "train": {"mem_mb": "650 * attempt", "disk_mb": 5000, "gpu": 1, "runtime": 90},
            "Load_it's": {"mem_mb": "4295 * attempt"},
        },
    }


def test_all_that_is_known_is_told_what_is_kept_too() -> None:
    """Memory that the report keeps stays; GPUs that were never used stay unless it is said otherwise."""
    asked = Amounts(cpu=4, memory_mb=8000, gpu=1)
    advice = wanted("TrainFlow", "train", requested=asked, cpu=2, memory_mb=8000, gpu=0, timeout_s=5400)
    made = sizes_of(advice, None, drop_gpus=False, timeout=False)
    assert made == StepSizes(step="train", runs=10, cpu=2, memory_bytes=8000 * MB, gpu=1)
    made = sizes_of(advice, TARGETS["batch"], drop_gpus=True, timeout=True)
    assert made == StepSizes(
        step="train", runs=10, cpu=2, memory_bytes=8000 * MB, gpu=0, timeout_s=5400, memory_unit_bytes=MIB
    )  # fmt: skip
    assert '"memory": 7630' in snippets.render("config", "TrainFlow", [made])


def test_gpus_that_are_taken_are_taken_from_what_asks_for_them() -> None:
    """A patch that did not speak of them would leave them; where none were asked for, none are spoken of."""
    none = StepSizes(step="train", runs=10, gpu=0)
    texts = {name: snippets.render(name, "F", [none]) for name in snippets.FORMATS}
    pod = yaml.safe_load(texts["kubernetes"])["spec"]["jobTemplate"]["spec"]["template"]["spec"]
    assert pod["containers"][0]["resources"] == {
        "requests": {"nvidia.com/gpu": "0"},
        "limits": {"nvidia.com/gpu": "0"},
    }
    assert "'nvidia.com/gpu': '0'" in texts["airflow"]
    assert "accelerator = null\n" in texts["nextflow"]
    assert yaml.safe_load(texts["snakemake"]) == {"set-resources": {"train": {"gpu": 0}}}
    assert json.loads(texts["config"]) == {"train": {"resources": {"gpu": 0}}}
    unasked = sizes_of(wanted("F", "s", requested=Amounts(cpu=1), cpu=1, gpu=0), None, drop_gpus=True, timeout=False)
    assert unasked == StepSizes(step="s", runs=10, cpu=1)


def test_patches_of_steps_that_would_be_called_alike_are_refused() -> None:
    """One would undo the other."""
    with pytest.raises(UsageError, match="load_it and Load-it would both be called load-it: choose one with --step"):
        snippets.render(
            "kubernetes",
            "F",
            [StepSizes(step="load_it", runs=1, cpu=1), StepSizes(step="Load-it", runs=1, cpu=2)],
        )


@pytest.mark.skipif(shutil.which("kubectl") is None, reason="no kubectl here")
def test_kubectl_merges_a_patch_into_its_container_alone(tmp_path: Path) -> None:
    """Of a CronJob with a sidecar; requests and limits of GPUs stay alike."""
    asked = {"cpu": "8", "memory": "8G", "nvidia.com/gpu": "2"}
    containers = [
        {"name": "sidecar", "image": "other", "resources": {"requests": asked}},
        {"name": "train", "image": "this", "resources": {"requests": asked, "limits": asked}},
    ]
    spec: dict[str, Any] = {"jobTemplate": {"spec": {"template": {"spec": {"containers": containers}}}}}
    job = {"apiVersion": "batch/v1", "kind": "CronJob", "metadata": {"name": "train"}, "spec": spec}
    (tmp_path / "job.yaml").write_text(yaml.safe_dump(job))
    (tmp_path / "patch.yaml").write_text(snippets.render("kubernetes", "F", [TRAIN]))
    command = ["kubectl", "patch", "--local", "-f", "job.yaml", "--patch-file", "patch.yaml", "-o", "yaml"]
    merged = subprocess.run(
        [*command, "--type", "strategic"], cwd=tmp_path, capture_output=True, check=True, timeout=60
    ).stdout
    (sidecar, train) = yaml.safe_load(merged)["spec"]["jobTemplate"]["spec"]["template"]["spec"]["containers"]
    assert sidecar == containers[0]
    assert (train["image"], train["resources"]["limits"]) == (
        "this",
        {"cpu": "8", "memory": "650M", "nvidia.com/gpu": "1"},
    )
    assert train["resources"]["requests"] == {
        "cpu": "2",
        "memory": "650M",
        "ephemeral-storage": "5000M",
        "nvidia.com/gpu": "1",
    }


def test_a_step_of_nextflow_is_that_one_alone() -> None:
    """`withName` takes a regular expression: a name from elsewhere must not select every process."""
    text = snippets.render(
        "nextflow", "F", [StepSizes(step=".*", runs=1, cpu=2), StepSizes(step="A:B_c", runs=1, cpu=2)]
    )
    assert r"withName: '\\.\\*' {" in text
    assert "withName: 'A:B_c' {" in text


def test_what_no_platform_has_is_a_sentence() -> None:
    """Fargate ends at 32 cores."""
    made = sizes_of(wanted("F", "s", cpu=64, memory_mb=600), TARGETS["fargate"], drop_gpus=False, timeout=False)
    assert isinstance(made, str)
    assert "more than" in made


@pytest.mark.parametrize("name", snippets.FORMATS)
def test_nothing_known_is_said_and_a_part_is_enough(name: str) -> None:
    """No empty file for a flow of which nothing is known; what is not known of a step is left out."""
    with pytest.raises(UsageError, match="nothing can be recommended for any step of F yet"):
        snippets.render(name, "F", [StepSizes(step="s", runs=1)])
    text = snippets.render(name, "F", [StepSizes(step="s", runs=1, cpu=2), StepSizes(step="t", runs=1)])
    assert "None" not in text
    assert "null" not in text
    assert "memory" not in text.replace("mem_mb", "memory")


def test_the_config_is_json_of_whole_numbers() -> None:
    """A half core stays one."""
    assert json.loads(snippets.render("config", "F", [LOAD])) == {
        "Load_it's": {"resources": {"cpu": 0.5, "memory": 4295}}
    }
