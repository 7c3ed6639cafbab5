"""One step: what its attempts use, how far they lie apart, and what was asked for."""

from boards.parts import ASKED, BAD, BYTES, CORES, LIMIT, NUMBER, SECONDS, SHARE, USED, Board, lines
from boards.prometheus.asking import (
    BY_TASK,
    ON_TASK,
    TAG,
    TASK,
    LabelVariable,
    among,
    exactly,
    figures,
    levels,
    over_time,
    table,
)

_FAILING = ((0.01, ASKED), (0.05, BAD))
_OF_FLOW = f"stepsize_flow_name={exactly('flow')}"
_OF_STEP = f"{_OF_FLOW}, stepsize_step_name={exactly('step')}"
_OF_RUNS = f"{_OF_STEP}, stepsize_run_id=~{among('run')}"
_STEP, _RUNS, _BAD = f"{{{_OF_STEP}}}", f"{{{_OF_RUNS}}}", f'{{{_OF_RUNS}, stepsize_outcome!="ok"}}'


def _last(series: str, by: str = BY_TASK) -> str:
    """Of each attempt that told it in the time range, the last figure."""
    return f"max {by} (last_over_time({series}{_RUNS}[$__range]))"


_PEAK = _last("stepsize_task_memory_peak_bytes")
_DURATION = _last("stepsize_task_duration_seconds")
_ENDED = f"last_over_time(stepsize_task_end_ratio{_RUNS}[$__range])"
_LARGEST = f"topk(50, {_PEAK})"
_SHARES = {"10 %": 0.1, "25 %": 0.25, "half": 0.5, "75 %": 0.75, "90 %": 0.9, "95 %": 0.95, "99 %": 0.99, "all": 1}


def _most(series: str) -> str:
    """The most of each interval of a series that the rules record of the step."""
    return f"max_over_time(stepsize:step_{series}{_STEP}[$__interval])"


def _largest(expression: str) -> str:
    return f"{expression} and {ON_TASK} {_LARGEST}"


BOARD = Board(
    uid="stepsize-prometheus-step",
    title="stepsize on Prometheus / Step",
    description="One step: what its attempts used of what they asked for, and how far they lie apart.",
    window="now-24h",
    refresh="5m",
    tag=TAG,
    variables=(
        LabelVariable("flow", "Flow", "stepsize:step_memory_peak_bytes:max", "stepsize_flow_name", all=False),
        LabelVariable(
            "step",
            "Step",
            f"stepsize:step_memory_peak_bytes:max{{{_OF_FLOW}}}",
            "stepsize_step_name",
            all=False,
        ),
        LabelVariable("run", "Run", f"stepsize_task_memory_usage_bytes{_STEP}", "stepsize_run_id"),
    ),
    rows={
        "Request against use": (
            figures(
                "$flow / $step",
                "Attempts that told something in the time range.",
                {
                    "Attempts": f"count({_PEAK})",
                    "Ended": f"count({_ENDED})",
                    "Not ok": f"(count(last_over_time(stepsize_task_end_ratio{_BAD}[$__range])) or count({_ENDED}) * 0)"
                    f" / count({_ENDED})",
                    "Duration, typical": f"quantile(0.5, {_DURATION} and {ON_TASK} {_ENDED})",
                    "Peak, typical": f"quantile(0.5, {_PEAK})",
                    "Peak, highest": f"max({_PEAK})",
                    "Memory asked for": f"max({_last('stepsize_task_request_memory_bytes')})",
                },
                {
                    "Attempts": NUMBER,
                    "Ended": NUMBER,
                    "Not ok": SHARE,
                    "Duration, typical": SECONDS,
                    "Peak, typical": BYTES,
                    "Peak, highest": BYTES,
                    "Memory asked for": BYTES,
                },
                levels={"Not ok": _FAILING},
            ),
            lines(
                over_time(
                    {
                        "highest peak": _most("ended_memory_peak_bytes:max1m"),
                        "asked for": _most("ended_request_memory_bytes:max1m"),
                    },
                    least="1m",
                ),
                "Memory peaks",
                "Of attempts of all runs, by when they ended.",
                BYTES,
                {"highest peak": USED, "asked for": ASKED},
                joined=True,
            ),
            levels(
                "Distribution of peaks",
                "Memory peaks that so many attempts of the time range stayed at or below.",
                {name: f"quantile({share}, {_PEAK})" for name, share in _SHARES.items()},
                BYTES,
            ),
            lines(
                over_time(
                    {
                        "in use": _most("memory_usage_bytes:sum"),
                        "asked for": _most("request_memory_bytes:sum"),
                        "limit": _most("memory_limit_bytes:sum"),
                    }
                ),
                "Memory of all that ran",
                "Of attempts of all runs that ran at a time, together; the most of each interval.",
                BYTES,
                {"in use": USED, "asked for": ASKED, "limit": LIMIT},
            ),
            lines(
                over_time(
                    {
                        "busiest attempt": _most("cpu_usage:max"),
                        "together": f"avg_over_time(stepsize:step_cpu_usage:sum{_STEP}[$__interval])",
                        "asked for": f"avg_over_time(stepsize:step_request_cpu:sum{_STEP}[$__interval])",
                    }
                ),
                "Cores",
                "Of attempts of all runs that ran at a time; the busiest one at its busiest.",
                CORES,
                {"busiest attempt": "light-blue", "together": USED, "asked for": ASKED},
            ),
        ),
        "Spread": (
            table(
                "Largest attempts",
                "The 50 with the highest peaks. One without an outcome runs, or fell silent.",
                {
                    "Peak": _LARGEST,
                    "Asked for": _largest(_last("stepsize_task_request_memory_bytes")),
                    "Of the request": _largest(f"{_PEAK} / {_last('stepsize_task_request_memory_bytes')}"),
                    "Duration": _largest(_DURATION),
                    "CPU time": _largest(
                        f"sum {BY_TASK} (last_over_time(stepsize_task_cpu_time_seconds_total{_RUNS}[$__range]))"
                    ),
                    "Cores, at most": _largest(
                        f"max {BY_TASK} (max_over_time(stepsize_task_cpu_usage{_RUNS}[$__range]))"
                    ),
                },
                {
                    "Peak": BYTES,
                    "Asked for": BYTES,
                    "Of the request": SHARE,
                    "Duration": SECONDS,
                    "CPU time": SECONDS,
                    "Cores, at most": CORES,
                },
                labels=TASK,
                by="Peak",
                also={
                    "stepsize_outcome": _largest(
                        f"max by ({', '.join(TASK)}, stepsize_outcome) ({_ENDED})",
                    )
                },
                levels={"Of the request": ((0.9, BAD),)},
            ),
        ),
    },
)
