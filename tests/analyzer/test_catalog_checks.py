"""Each invariant of the catalogue finds what violates it, and nothing where nothing does."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from stepsize.analyzer.catalog.checks import violations
from stepsize.analyzer.catalog.rows import Tables


@pytest.fixture(scope="module")
def small(shipped: Tables) -> Tables:
    """A family with GPUs, a burstable one and one of each other vendor with shared cores, in one region each."""
    whole = shipped
    names = ("g4dn.", "t3.", "Standard_B2", "e2-")
    servers = tuple(row for row in whole.servers if row.api_reference.startswith(names))
    regions = tuple(row for row in whole.regions if row.api_reference in ("us-east-1", "eastus", "us-central1"))
    keys, places = {(r.vendor_id, r.server_id) for r in servers}, {(r.vendor_id, r.region_id) for r in regions}
    prices = [r for r in whole.prices if (r.vendor_id, r.server_id) in keys and (r.vendor_id, r.region_id) in places]
    return Tables(servers, tuple(prices), regions)


def changed(tables: Tables, part: str, name: str, **values: Any) -> Tables:
    """The tables with other values in the first row of ``part`` whose server is called so."""
    rows = list(getattr(tables, part))
    ids = {row.api_reference: row.server_id for row in tables.servers}
    place_of = next(i for i, row in enumerate(rows) if getattr(row, "server_id", None) == ids[name])
    rows[place_of] = replace(rows[place_of], **values)
    return replace(tables, **{part: tuple(rows)})


def test_what_holds_has_no_violation(small: Tables) -> None:
    """A part of what ships violates nothing."""
    assert len(small.prices) > 20
    assert violations(small) == []


@pytest.mark.parametrize(
    ("part", "name", "values", "words"),
    [
        ("prices", "t3.large", {"price": 0.0}, "is 0.0"),
        ("prices", "t3.large", {"price": float("nan")}, "is nan"),
        ("prices", "t3.large", {"price": float("inf")}, "is inf"),
        ("prices", "t3.large", {"price": 99.0}, "more than"),
        ("prices", "t3.large", {"region_id": "atlantis"}, "unknown region"),
        ("prices", "t3.large", {"server_id": "t3.giant"}, "unknown server"),
        ("prices", "t3.large", {"price_quality": "guessed"}, "guessed"),
        ("prices", "t3.large", {"observed_at": "lately"}, "no date"),
        ("prices", "t3.large", {"source": ""}, "no source or licence"),
        ("servers", "t3.large", {"licence": ""}, "no source or licence"),
        ("servers", "t3.large", {"cpu_allocation": "dedicated"}, "not marked burstable"),
        ("servers", "Standard_B2s", {"cpu_allocation": "dedicated"}, "not marked burstable"),
        ("servers", "e2-micro", {"cpu_allocation": "shared"}, "not marked burstable"),
        ("servers", "g4dn.xlarge", {"gpu_model": None}, "GPU without model"),
        ("servers", "g4dn.xlarge", {"gpu_memory_total": None}, "GPU without model"),
        ("servers", "t3.large", {"memory_amount": 0}, "no cpu or memory"),
        ("servers", "t3.large", {"server_id": "t3.xlarge"}, "is there 2 times"),
    ],
)
def test_what_does_not_hold_is_found(small: Tables, part: str, name: str, values: dict[str, Any], words: str) -> None:
    """One line names the row and what is wrong with it."""
    tables = changed(small, part, name, **values)
    if values.get("server_id") == "t3.xlarge":  # its price would be of an unknown server as well
        tables = replace(tables, prices=())
    assert any(words in line for line in violations(tables))


def test_an_unknown_gpu_is_marked_and_holds(small: Tables) -> None:
    """Where model and memory are not known the row says so, which is no violation."""
    unknown = {"gpu_model": None, "gpu_memory_min": None, "gpu_memory_total": None, "gpu_quality": "unknown"}
    assert violations(changed(small, "servers", "g4dn.xlarge", **unknown)) == []
