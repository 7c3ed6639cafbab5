"""A flow's servers are the cheapest set there is, and what is written of it is what platforms take."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from datetime import date
from itertools import combinations
from typing import Any

import botocore.session
import pytest
import yaml
from botocore.validate import validate_parameters
from hypothesis import given, settings
from hypothesis import strategies as st

from stepsize.analyzer.formats.plans import render
from stepsize.analyzer.matching import Catalog, Need, Work, flows
from stepsize.analyzer.matching.fleet import parse
from stepsize.analyzer.matching.flows import FlowPlan, plan
from stepsize.errors import UsageError

TODAY = date(2026, 11, 22)
FLEET = "c7g.large c7g.xlarge c7g.4xlarge m7g.large m7g.2xlarge r7g.large r7g.4xlarge g5g.xlarge"


@pytest.fixture(scope="module")
def small() -> Iterator[Catalog]:
    """Eight types, in the regions that have them."""
    with Catalog.open(fleet=parse(FLEET, "fleet")) as catalog:
        yield catalog


def work(cpu: float, memory_mib: float, seconds: float = 600, tasks: int = 1, **more: Any) -> Work:
    return Work(Need(cpu, memory_mib, **({"regions": ("us-east-1", "eu-west-1")} | more)), seconds, tasks)


WORKS = st.lists(
    st.builds(
        work,
        cpu=st.sampled_from([0.5, 1, 3, 8, 15]),
        memory_mib=st.sampled_from([500.0, 5000.0, 14_000.0, 100_000.0]),
        seconds=st.sampled_from([10.0, 600.0, 9000.0]),
        tasks=st.sampled_from([1, 5, 60]),
    ),
    min_size=1,
    max_size=5,
)


def least_of_all_sets(catalog: Catalog, works: list[Work], types: int) -> float:
    """What all sets of so many types cost in each region, tried one by one."""
    costs = [{(p.offer.region, p.offer.server_id): p.cost for p in catalog.everywhere(each)} for each in works]
    return min(
        sum(min(of_step.get((region, name), math.inf) for name in names) for of_step in costs)
        for region in ("us-east-1", "eu-west-1")
        for names in combinations(FLEET.split(), types)
    )


@settings(max_examples=8, deadline=None)
@given(works=WORKS, types=st.integers(1, 4), most=st.sampled_from([1, 3, 20]))
def test_no_set_of_types_is_cheaper(small: Catalog, works: list[Work], types: int, most: int) -> None:
    """Of all sets of so many types in all regions none costs less, and a type more never costs more.

    Where sets are too many to try, what is found is one that there is, and the cheapest if it is called proven.
    """
    named = {f"step{i}": each for i, each in enumerate(works)}
    least = least_of_all_sets(small, works, types)
    found, more = plan(small, named, types), plan(small, named, types + 1)
    if math.isinf(least):
        assert found is None
        return
    assert found is not None
    assert more is not None
    assert found.exact
    assert found.cost == pytest.approx(least)
    assert more.cost <= found.cost * (1 + 1e-9)
    assert len(found.types) <= types
    assert {step.packed.offer.region for step in found.steps} == {found.region}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(flows, "MOST_SETS", most)
        tried = plan(small, named, types)
    assert tried is None or tried.cost >= least * (1 - 1e-9)
    assert tried is None or not tried.exact or tried.cost == pytest.approx(least)


def test_many_types_for_many_steps_over_the_whole_catalogue() -> None:
    """Ten unlike steps on six types of the whole catalogue are planned, proven or not, no dearer than on one type."""
    sizes = [(1, 900), (2, 3000), (3, 20_000), (7, 9000), (8, 60_000), (15, 30_000), (1, 60_000), (30, 50_000)]
    works = {f"step{i}": work(cpu, mib, regions=("us-east-1",)) for i, (cpu, mib) in enumerate(sizes)}
    works |= {
        "gpu": work(2, 8000, gpu=1, regions=("us-east-1",)),
        "map": work(2, 6000, tasks=500, regions=("us-east-1",)),
    }
    with Catalog.open() as catalog:
        found, one = plan(catalog, works, 6), plan(catalog, works, 1)
    assert found is not None
    assert one is not None
    assert len(found.types) <= 6
    assert found.cost < one.cost
    assert found.cost == pytest.approx(sum(step.packed.cost for step in found.steps))


@pytest.fixture(scope="module")
def planned(small: Catalog) -> FlowPlan:
    found = plan(small, {"start": work(1, 900), "fit": work(8, 14_000, tasks=40)}, 2)
    assert found is not None
    return found


def test_the_table_and_json_say_what_a_run_costs(planned: FlowPlan) -> None:
    """Both say types, region and cost; the table how old its prices are."""
    text = render(planned, "table", "TrainFlow", TODAY)
    assert "days old" in text
    assert all(name in text for name in planned.types)
    assert max(map(len, text.splitlines())) <= 100
    record = json.loads(render(planned, "json", "TrainFlow", TODAY))
    assert record["cost_per_run"] == pytest.approx(sum(step["cost_per_run"] for step in record["steps"]))
    assert record["steps"][1]["offer"]["price_observed_at"] == "2025-03-02"


def test_the_node_pool_is_one_that_karpenter_takes(planned: FlowPlan) -> None:
    """It has the fields that the CRD of karpenter.sh/v1 requires, and read as a fleet it allows exactly the types."""
    text = render(planned, "karpenter", "Train Flow_2", TODAY)
    pool = yaml.safe_load(text)
    assert (pool["apiVersion"], pool["kind"]) == ("karpenter.sh/v1", "NodePool")
    assert pool["metadata"]["name"] == "train-flow-2"
    spec = pool["spec"]["template"]["spec"]
    assert set(pool["spec"]) <= {"template", "limits", "disruption", "weight"}
    assert set(spec["nodeClassRef"]) == {"group", "kind", "name"}
    assert all(set(line) == {"key", "operator", "values"} for line in spec["requirements"])
    assert all(isinstance(value, str) for line in spec["requirements"] for value in line["values"])
    assert pool["spec"]["disruption"]["consolidationPolicy"] in ("WhenEmpty", "WhenEmptyOrUnderutilized")
    assert "days old" in text
    with Catalog.open(fleet=parse(text, "pool")) as catalog:
        offers = catalog.cheapest(Need(0, 0), 100)
    assert {offer.server_id for offer in offers} == set(planned.types)
    assert {offer.region for offer in offers} == {planned.region}


def test_the_compute_environment_is_one_that_aws_batch_takes(planned: FlowPlan) -> None:
    """botocore's own model of CreateComputeEnvironment finds nothing to report."""
    request = json.loads(render(planned, "batch", "TrainFlow", TODAY))
    model = botocore.session.get_session().get_service_model("batch").operation_model("CreateComputeEnvironment")
    validate_parameters(request, model.input_shape)
    assert request["computeResources"]["instanceTypes"] == list(planned.types)
    assert request["computeResources"]["maxvCpus"] >= 40 * 8


def test_a_vendor_without_such_a_thing_is_refused() -> None:
    """Neither Karpenter's NodePool nor AWS Batch is written for Google's servers."""
    with Catalog.open() as catalog:
        found = plan(catalog, {"start": work(1, 900, vendors=("gcp",), regions=())}, 1)
    assert found is not None
    for form in ("karpenter", "batch"):
        with pytest.raises(UsageError, match="--vendor aws"):
            render(found, form, "F", TODAY)


def test_a_step_that_fits_nowhere_has_no_plan(small: Catalog) -> None:
    """One step that no type fits leaves the flow without a plan."""
    assert plan(small, {"start": work(1, 900), "huge": work(500, 900)}, 3) is None
