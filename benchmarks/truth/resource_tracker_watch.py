"""Has resource-tracker watch a command; run by the interpreter of its own environment.

What comes in: a command. What goes out: one line of JSON with CPU seconds, the highest sample of memory and the bytes
written, as its `process_metrics` tell them. The command starts once the trackers have taken their first sample.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from pathlib import Path

from resource_tracker import ResourceTracker


def main() -> None:
    gated = ["sh", "-c", 'read _ && exec "$@" < /dev/null', "sh", *sys.argv[1:]]
    with subprocess.Popen(gated, stdin=subprocess.PIPE) as process:
        tracker = ResourceTracker(pid=process.pid, discover_cloud=False, discover_server=False)
        tracker.start()
        deadline = time.monotonic() + 10
        while not Path(tracker.process_tracker_filepath).stat().st_size and time.monotonic() < deadline:
            time.sleep(0.01)
        process.stdin.write(b"\n")
        process.stdin.close()
        process.wait()
        tracker.stop()
    found = {"cpu_s": 0.0, "memory_bytes": 0.0, "write_bytes": 0.0}
    if tracker.n_samples:
        metrics = tracker.process_metrics
        found["cpu_s"] = sum(metrics["utime"]) + sum(metrics["stime"])
        found["memory_bytes"] = max(metrics["memory_mib"]) * (1 << 20)
        found["write_bytes"] = sum(metrics["disk_write_bytes"])
    print(json.dumps(found))


if __name__ == "__main__":
    main()
