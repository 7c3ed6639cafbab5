"""Cores by what waiting costs, beside published rules: ``python benchmarks/cpu_sizing.py TRACES`` (``make bench-cpu``).

Three parts, from what is real to what is made up:

1. *Records*: tasks of a directory of CSV files (``docs/backtest.md``), each sized before it is seen. They hold one mean
   of CPU use a task, so this shows how rules choose between tasks, and nothing of how use varies within one. Other
   rules of cost that were tried are beside them.
2. *Programs*: real programs run on this machine under ``stepsize run``, with their use over time, and again on one
   core: the run time that was expected there beside the one that was measured. Not run where the machine is busy.
3. *Profiles*: use over time of steps that a generator made up. Rules are judged by the same spreading of work that the
   advice stands on, so that this shows what rules trade, not that the model is right.

Prints Markdown and, with ``--results DIR``, leaves ``cpu.md`` and its charts there. Parts 1 and 3 are deterministic.
"""

from __future__ import annotations

import argparse
import datetime as dt
import os
import platform
from pathlib import Path

from charts import trade_off
from cpu_profiles import profiles_part
from cpu_programs import programs_part
from cpu_records import records_part
from cpu_variants import variants_part


def main() -> None:
    """Run all parts, or those that were asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("traces", type=Path)
    parser.add_argument("--results", type=Path)
    parser.add_argument("--repeats", type=int, default=5, help="runs of each program on each number of cores")
    options = parser.parse_args()
    paths = sorted(options.traces.glob("*.csv"))
    parts = [
        records_part(paths),
        variants_part(paths),
        *([programs_part(options.repeats)] if options.repeats else []),
        profiles_part(),
    ]
    today = dt.datetime.now(dt.timezone.utc).date().isoformat()
    where = f"{today}, {platform.platform()}, {os.cpu_count()} CPUs, Python {platform.python_version()}."
    where += " Command: `make bench-cpu TRACES=DIR`. What it says is told in [docs/cpu.md](../../docs/cpu.md)."
    text = "\n\n".join(["# Cores: sizing by what waiting costs", where, *(part.text for part in parts)])
    print(text)
    if options.results:
        (options.results / "cpu.md").write_text(text + "\n", "utf-8")
        for part in parts:
            for name, (title, below, curve, points) in part.charts.items():
                drawn = trade_off(title, below, "price of waiting, 1 to 256 cores", curve, points)
                (options.results / f"{name}.svg").write_text(drawn, "utf-8")


if __name__ == "__main__":
    main()
