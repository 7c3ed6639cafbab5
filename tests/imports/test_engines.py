"""What Nextflow, Snakemake and resource-tracker themselves leave of real tasks, as history."""

from __future__ import annotations

import json
import sys

import pytest

from tests.imports.conftest import Place
from tests.interop.peers import NEXTFLOW, RESOURCE_TRACKER, SNAKEMAKE

pytestmark = pytest.mark.peers
MIB = 1 << 20
OPENED = ("lang", "util", "io", "nio", "nio.file.spi", "util.concurrent")
"""What of Java's own the classes of Nextflow look into, as its launcher allows them."""
HOLD = "import time; held = bytearray(200 << 20); end = time.monotonic() + {}\\nwhile time.monotonic() < end: pass"
PIPELINE = f"""
process HOLD {{
  tag "$sample"
  cpus 1
  memory '1 GB'
  errorStrategy {{ task.attempt == 1 ? 'retry' : 'finish' }}
  input: val sample
  script:
  '''
  {sys.executable} -c "$(printf '{HOLD.format(3)}')"
  '''
}}
process FAIL {{
  errorStrategy {{ task.attempt == 1 ? 'retry' : 'finish' }}
  script:
  "exit ${{ task.attempt == 1 ? 137 : 0 }}"
}}
workflow {{ HOLD(Channel.of('a', 'b')); FAIL() }}
"""
FIELDS = "task_id,hash,process,tag,name,status,exit,attempt,submit,start,complete,realtime,%cpu,peak_rss,cpus,memory"


def nextflow(place: Place, *arguments: str) -> None:
    opened = [f"--add-opens=java.base/java.{name}=ALL-UNNAMED" for name in OPENED]
    opened.append("--add-opens=java.base/sun.nio.ch=ALL-UNNAMED")
    command = ("java", *opened, "-cp", f"{NEXTFLOW.path.parent}/*", "nextflow.cli.Launcher", *arguments)
    more = {"NXF_HOME": str(place.home / "nextflow"), "NXF_OFFLINE": "true", "NXF_ANSI_LOG": "false"}
    done = place.called(*command, **more)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.needs(NEXTFLOW)
@pytest.mark.parametrize("raw", ["false", "true"])
def test_a_trace_of_nextflow(place: Place, raw: str) -> None:
    """Printed or raw: what each task held, how long it ran, a retry as the next attempt; resumed, all is cached."""
    (place.home / "main.nf").write_text(PIPELINE)
    (place.home / "nextflow.config").write_text(
        f"trace {{ enabled = true; file = 'trace.txt'; overwrite = true; raw = {raw}; fields = '{FIELDS}' }}\n"
    )
    nextflow(place, "run", "main.nf")
    assert place.imported("nextflow", "trace.txt", "--flow", "nf")["added"] == 4
    fail, again, *held = place.tasks()
    assert [(one["step"], one["attempt"], one["outcome"]) for one in (fail, again)] == [
        ("FAIL", 0, "killed"),
        ("FAIL", 1, "ok"),
    ]
    assert fail["exit_signal"] == 9
    for row in held:
        assert (row["step"], row["item"] in "ab", row["outcome"]) == ("HOLD", True, "ok")
        assert 200 * MIB <= row["memory_peak_bytes"] < 260 * MIB
        assert (row["requested_cpu"], row["requested_memory_bytes"]) == (1.0, 1 << 30)
        assert 3 <= row["duration_s"] < 60
        assert 0 < row["cpu_seconds"] <= 1.2 * row["duration_s"]
        assert 0 <= (row["ended_at"] - row["started_at"]).total_seconds() < 60
    assert "nf/HOLD" in place.advice()
    nextflow(place, "run", "main.nf", "-resume")
    said = place.imported("nextflow", "trace.txt", "--flow", "nf")
    assert said["passed_over"]["taken from the cache: ran in another run"] >= 3


@pytest.mark.needs(SNAKEMAKE)
@pytest.mark.parametrize("name", ["{s}.tsv", "{s}.jsonl"])
def test_benchmarks_of_snakemake(place: Place, name: str) -> None:
    """Tables and lines of JSON: rule, request, input and what the job held."""
    (place.home / "in.bin").write_bytes(bytes(3 * MIB))
    (place.home / "job.py").write_text(HOLD.format(3).replace("\\n", "\n"))
    (place.home / "Snakefile").write_text(
        'rule all:\n    input: "a.out", "b.out"\n'
        f'rule hold:\n    input: "in.bin"\n    output: "{{s}}.out"\n    benchmark: "benchmarks/{name}"\n'
        f'    resources: mem_mb=800, runtime=7\n    shell: "{sys.executable} job.py && touch {{output}}"\n'
    )
    done = place.called(str(SNAKEMAKE.path), "--cores", "2", "--benchmark-extended")
    assert done.returncode == 0, done.stdout + done.stderr
    assert place.imported("snakemake", "benchmarks", "--flow", "sm")["added"] == 2
    for row in place.tasks():
        assert (row["step"], row["outcome"]) == ("hold", "ok")
        assert 200 * MIB <= row["memory_peak_bytes"] < 260 * MIB
        assert (row["requested_memory_bytes"], row["requested_timeout_s"]) == (800 * 10**6, 420.0)
        assert json.loads(row["annotations"]) == {"input_bytes": 3 * MIB}
        assert 3 <= row["duration_s"] < 60
    assert "sm/hold" in place.advice()


TRACKED = """
from metaflow import FlowSpec, step, track_resources

class Tracked(FlowSpec):
    @track_resources(create_card=False)
    @step
    def start(self):
        import time
        held = bytearray(200 << 20)
        end = time.monotonic() + 5
        while time.monotonic() < end:
            pass
        self.next(self.end)

    @step
    def end(self):
        pass

if __name__ == "__main__":
    Tracked()
"""


@pytest.mark.needs(RESOURCE_TRACKER)
def test_artifacts_of_resource_tracker(place: Place) -> None:
    """What its decorator left of a step, read without it; its own file of a program says the same of that."""
    (place.home / "flow.py").write_text(TRACKED)
    done = place.called(str(RESOURCE_TRACKER.path), "flow.py", "run")
    assert done.returncode == 0, done.stdout + done.stderr
    read = place.called(sys.executable, "-m", "stepsize", "import", "metaflow", "Tracked")
    assert read.returncode == 0, read.stderr
    end, start = place.tasks()
    assert (end["step"], end["memory_peak_bytes"], end["memory_source"]) == ("end", None, None)
    assert (start["step"], start["memory_source"]) == ("start", "resource-tracker")
    assert 200 * MIB <= start["memory_peak_bytes"] < 500 * MIB
    assert 0 < start["cpu_seconds"] <= 2 * start["duration_s"]
    program = (
        "import time\nfrom resource_tracker import ResourceTracker\n"
        "if __name__ == '__main__':\n"
        "    tracker = ResourceTracker(interval=0.5, discover_cloud=False)\n"
        "    tracker.start()\n    held = bytearray(200 << 20)\n    time.sleep(3)\n"
        "    tracker.stop()\n    tracker.dump('tracked.json.gz')\n"
    )
    (place.home / "program.py").write_text(program)
    done = place.called(str(RESOURCE_TRACKER.path), "program.py")
    assert done.returncode == 0, done.stdout + done.stderr
    place.imported("resource-tracker", "tracked.json.gz", "--flow", "jobs", "--step", "hold")
    (row,) = [row for row in place.tasks() if row["flow"] == "jobs"]
    assert 200 * MIB <= row["memory_peak_bytes"] < 300 * MIB
