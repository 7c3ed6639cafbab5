"""Flows over time: what their attempts used, how many ended and how, all of it from what the rules recorded."""

from boards.parts import ASKED, BAD, BYTES, CORES, GOOD, NUMBER, SECONDS, SHARE, USED, Board, lines, to_step
from boards.prometheus.asking import BY_STEP, FLOW, TAG, TASK, figures, of_flow, over_time, table

_FAILING = ((0.01, ASKED), (0.05, BAD))
_ENDED = f"stepsize:step_ended:count1m{of_flow()}"
_DURATIONS = f"stepsize:step_ended_duration_seconds:sum1m{of_flow()}"
_LONGEST = f"stepsize:step_ended_duration_seconds:max1m{of_flow()}"
_CORES = f"stepsize:step_cpu_seconds:increase1m{of_flow()}"
_OUTCOMES = {"ok": GOOD, "failed": BAD, "oom": "dark-red", "killed": "orange", "lost": "purple", "unknown": "text"}


def _in_range(series: str) -> str:
    """What a series' minutes are together over the time range."""
    return f"sum_over_time({series}[$__range])"


def _not_ok(by: str = "") -> str:
    bad = of_flow('stepsize_outcome!="ok"')
    return (
        f"(sum {by} ({_in_range(f'stepsize:step_ended:count1m{bad}')}) or sum {by} ({_in_range(_ENDED)}) * 0)"
        f" / sum {by} ({_in_range(_ENDED)})"
    )


def _steps(expression: str) -> str:
    """Of the 200 steps that used the most cores."""
    most = f"topk(200, sum {BY_STEP} ({_in_range(_CORES)}))"
    return f"{expression} and on (stepsize_flow_name, stepsize_step_name) {most}"


_PEAK = f"max {BY_STEP} (max_over_time(stepsize:step_ended_memory_peak_bytes:max1m{of_flow()}[$__range]))"
_ASKED = f"max {BY_STEP} (max_over_time(stepsize:step_ended_request_memory_bytes:max1m{of_flow()}[$__range]))"
BOARD = Board(
    uid="stepsize-prometheus-flow",
    title="stepsize on Prometheus / Flow",
    description="Attempts that ended in the time range, what they used, what failed; two minutes behind.",
    window="now-7d",
    refresh="1m",
    tag=TAG,
    variables=(FLOW,),
    rows={
        "Attempts": (
            figures(
                "In all",
                "Attempts that ended in the time range, each as a try of its own: one that was tried again and went "
                "well counts as two. Core·h: of those that run, too.",
                {
                    "Ended": f"sum({_in_range(_ENDED)})",
                    "Not ok": _not_ok(),
                    "Duration, mean": (f"sum({_in_range(_DURATIONS)}) / sum({_in_range(_ENDED)})"),
                    "Core·h used": f"sum({_in_range(_CORES)}) / 3600",
                    "Runs now": f"sum(stepsize:flow_running_runs:count{of_flow()}) or vector(0)",
                    "Tasks now": f"sum(stepsize:step_running:count{of_flow()}) or vector(0)",
                },
                {
                    "Ended": NUMBER,
                    "Not ok": SHARE,
                    "Duration, mean": SECONDS,
                    "Core·h used": CORES,
                    "Runs now": NUMBER,
                    "Tasks now": NUMBER,
                },
                levels={"Not ok": _FAILING},
            ),
            lines(
                over_time(
                    {
                        "{{stepsize_outcome}}": "sum by (stepsize_outcome) "
                        f"(sum_over_time(stepsize:step_ended:count1m{of_flow()}[$__interval]))"
                    },
                    least="5m",
                ),
                "Attempts",
                "By when they ended.",
                NUMBER,
                _OUTCOMES,
                bars=True,
            ),
            table(
                "Newest failures",
                "A hundred attempts that failed, were killed, ran out of memory or fell silent.",
                {
                    "Ended": "topk(100, max by (stepsize_flow_name, stepsize_run_id, stepsize_step_name, "
                    "stepsize_task_id, stepsize_task_attempt, stepsize_outcome, process_exit_code, host_name) "
                    f"(last_over_time(stepsize:attempt_failed:time_seconds{of_flow()}[$__range]))) * 1000"
                },
                {"Ended": "dateTimeAsIso"},
                labels=(*TASK, "stepsize_outcome", "process_exit_code", "host_name"),
                by="Ended",
                links={"Step": to_step(uid="stepsize-prometheus-step")},
                span=12,
                height=8,
            ),
            lines(
                over_time(
                    {
                        "mean": f"sum(sum_over_time({_DURATIONS}[$__interval]))"
                        f" / sum(sum_over_time({_ENDED}[$__interval]))",
                        "longest": f"max(max_over_time({_LONGEST}[$__interval]))",
                    },
                    least="5m",
                ),
                "Duration of attempts",
                "Of those that ended.",
                SECONDS,
                {"mean": "light-blue", "longest": USED},
                joined=True,
            ),
            lines(
                over_time(
                    {
                        "{{stepsize_flow_name}}": "sum by (stepsize_flow_name) "
                        f"(sum_over_time({_CORES}[$__interval]))"
                        " / ($__interval_ms / 1000) and topk(10, sum by (stepsize_flow_name) "
                        f"(sum_over_time({_CORES}[$__range] @ end())))"
                    },
                    least="5m",
                ),
                "Cores in use",
                "Of the ten flows that used the most in the time range; short attempts too.",
                CORES,
                {},
            ),
        ),
        "Steps": (
            table(
                "Steps by the cores that they use",
                "Of attempts that ended in the time range; core·h of those that run, too. The 200 that used the most.",
                {
                    "Ended": _steps(f"sum {BY_STEP} ({_in_range(_ENDED)})"),
                    "Not ok": _steps(f"({_not_ok(BY_STEP)})"),
                    "Core·h used": _steps(f"sum {BY_STEP} ({_in_range(_CORES)}) / 3600"),
                    "Duration, longest": _steps(f"max {BY_STEP} (max_over_time({_LONGEST}[$__range]))"),
                    "Peak, highest": _steps(_PEAK),
                    "Memory asked for": _steps(_ASKED),
                    "Of the request": _steps(f"{_PEAK} / {_ASKED}"),
                },
                {
                    "Ended": NUMBER,
                    "Not ok": SHARE,
                    "Core·h used": CORES,
                    "Duration, longest": SECONDS,
                    "Peak, highest": BYTES,
                    "Memory asked for": BYTES,
                    "Of the request": SHARE,
                },
                labels=("stepsize_flow_name", "stepsize_step_name"),
                by="Core·h used",
                levels={"Not ok": _FAILING, "Of the request": ((0.9, BAD),)},
                links={"Step": to_step(uid="stepsize-prometheus-step")},
            ),
        ),
    },
)
