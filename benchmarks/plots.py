"""Draws what was measured: ``python benchmarks/plots.py`` (``make plots``).

What comes in: ``results/collector.json``, ``lake_size.json`` and ``sizing.json``, as the benchmarks leave them with
``--json``. What goes out: SVG files beside them. Measures nothing.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from charts import Goal, bars, lines, trade_off
from tables import number

if TYPE_CHECKING:
    from collections.abc import Iterator

_RESULTS = Path(__file__).resolve().parent / "results"
_COST = "CPU µs a point: receiving"
_ALONE = ", no cold start"
_FAR_OFF = "requested"
"""What users asked for is ten times what was used: beside it nothing else could be told apart."""
_A_CPU_S = "M points per CPU-s (receiving, storing)"


def main() -> None:
    """Draw all that there are results of."""
    for source, draw in (("collector", _of_collector), ("lake_size", _of_lake), ("sizing", _of_sizing)):
        path = _RESULTS / f"{source}.json"
        if path.exists():
            for name, chart in draw(json.loads(path.read_text("utf-8"))):
                (_RESULTS / f"{name}.svg").write_text(chart, "utf-8")
                print(f"{name}.svg")


def _of_collector(found: dict[str, Any]) -> Iterator[tuple[str, str]]:
    for part, column, below in (
        ("stored", "M points stored", "million points stored before"),
        ("tasks", "tasks that run", "tasks that run at a time"),
    ):
        if rows := found.get(part):
            series = {
                name: [(number(row[column]), number(row[cell])) for row in rows]
                for name, cell in (("receiving", _COST), ("storing", "storing"), ("both", "both"))
            }
            goal = Goal(1.3 * series["both"][0][1], "target: 1.3 times the first")
            yield f"collector_{part}", lines("CPU microseconds a point", below, series, goal)
    if rows := found.get("throughput"):
        groups: dict[str, dict[str, float]] = {}
        for row in rows:
            groups.setdefault(_shorter(row["load"]), {})[row["who"]] = number(row[_A_CPU_S])
        yield "collector_throughput", bars("Million points per CPU second, all processes", "load", groups)


def _shorter(load: str) -> str:
    return load.removesuffix(", HTTP").replace(" of 40 points a second", "/s").replace(" of 40 points", ", 40 points")


def _of_lake(found: dict[str, Any]) -> Iterator[tuple[str, str]]:
    sizes = {
        case["case"]: {
            "stepsize": case["compacted"],
            **{name: held["bytes_a_point"] for name, held in case["beside"].items()},
        }
        for case in found["cases"]
    }
    yield "lake_size", bars("Bytes a point, all merged", "how samples come", sizes, Goal(3.2, "target: 3.2"))
    stages = {
        case["case"]: {name: case[name] for name in ("committed", "merged", "compacted")} for case in found["cases"]
    }
    yield (
        "lake_stages",
        bars("Bytes a point in this lake", "how samples come", stages, Goal(8.0, "target when written: 8")),
    )


def _of_sizing(found: dict[str, Any]) -> Iterator[tuple[str, str]]:
    for mode, of_mode in found.items():
        at = {row["who"]: (max(row["warm_failures"], 0.1), row["warm"]) for row in of_mode["rows"]}
        ours = [name for name in at if name.endswith(_ALONE)] + of_mode["prices"]
        rules = {name: point for name, point in at.items() if name not in (*ours, _FAR_OFF)}
        title = f"GB·h allocated over GB·h used, mode {mode}"
        curve = [at[name] for name in of_mode["prices"]]
        yield (
            f"sizing_{mode}",
            trade_off(title, "failed attempts per 1,000 tasks", "stepsize, by failure price", curve, rules),
        )
    beside: dict[str, dict[str, float]] = {}
    for mode, of_mode in found.items():
        for file, ratio in of_mode["hindsight"].items():
            beside.setdefault(file.rpartition("_")[2], {})[mode] = ratio
    aim = Goal(1.1, "aim: 1.1")
    yield "sizing_hindsight", bars("Cost of balanced over that of the best rule of each file", "file", beside, aim)


if __name__ == "__main__":
    main()
