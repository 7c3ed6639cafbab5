"""What a tracked block costs its program: ``python benchmarks/track_cost.py [--blocks 200]`` (``make bench-api``).

In a fresh process: the CPU time of the import with the first use, of the first block (which may have to start the
agent), and of each block after it, begin and end together, with nothing in between. Writes below a temporary directory.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile

PROGRAM = """
import json, sys, time
begun = time.process_time()
import stepsize
stepsize.track
imported = time.process_time()
took = []
for _ in range(int(sys.argv[1])):
    wall, cpu = time.perf_counter(), time.process_time()
    with stepsize.track(step="empty"):
        pass
    took.append((time.perf_counter() - wall, time.process_time() - cpu))
print(json.dumps([imported - begun, took]))
"""


def main() -> None:
    """Print the table as Markdown."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--blocks", type=int, default=200)
    blocks = parser.parse_args().blocks
    with tempfile.TemporaryDirectory(prefix="ss-", ignore_cleanup_errors=True) as directory:
        said = {"HOME": directory, "STEPSIZE_DATA": f"{directory}/lake", "STEPSIZE_RUNTIME": f"{directory}/run"}
        kept = {name: text for name, text in os.environ.items() if not name.startswith(("STEPSIZE", "OTEL_"))}
        program = [sys.executable, "-c", PROGRAM, str(blocks)]
        environment = {**kept, **said, "STEPSIZE_AGENT_IDLE": "1"}
        answer = subprocess.run(program, env=environment, check=True, capture_output=True, text=True).stdout
    imported_s, took = json.loads(answer)
    (first, *rest) = took
    wall, cpu = (sorted(each[index] for each in rest) for index in (0, 1))
    print(f"{platform.platform()}, {os.cpu_count()} CPUs, Python {platform.python_version()}, {blocks} blocks\n")
    print("| | CPU ms | wall ms |\n| --- | --- | --- |")
    print(f"| import, once | {imported_s * 1e3:.1f} | |")
    print(f"| the first block, which starts the agent | {first[1] * 1e3:.2f} | {first[0] * 1e3:.2f} |")
    columns = [
        f"{statistics.median(each) * 1e3:.2f} (90 %: {each[len(each) * 9 // 10] * 1e3:.2f})" for each in (cpu, wall)
    ]
    print(f"| each block after it, median | {' | '.join(columns)} |")


if __name__ == "__main__":
    main()
