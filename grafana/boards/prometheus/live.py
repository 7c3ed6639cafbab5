"""What runs now, and what is about to go wrong."""

from boards.parts import ASKED, BAD, BYTES, CORES, LIMIT, NUMBER, SECONDS, SHARE, USED, Board, lines, to_step
from boards.prometheus.asking import BY_TASK, FLOW, ON_TASK, TAG, TASK, figures, of_flow, over_time, table

_NEAR = ((0.8, ASKED), (0.9, BAD))
_NEAREST = f"{ON_TASK} topk(100, stepsize:attempt_memory_rank:top100{of_flow()})"
_PEAK = f"max {BY_TASK} (stepsize_task_memory_peak_bytes{of_flow()})"
_HOLDS = (
    f"min {BY_TASK} ("
    f'label_replace(stepsize_task_request_memory_bytes{of_flow()}, "of", "request", "", "") '
    f'or label_replace(container_memory_limit_bytes{of_flow()}, "of", "limit", "", ""))'
)


def _nearest(expression: str) -> str:
    """Of the attempts that the rules found nearest to what they may hold."""
    return f"{expression} and {_NEAREST}"


def _sum(series: str) -> str:
    return f"sum(stepsize:step_{series}:sum{of_flow()})"


BOARD = Board(
    uid="stepsize-prometheus-live",
    title="stepsize on Prometheus / Live",
    description="Tasks that run now: what they use of what they asked for.",
    window="now-15m",
    refresh="5s",
    tag=TAG,
    variables=(FLOW,),
    rows={
        "Now": (
            figures(
                "Now",
                "Attempts that told something within two minutes and not that they ended, by rules of every 15 s.",
                {
                    "Running tasks": f"sum(stepsize:step_running:count{of_flow()}) or vector(0)",
                    "Cores in use": _sum("cpu_usage"),
                    "Cores asked for": _sum("request_cpu"),
                    "Memory in use": _sum("memory_usage_bytes"),
                    "Memory asked for": _sum("request_memory_bytes"),
                    "GPUs busy": _sum("gpu_utilization"),
                    "GPUs held": _sum("gpu_held"),
                },
                {
                    "Running tasks": NUMBER,
                    "Cores in use": CORES,
                    "Cores asked for": CORES,
                    "Memory in use": BYTES,
                    "Memory asked for": BYTES,
                    "GPUs busy": CORES,
                    "GPUs held": CORES,
                },
            ),
            table(
                "Nearest to what they may hold",
                "A hundred running attempts. They may hold the smaller of request and container's limit; "
                "beyond the latter they are killed.",
                {
                    "Running for": _nearest(f"max {BY_TASK} (stepsize_task_duration_seconds{of_flow()})"),
                    "Cores": _nearest(f"max {BY_TASK} (stepsize_task_cpu_usage{of_flow()})"),
                    "Cores asked for": _nearest(f"max {BY_TASK} (stepsize_task_request_cpu{of_flow()})"),
                    "Memory": _nearest(f"max {BY_TASK} (stepsize_task_memory_usage_bytes{of_flow()})"),
                    "Peak": _nearest(_PEAK),
                    "May hold": _nearest(_HOLDS),
                    "Of what it may hold": _nearest(f"{_PEAK} / {_HOLDS}"),
                    "GPUs": _nearest(f"max {BY_TASK} (stepsize_task_gpu_count_ratio{of_flow()})"),
                },
                {
                    "Running for": SECONDS,
                    "Cores": CORES,
                    "Memory": BYTES,
                    "Peak": BYTES,
                    "May hold": BYTES,
                    "Of what it may hold": SHARE,
                },
                labels=TASK,
                by="Of what it may hold",
                levels={"Of what it may hold": _NEAR},
                links={"Step": to_step(uid="stepsize-prometheus-step")},
            ),
        ),
        "Over time": (
            lines(
                over_time(
                    {
                        "in use": _sum("memory_usage_bytes"),
                        "asked for": _sum("request_memory_bytes"),
                        "limit": _sum("memory_limit_bytes"),
                    }
                ),
                "Memory",
                "Of all running tasks together. The limit is that of those that have one.",
                BYTES,
                {"in use": USED, "asked for": ASKED, "limit": LIMIT},
            ),
            lines(
                over_time({"in use": _sum("cpu_usage"), "asked for": _sum("request_cpu")}),
                "Cores",
                "Of all running tasks together.",
                CORES,
                {"in use": USED, "asked for": ASKED},
            ),
            lines(
                over_time({"busy": _sum("gpu_utilization"), "held": _sum("gpu_held")}),
                "GPUs",
                "Busy: shares of time added up, so 2 is two devices all the time. Held: asked for, or else used.",
                CORES,
                {"busy": USED, "held": ASKED},
                span=24,
            ),
        ),
    },
)
