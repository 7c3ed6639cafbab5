"""What attributes say of an attempt besides its figures: request, host, annotations and so on.

What comes in: attributes of a resource or of a point. What goes out: columns of ``tasks``. Never does I/O.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from stepsize import model
from stepsize.collector.decode.values import json_text
from stepsize.collector.rollup.bounds import figure
from stepsize.identity import THREAD_VARIABLES
from stepsize.model import Attr

if TYPE_CHECKING:
    from collections.abc import Mapping

# Attribute → column of `tasks`. Which of them is newest counts: annotations and hosts become known late.
TEXTS: Mapping[str, str] = {
    Attr.ITEM: "item",
    Attr.CODE_VERSION: "code_version",
    Attr.RUN_ORIGIN: "run_origin",
    Attr.TARGET: "target",
    Attr.PROJECT: "project",
    Attr.BRANCH: "branch",
    Attr.USER: "user",
    "host.name": "host",
    "cloud.provider": "cloud_vendor",
    "cloud.region": "cloud_region",
    "host.type": "instance_type",
}
NUMBERS: Mapping[str, str] = {
    Attr.REQUEST_CPU: "requested_cpu",
    Attr.REQUEST_MEMORY: "requested_memory_bytes",
    Attr.REQUEST_GPU: "requested_gpu",
    Attr.REQUEST_DISK: "requested_disk_bytes",
    Attr.REQUEST_TIMEOUT: "requested_timeout_s",
}
FLAGS: Mapping[str, str] = {
    Attr.HOST_SPOT: "instance_spot",
    Attr.HOST_DEDICATED: "instance_dedicated",
}
_TRUTH: Mapping[str, bool] = {"true": True, "false": False}
"""Flags by their text: what comes from `OTEL_RESOURCE_ATTRIBUTES` is always text."""
_THREADS: Mapping[str, str] = {Attr.ENVIRONMENT_PREFIX + name: name for name in THREAD_VARIABLES}
_NAMES = frozenset((*TEXTS, *NUMBERS, *FLAGS))


def describes(attributes: Mapping[str, Any]) -> bool:
    """Whether they say anything of this kind."""
    return any(name in _NAMES or name.startswith(Attr.ANNOTATION_PREFIX) for name in attributes)


def describe(described: dict[str, Any], attributes: Mapping[str, Any]) -> None:
    """Add what ``attributes`` say to the columns that are known."""
    for name, column in TEXTS.items():
        if (text := attributes.get(name)) is not None:
            described[column] = _text(text)
    if "cloud_vendor" in described:  # as the catalogue has it, so that prices can be found
        described["cloud_vendor"] = model.CLOUD_VENDORS.get(described["cloud_vendor"], described["cloud_vendor"])
    for name, column in NUMBERS.items():
        if (number := figure(name, attributes.get(name))) is not None:
            described[column] = round(number) if column.endswith("_bytes") else number
    for name, column in FLAGS.items():
        if (flag := _TRUTH.get(_text(attributes.get(name)))) is not None:
            described[column] = flag
    threads = {column: attributes[name] for name, column in _THREADS.items() if name in attributes}
    threads = {column: _text(count) for column, count in threads.items() if isinstance(count, (str, int, float))}
    if threads:
        described["thread_limits"] = {**described.get("thread_limits", {}), **threads}
    notes = {
        name.removeprefix(Attr.ANNOTATION_PREFIX): value
        for name, value in attributes.items()
        if name.startswith(Attr.ANNOTATION_PREFIX)
    }
    if notes:
        described["annotations"] = {**described.get("annotations", {}), **notes}


def _text(value: Any) -> str:
    """An attribute as text: what is none as JSON has it, which is how the exact points keep it."""
    return value if isinstance(value, str) else json_text(value)
