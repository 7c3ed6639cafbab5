"""What `stepsize apply` writes for workflow engines, read by them: real runs of real tasks."""

from __future__ import annotations

import os
import subprocess
from typing import TYPE_CHECKING

import pytest

from stepsize.analyzer.edits import snippets
from stepsize.analyzer.edits.snippets.sizes import StepSizes
from tests.interop.peers import NEXTFLOW, SNAKEMAKE

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.peers
MB = 10**6
ALIGN = StepSizes(step="ALIGN", runs=10, cpu=1, memory_bytes=300 * MB, timeout_s=5400)
ALL = StepSizes(step="ALIGN", runs=10, cpu=2, memory_bytes=600 * MB, gpu=1, disk_bytes=5000 * MB, timeout_s=5400)
OPENED = ("lang", "util", "io", "nio", "nio.file.spi", "util.concurrent")
"""What of Java's own the classes of Nextflow look into, as its launcher allows them."""


def run(directory: Path, *command: str | Path) -> str:
    """What a program says; it has no home but the directory."""
    environment = {"PATH": os.environ["PATH"], "HOME": str(directory), "NXF_HOME": str(directory / "nextflow")}
    finished = subprocess.run(
        command,
        cwd=directory,
        env={**environment, "NXF_OFFLINE": "true", "NXF_ANSI_LOG": "false"},
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert finished.returncode == 0, finished.stdout + finished.stderr
    return finished.stdout


def nextflow(directory: Path, *arguments: str) -> str:
    opened = [f"--add-opens=java.base/java.{name}=ALL-UNNAMED" for name in OPENED]
    opened.append("--add-opens=java.base/sun.nio.ch=ALL-UNNAMED")
    return run(directory, "java", *opened, "-cp", f"{NEXTFLOW.path.parent}/*", "nextflow.cli.Launcher", *arguments)


@pytest.mark.needs(NEXTFLOW)
def test_nextflow_reads_the_configuration(tmp_path: Path) -> None:
    """Each directive is one, and has its meaning."""
    (tmp_path / "nextflow.config").write_text(snippets.render("nextflow", "rnaseq", [ALL]))
    said = nextflow(tmp_path, "config", "-flat")
    for line in (
        "cpus = 2",
        "memory = { 573.MB * task.attempt }",
        "disk = '4.7 GB'",
        "accelerator = 1",
        "time = '1h 30m'",
    ):
        assert f"process.'withName:ALIGN'.{line}" in said


@pytest.mark.needs(NEXTFLOW)
def test_a_nextflow_task_that_is_killed_gets_more_memory(tmp_path: Path) -> None:
    """300 MB are 287 of Nextflow's; the second attempt has twice that."""
    (tmp_path / "nextflow.config").write_text(snippets.render("nextflow", "rnaseq", [ALIGN]))
    (tmp_path / "main.nf").write_text(
        "process ALIGN {\n  output: stdout\n  script:\n"
        '  "echo GOT ${task.memory.toMega()} $task.cpus ${task.time.toMinutes()}; '
        'exit ${task.attempt == 1 ? 137 : 0}"\n'
        "}\nworkflow { ALIGN() | view }\n"
    )
    said = nextflow(tmp_path, "run", "main.nf")
    assert "Execution is retried (1)" in said
    assert "GOT 574 1 90" in said


@pytest.mark.needs(SNAKEMAKE)
def test_a_snakemake_rule_that_fails_gets_more_memory(tmp_path: Path) -> None:
    """All that the profile sets arrives, in Snakemake's own units."""
    (tmp_path / "profile").mkdir()
    (tmp_path / "profile/config.yaml").write_text(snippets.render("snakemake", "rnaseq", [ALL]))
    (tmp_path / "Snakefile").write_text(
        "rule ALIGN:\n"
        "    output: 'out.txt'\n"
        "    resources: mem_mb=100\n"
        "    retries: 1\n"
        "    shell: 'echo {threads} {resources.mem_mb} {resources.disk_mb} {resources.runtime} {resources.gpu} "
        ">> log.txt; test {resources.mem_mb} -ge 1000 && touch {output}'\n"
    )
    run(tmp_path, SNAKEMAKE.path, "--profile", "profile", "--cores", "2", "--resources", "gpu=1")
    assert (tmp_path / "log.txt").read_text() == "2 600 5000 90 1\n2 1200 5000 90 1\n"
