"""What a step asks for, read from its Metaflow decorators: how much of everything, and whether another machine.

What comes in: the step's decorators, once Metaflow has given them their values, and the environment. What goes out: a
`Request`, or the variable that tells a remote task what it is. Touches nothing.
"""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from stepsize.identity import Request

REMOTE = {"kubernetes": 10**6, "batch": 2**20}
"""Compute decorators and what each takes for a MB of memory."""
_DEPLOYING = frozenset({"airflow", "argo-workflows", "step-functions"})
"""Commands after which every step runs remotely: Metaflow attaches the decorator that says so later than ours."""
VARIABLE = "STEPSIZE_REQUEST"
"""Tells a pod what was asked for it; see `carried_request`."""
_LOCAL_MB = 10**6
_MIB, _GIB = 2**20, 2**30
_SECONDS = {"hours": 3600, "minutes": 60, "seconds": 1}


def is_remote(decorators: Sequence[Any], argv: Sequence[str]) -> bool:
    """Whether a step with these decorators runs on another machine, in a launch with this command line."""
    return any(decorator.name in REMOTE for decorator in decorators) or not _DEPLOYING.isdisjoint(argv)


def requested(decorators: Iterable[Any], environ: Mapping[str, str]) -> Request:
    """What the step asks for, as Metaflow merges it.

    ``@kubernetes`` and ``@batch`` ask for the larger of their own value and that of ``@resources``; elsewhere
    ``@resources`` is the request, or Metaflow's defaults. A MB is 10^6 bytes, on Batch 2^20. The timeout is that of
    ``@timeout``, and none without. What is written as something else than a number is not known.

    Sources: the ``step_init`` of both decorators, and what they make of it in ``kube_utils.qos_requests_and_limits``
    and ``batch_client``.
    """
    by_name = {decorator.name: decorator.attributes for decorator in decorators}
    target = next((name for name in REMOTE if name in by_name), None)
    if target == "kubernetes" and VARIABLE in environ:
        with suppress(ValueError, TypeError):
            return _read(environ[VARIABLE])
    return _merged(by_name, target)


def carried_request(decorators: Iterable[Any]) -> dict[str, str]:
    """The variable that a pod of the step needs; nothing for other steps.

    A pod does not see the site's METAFLOW_KUBERNETES_CPU, _MEMORY, _DISK and _SHARED_MEMORY, so what it merges again
    is not what was asked for it.
    """
    by_name = {decorator.name: decorator.attributes for decorator in decorators}
    if "kubernetes" not in by_name:
        return {}
    asked = _merged(by_name, "kubernetes")._asdict()
    # Without commas, quotes and the like, which Metaflow's command lines do not bring through whole.
    return {VARIABLE: "/".join(f"{name}:{value}" for name, value in asked.items() if value is not None)}


def _read(text: str) -> Request:
    from stepsize.identity import Request  # noqa: PLC0415 - absent in isolated interpreters

    pairs = (pair.split(":") for pair in text.split("/"))
    asked: dict[str, Any] = {name: int(value) if name.endswith("_bytes") else float(value) for name, value in pairs}
    return Request(**asked)


def _merged(by_name: Mapping[str, Mapping[str, Any]], target: str | None) -> Request:
    from stepsize.identity import (  # noqa: PLC0415 - absent in isolated interpreters
        METAFLOW_DEFAULT_CPU,
        METAFLOW_DEFAULT_MEMORY_MB,
        Request,
    )

    sources = [by_name[name] for name in (target, "resources") if name and name in by_name]
    megabyte = REMOTE[target] if target else _LOCAL_MB

    def given(key: str) -> list[Any]:
        return [source[key] for source in sources if source.get(key) is not None]

    def largest(values: list[Any], default: float | None = None) -> float | None:
        try:
            return max((float(value) for value in values), default=default)
        except (TypeError, ValueError):
            return None

    def devices(key: str) -> float | None:
        # On Kubernetes what `@resources` says of these replaces, it does not only raise.
        return largest(given(key)[-1:] if target == "kubernetes" else given(key))

    def in_bytes(value: float | None, unit: int) -> int | None:
        return None if value is None else round(value * unit)

    # Batch knows no disk but Fargate's ephemeral storage, in GiB.
    disk = ("ephemeral_storage", _GIB) if target == "batch" else ("disk", megabyte)
    return Request(
        cpu=largest(given("cpu"), METAFLOW_DEFAULT_CPU),
        memory_bytes=in_bytes(largest(given("memory"), METAFLOW_DEFAULT_MEMORY_MB), megabyte),
        gpu=devices("gpu"),
        disk_bytes=in_bytes(largest(given(disk[0])), disk[1]),
        shared_memory_bytes=in_bytes(devices("shared_memory"), _MIB),
        timeout_s=_timeout_s(by_name.get("timeout", {})),
    )


def _timeout_s(timeout: Mapping[str, Any]) -> float | None:
    """The parts of a ``@timeout``, which Metaflow adds up (its ``timeout_decorator.py``)."""
    try:
        parts = [int(timeout.get(unit) or 0) * seconds for unit, seconds in _SECONDS.items()]
    except (TypeError, ValueError):
        return None
    return float(sum(parts)) or None
