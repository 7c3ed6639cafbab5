"""Readers of workflow engines that tell little in the environment: Metaflow, Nextflow and Snakemake.

What comes in: `Evidence`: command lines of this process and those above it, the script around a Nextflow task. What
goes out: texts. Pure but for what the evidence reads.
"""

from __future__ import annotations

import re
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

from stepsize.identity import Platform
from stepsize.instrumentation.orchestrators.platforms import platform

if TYPE_CHECKING:
    from stepsize.instrumentation.orchestrators.evidence import Evidence, Process
    from stepsize.instrumentation.orchestrators.rows import Reader

_NEXTFLOW_NAME = re.compile(r"^(?:### name: '(.*)'|# NEXTFLOW TASK: (.*))$", re.MULTILINE)
_LAUNCHER = "nextflow.cli.Launcher"


def part_of(reader: Reader, index: int) -> Reader:
    """One of the parts of a path with slashes between."""

    def read(evidence: Evidence) -> str | None:
        parts = (reader(evidence) or "").split("/")
        return parts[index] or None if index < len(parts) else None

    return read


def metaflow_task(option: str) -> Reader:
    """An option of the command line with which Metaflow starts a task: ``FLOW.py … step NAME --run-id R --task-id T``.

    Of this process alone: what a task starts is the task's, and has to be told from it.
    """

    def read(evidence: Evidence) -> str | None:
        own = evidence.itself
        is_task = "step" in own.argv and own.option("--run-id") and own.option("--task-id")
        return own.option(option) if is_task else None

    return read


def metaflow_flow(evidence: Evidence) -> str | None:
    """The script that holds the flow; its class's name is not on the command line."""
    script = next((word for word in evidence.itself.argv if word.endswith(".py")), None)
    return script and PurePosixPath(script).stem


def metaflow_step(evidence: Evidence) -> str | None:
    """The step's name."""
    return evidence.itself.option("step")


def nextflow_process(evidence: Evidence) -> str | None:
    """The process's name, without the workflows that it is called in (``NFCORE:RNASEQ:ALIGN`` is ALIGN)."""
    name = _nextflow_name(evidence)
    return name and name.partition(" (")[0].rpartition(":")[2]


def nextflow_tag(evidence: Evidence) -> str | None:
    """The task's tag, or its index where the process has none."""
    found = re.search(r" \((.*)\)$", _nextflow_name(evidence) or "")
    return found and found[1]


def nextflow_task(evidence: Evidence) -> str | None:
    """The task's hash, as Nextflow shows it: the last two parts of its working directory."""
    parts = PurePosixPath(evidence.env("NXF_TASK_WORKDIR") or "").parts
    return "/".join(parts[-2:]) or None


def nextflow_pipeline(evidence: Evidence) -> str | None:
    """The pipeline of the ``nextflow run`` above; of one that runs on another machine nothing tells."""
    head = _nextflow_head(evidence)
    words = head.argv[head.argv.index("run") + 1 :] if head is not None and "run" in head.argv else ()
    pipeline = next((word for word in words if not word.startswith("-")), None)
    return pipeline and PurePosixPath(pipeline).name.removesuffix(".nf")


def nextflow_run(evidence: Evidence) -> str | None:
    """The run's name where it was given one, else when the ``nextflow run`` above was started."""
    head = _nextflow_head(evidence)
    return head and (head.option("-name") or str(head.started_unix_us))


def nextflow_target(evidence: Evidence) -> str | None:
    """A task below Nextflow itself has its machine, whatever that was given; others what they were submitted to."""
    return Platform.LOCAL if _nextflow_head(evidence) is not None else platform(evidence.env)


def _nextflow_name(evidence: Evidence) -> str | None:
    """``PROCESS (TAG)``, from the script around the task; from the job's name where that lies elsewhere."""
    script = evidence.read(f"{evidence.env('NXF_TASK_WORKDIR')}/.command.run")
    found = _NEXTFLOW_NAME.search(script)
    if found:
        return (found[1] or found[2]).strip()
    job = evidence.env("SLURM_JOB_NAME") or ""
    return job.removeprefix("nf-").replace("_(", " (") if job.startswith("nf-") else None


def _nextflow_head(evidence: Evidence) -> Process | None:
    return next((process for process in evidence.above if _LAUNCHER in process.argv), None)


def snakemake_present(evidence: Evidence) -> str | None:
    """Whether Snakemake runs above this process."""
    return "yes" if evidence.running("snakemake") else None


def snakemake_option(name: str) -> Reader:
    """An option of the nearest Snakemake above."""

    def read(evidence: Evidence) -> str | None:
        process = evidence.running("snakemake")
        return process and process.option(name)

    return read


def snakemake_workflow(evidence: Evidence) -> str | None:
    """The Snakefile's name; of one that is called just that, its directory's (that above ``workflow/``)."""
    given = snakemake_option("--snakefile")(evidence) or snakemake_option("-s")(evidence) or "Snakefile"
    path = Path(given).absolute()
    folders = [folder for folder in path.parts[:-1] if folder != "workflow"]
    return path.stem if path.stem.lower() != "snakefile" else folders[-1].strip("/") or "Snakefile"


def snakemake_run(evidence: Evidence) -> str | None:
    """When the outermost Snakemake above was started, in microseconds: the same for all of its jobs on this machine."""
    runs = [process for process in evidence.above if process.is_program("snakemake")]
    return str(runs[-1].started_unix_us) if runs else None


def snakemake_target(evidence: Evidence) -> str | None:
    """A job below the Snakemake that somebody started has its machine; a submitted one is below one that runs it alone.

    Source: snakemake/spawn_jobs.py and the executors, which have ``--mode remote`` where a job is submitted.
    """
    outermost = [process for process in evidence.above if process.is_program("snakemake")][-1:]
    submitted = any(process.option("--mode") == "remote" for process in outermost)
    return platform(evidence.env) if submitted else Platform.LOCAL


def snakemake_rule(evidence: Evidence) -> str | None:
    """The rule, where Snakemake runs the job in a process of its own; it runs shell commands itself."""
    job = snakemake_job(evidence)
    return job and job.partition(":")[0]


def snakemake_job(evidence: Evidence) -> str | None:
    """The job: ``RULE:WILDCARD=VALUE,…``."""
    return snakemake_option("--target-jobs")(evidence)


def snakemake_wildcards(evidence: Evidence) -> str | None:
    """The job's wildcards."""
    job = snakemake_job(evidence)
    return (job or "").partition(":")[2] or None
