"""Hosts: what there is, what is in use, what stands idle."""

from boards.parts import ASKED, BYTES, CORES, NUMBER, SHARE, USED, Board, lines
from boards.prometheus.asking import ON_TASK, TAG, figures, over_time, table

_IDLE = ((0.9, ASKED),)
_DEVICE = ("hw_name", "hw_id", "host_name")
_IN_USE = "stepsize:host_cpu_busy:ratio * on (host_name) stepsize:host_cores:max"
_USED = "stepsize:host_memory_used_bytes:max and on (host_name) stepsize:host_memory_bytes:max"
_LEAST_BUSY = "bottomk(200, avg_over_time(stepsize:host_cpu_busy:ratio[$__range]))"
_LEAST_BUSY_GPUS = "bottomk(200, avg_over_time(stepsize:gpu_busy:ratio[$__range]))"


def _host(expression: str) -> str:
    return f"{expression} and on (host_name) {_LEAST_BUSY}"


def _gpu(expression: str) -> str:
    return f"{expression} and on ({', '.join(_DEVICE)}) {_LEAST_BUSY_GPUS}"


def _asked(series: str) -> str:
    """What attempts that run on a host asked for."""
    return f"sum by (host_name) (stepsize_task_request_{series} unless {ON_TASK} stepsize_task_end_ratio)"


BOARD = Board(
    uid="stepsize-prometheus-fleet",
    title="stepsize on Prometheus / Fleet",
    description="Hosts that ran tasks, as their agents told while tasks ran there.",
    window="now-6h",
    refresh="1m",
    tag=TAG,
    rows={
        "Hosts": (
            figures(
                "At the end of the time range",
                "Hosts that told something within two minutes. A GPU is idle below 5 %.",
                {
                    "Hosts": "count(stepsize:host_cpu_busy:ratio)",
                    "Cores": "sum(stepsize:host_cores:max)",
                    "Cores busy": f"sum({_IN_USE}) / sum(stepsize:host_cores:max)",
                    "Memory": "sum(stepsize:host_memory_bytes:max)",
                    "Memory used": f"sum({_USED}) / sum(stepsize:host_memory_bytes:max)",
                    "GPUs": "count(stepsize:gpu_busy:ratio)",
                    "GPUs idle": "sum(stepsize:gpu_idle:ratio)",
                },
                {
                    "Hosts": NUMBER,
                    "Cores": NUMBER,
                    "Cores busy": SHARE,
                    "Memory": BYTES,
                    "Memory used": SHARE,
                    "GPUs": NUMBER,
                    "GPUs idle": NUMBER,
                },
                levels={"GPUs idle": ((1, ASKED),)},
            ),
            lines(
                over_time({"in use": f"sum({_IN_USE})", "there": "sum(stepsize:host_cores:max)"}),
                "Cores",
                "Of all hosts.",
                CORES,
                {"in use": USED, "there": ASKED},
            ),
            lines(
                over_time({"in use": f"sum({_USED})", "there": "sum(stepsize:host_memory_bytes:max)"}),
                "Memory",
                "Of all hosts.",
                BYTES,
                {"in use": USED, "there": ASKED},
            ),
            table(
                "Hosts and packing, the least busy first",
                "The 200 least busy. Asked for now: by attempts that run there, of what the host has.",
                {
                    "Cores busy, mean": _LEAST_BUSY,
                    "Cores": _host("last_over_time(stepsize:host_cores:max[$__range])"),
                    "Memory": _host("last_over_time(stepsize:host_memory_bytes:max[$__range])"),
                    "Memory used, most": _host(
                        "max_over_time(stepsize:host_memory_used_bytes:max[$__range])"
                        " / on (host_name) last_over_time(stepsize:host_memory_bytes:max[$__range])"
                    ),
                    "Cores asked for now": _host(f"{_asked('cpu')} / on (host_name) stepsize:host_cores:max"),
                    "Memory asked for now": _host(
                        f"{_asked('memory_bytes')} / on (host_name) stepsize:host_memory_bytes:max"
                    ),
                },
                {
                    "Cores busy, mean": SHARE,
                    "Memory": BYTES,
                    "Memory used, most": SHARE,
                    "Cores asked for now": SHARE,
                    "Memory asked for now": SHARE,
                },
                labels=("host_name",),
                by="Cores busy, mean",
                rising=True,
            ),
        ),
        "GPUs": (
            table(
                "GPUs, the least busy first",
                "The 200 least busy. Idle: the share of the time below 5 %.",
                {
                    "Busy, mean": _LEAST_BUSY_GPUS,
                    "Idle, of the time": _gpu("avg_over_time(stepsize:gpu_idle:ratio[$__range])"),
                    "Memory, most": _gpu("max_over_time(stepsize:gpu_memory_used_bytes:max[$__range])"),
                    "Memory": _gpu("last_over_time(stepsize:gpu_memory_bytes:max[$__range])"),
                },
                {"Busy, mean": SHARE, "Idle, of the time": SHARE, "Memory, most": BYTES, "Memory": BYTES},
                labels=_DEVICE,
                by="Busy, mean",
                rising=True,
                levels={"Idle, of the time": _IDLE},
            ),
        ),
    },
)
