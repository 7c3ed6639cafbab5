"""What Metaflow itself makes of a flow's source: it is loaded, and its decorators merge what they say."""

from __future__ import annotations

import importlib.util
import itertools
import sys
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

from metaflow import FlowSpec

if TYPE_CHECKING:
    from pathlib import Path

S3 = SimpleNamespace(TYPE="s3")
_NUMBERS = itertools.count()
_DEFAULTS = {"cpu": 1.0, "memory": 4096.0}


def asked(path: Path) -> dict[tuple[str, str], dict[str, float]]:
    """(flow, step) → what it asks for, of every flow in a file; what nobody asks for is absent."""
    name = f"flow_of_a_test_{next(_NUMBERS)}"
    specification = importlib.util.spec_from_file_location(name, path)
    assert specification is not None
    assert specification.loader is not None
    module = importlib.util.module_from_spec(specification)
    sys.modules[name] = module
    try:
        specification.loader.exec_module(module)
        flows = [one for one in vars(module).values() if isinstance(one, type) and issubclass(one, FlowSpec)]
        return {
            (flow.__name__, node.name): _merged(getattr(flow, node.name).decorators)
            for flow in flows
            if flow is not FlowSpec
            for node in flow._graph
        }
    finally:
        del sys.modules[name]


def _merged(decorators: list[Any]) -> dict[str, float]:
    by_name = {decorator.name: decorator for decorator in decorators}
    for decorator in decorators:
        decorator.external_init()
    chosen = by_name.get("resources")
    for name in ("kubernetes", "batch"):
        if name in by_name:
            chosen = by_name[name]
            chosen.step_init(None, None, "a step", decorators, None, S3, None)
    attributes = {} if chosen is None else chosen.attributes
    found = {key: attributes.get(key) for key in ("cpu", "memory", "gpu", "disk")}
    numbers = {key: float(value) for key, value in found.items() if value is not None}
    timeout = {"timeout": float(by_name["timeout"].secs)} if "timeout" in by_name else {}
    return {**_DEFAULTS, **numbers, **timeout}
