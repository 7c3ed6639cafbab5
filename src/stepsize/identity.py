"""Who an attempt is, what it asked for, how it ended, and the names of all that on the wire.

What comes in: nothing. What goes out: constants and frozen values. This is the part of `model`, where others find it,
that every tracked task imports: so it holds no table and no dataclass (`docs/decisions/0008`). Never does I/O, never
imports anything but the standard library. Each attribute of our own is declared here once.
"""

from __future__ import annotations

import uuid
from enum import Enum
from typing import TYPE_CHECKING, Any

from stepsize.named_tuple import NamedTuple

if TYPE_CHECKING:
    from collections.abc import Mapping

AttributeValue = str | bool | int | float


class Outcome(Enum):
    """How an attempt ended, each by named evidence."""

    OK = "ok"
    FAILED = "failed"
    KILLED = "killed"
    OOM = "oom"
    LOST = "lost"
    UNKNOWN = "unknown"


class Attr:
    """Resource and point attributes of our own; the rest are OpenTelemetry's semantic conventions."""

    FLOW = "stepsize.flow.name"
    RUN = "stepsize.run.id"
    STEP = "stepsize.step.name"
    TASK = "stepsize.task.id"
    ATTEMPT = "stepsize.task.attempt"
    ITEM = "stepsize.task.item"
    PROJECT = "stepsize.project"
    BRANCH = "stepsize.branch"
    USER = "stepsize.user"
    CODE_VERSION = "stepsize.code.version"
    RUN_ORIGIN = "stepsize.run.origin"
    TARGET = "stepsize.target"
    """What runs the attempt and gave it its resources: one of `Platform`."""
    ANNOTATION_PREFIX = "stepsize.annotation."
    REQUEST_CPU = "stepsize.request.cpu"
    REQUEST_MEMORY = "stepsize.request.memory"
    REQUEST_GPU = "stepsize.request.gpu"
    REQUEST_DISK = "stepsize.request.disk"
    REQUEST_SHARED_MEMORY = "stepsize.request.shared_memory"
    REQUEST_TIMEOUT = "stepsize.request.timeout"
    """Seconds after which an attempt is to be ended."""
    OUTCOME = "stepsize.outcome"
    SCOPE = "stepsize.scope"
    HOST_SPOT = "stepsize.host.spot"
    """Whether the cloud may take the machine away at short notice."""
    HOST_DEDICATED = "stepsize.host.dedicated"
    """Whether the physical machine is one customer's alone."""
    ENVIRONMENT_PREFIX = "process.environment_variable."
    """OpenTelemetry's name for a variable of the process's environment, before the variable's own."""
    PRESSURE = "stepsize.pressure"
    """On ``*.pressure.time``: whether ``some`` of the work stood still, or ``full``, all of it."""
    MEMORY_SOURCE = "stepsize.memory.source"
    """On `stepsize.task.memory.peak`: where the figure comes from (`vmhwm`, `cgroup`, `rusage`, `samples`); on
    `stepsize.task.gpu.memory.peak` the driver's `accounting`."""


class Origin:
    """Where a run came from: values of `Attr.RUN_ORIGIN`."""

    ADHOC = "adhoc"
    SCHEDULE = "schedule"
    EVENT = "event"
    UPSTREAM_RUN = "upstream run"


class Platform:
    """What runs an attempt and gives it what it asks for: values of `Attr.TARGET`."""

    KUBERNETES = "kubernetes"
    BATCH = "batch"
    """AWS Batch on EC2."""
    FARGATE = "fargate"
    SLURM = "slurm"
    GCP_BATCH = "gcp-batch"
    LOCAL = "local"
    """The machine of whoever started it: nothing was given out by request."""


THREAD_VARIABLES = (
    "OMP_NUM_THREADS",
    "OMP_THREAD_LIMIT",
    "MKL_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "GOTO_NUM_THREADS",
    "BLIS_NUM_THREADS",
    "VECLIB_MAXIMUM_THREADS",
    "NUMEXPR_NUM_THREADS",
    "NUMEXPR_MAX_THREADS",
    "NUMBA_NUM_THREADS",
    "POLARS_MAX_THREADS",
    "RAYON_NUM_THREADS",
    "JULIA_NUM_THREADS",
    "GOMAXPROCS",
)
"""Variables by which numeric libraries and languages are told how many threads to start."""


def thread_settings(environ: Mapping[str, str]) -> dict[str, AttributeValue]:
    """The resource attributes of the `THREAD_VARIABLES` that are set to a number, or to numbers with commas between.

    What else may stand in one is nobody's business, and says nothing of threads.
    """
    found: dict[str, AttributeValue] = {}
    for name in THREAD_VARIABLES:
        value = environ.get(name)
        if value and len(value) <= _LONGEST_COUNTS and all(map(_is_count, value.split(","))):
            found[Attr.ENVIRONMENT_PREFIX + name] = value.strip()
    return found


def _is_count(text: str) -> bool:
    """Whether it is a number in digits, with or without space around it."""
    text = text.strip()
    return text.isascii() and text.isdecimal()


_LONGEST_COUNTS = 64


class Request(NamedTuple):
    """What a step asked for; ``None`` where it is not known. Memory and disk in bytes.

    ``shared_memory_bytes`` is the size of /dev/shm, which is part of the memory asked for; ``timeout_s`` how long an
    attempt may run.
    """

    cpu: float | None = None
    memory_bytes: int | None = None
    gpu: float | None = None
    disk_bytes: int | None = None
    shared_memory_bytes: int | None = None
    timeout_s: float | None = None

    def attributes(self) -> dict[str, AttributeValue]:
        """The ``stepsize.request.*`` resource attributes, unknown ones left out."""
        pairs = (
            (Attr.REQUEST_CPU, self.cpu),
            (Attr.REQUEST_MEMORY, self.memory_bytes),
            (Attr.REQUEST_GPU, self.gpu),
            (Attr.REQUEST_DISK, self.disk_bytes),
            (Attr.REQUEST_SHARED_MEMORY, self.shared_memory_bytes),
            (Attr.REQUEST_TIMEOUT, self.timeout_s),
        )
        return {name: value for name, value in pairs if value is not None}


_NOTHING: Mapping[str, AttributeValue] = {}


class Identity(NamedTuple):
    """Which attempt of which task of which step of which run of which flow, and what is known about it."""

    flow: str
    run: str
    step: str
    task: str
    attempt: int = 0
    item: str | None = None
    project: str | None = None
    branch: str | None = None
    user: str | None = None
    code_version: str | None = None
    run_origin: str | None = None
    target: str | None = None
    request: Request = Request()
    annotations: Mapping[str, AttributeValue] = _NOTHING
    resource: Mapping[str, AttributeValue] = _NOTHING
    """Further resource attributes, as `OTEL_RESOURCE_ATTRIBUTES` gives them; ``service.name`` in them wins."""

    def by_name(self) -> dict[str, Any]:
        """Its fields by their names, the request's too: a named tuple is a list without names in JSON."""
        return {**self._asdict(), "request": self.request._asdict()}

    @classmethod
    def from_names(cls, content: Mapping[str, Any]) -> Identity:
        """What `by_name` gave, names that this version does not know left out.

        Raises:
            KeyError, TypeError, AttributeError: it is none.
        """
        known = {name: content[name] for name in cls._fields if name in content}
        asked = content.get("request", {})
        known["request"] = Request(**{name: asked[name] for name in Request._fields if name in asked})
        return cls(**known)

    @property
    def pathspec(self) -> str:
        """``flow/run/step/task``, as Metaflow writes it."""
        return f"{self.flow}/{self.run}/{self.step}/{self.task}"

    @property
    def instance_id(self) -> str:
        """``service.instance.id``: the same for the same attempt wherever it is computed."""
        name = f"stepsize:{self.pathspec}/{self.attempt}"
        # A file's name may hold bytes that are no text, which Python keeps as halves of characters.
        return str(uuid.uuid5(uuid.NAMESPACE_URL, name.encode("utf-8", "replace").decode()))

    def attributes(self) -> dict[str, AttributeValue]:
        """The attempt's resource attributes, unknown ones left out."""
        optional = (
            (Attr.ITEM, self.item),
            (Attr.PROJECT, self.project),
            (Attr.BRANCH, self.branch),
            (Attr.USER, self.user),
            (Attr.CODE_VERSION, self.code_version),
            (Attr.RUN_ORIGIN, self.run_origin),
            (Attr.TARGET, self.target),
        )
        return {
            Attr.FLOW: self.flow,
            Attr.RUN: self.run,
            Attr.STEP: self.step,
            Attr.TASK: self.task,
            Attr.ATTEMPT: self.attempt,
            **{name: value for name, value in optional if value is not None},
            **{Attr.ANNOTATION_PREFIX + key: value for key, value in self.annotations.items()},
            **self.request.attributes(),
            "service.name": self.flow,
            **self.resource,
            "service.instance.id": self.instance_id,
        }


METAFLOW_DEFAULT_CPU = 1.0
METAFLOW_DEFAULT_MEMORY_MB = 4096
"""What Metaflow's ``@resources`` asks for where a step says nothing (metaflow/plugins/resources_decorator.py)."""
BYTES_PER_MB = 10**6
"""A MB of ``@resources`` where the target is Kubernetes or unknown; AWS Batch takes MiB."""
