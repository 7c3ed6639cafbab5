"""What a run costs, on the catalogue that ships."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from stepsize.analyzer.costs import DAYS_PER_MONTH, Amounts, Costs, Quotes, price
from stepsize.analyzer.matching import Catalog, Need
from stepsize.analyzer.matching.fleet import parse
from stepsize.model import Outcome
from tests.analyzer.rows import MB, NOON, attempt, evidence, tasks

if TYPE_CHECKING:
    from collections.abc import Iterator

    from stepsize.analyzer.usage import Attempt

DAY_S = 86_400
ASKED = Amounts(cpu=8, memory_mb=32_000)
ADVISED = Amounts(cpu=2, memory_mb=4000)


@pytest.fixture(scope="module")
def catalog() -> Iterator[Catalog]:
    with Catalog.open() as opened:
        yield opened


def hourly(catalog: Catalog, cpu: float, memory_mb: float, **need: object) -> float:
    """The lowest price that the catalogue has for such a server, asked for directly."""
    mib = memory_mb * 10**6 / 2**20
    wanted = replace(Need(cpu, mib, architecture="x86_64", burstable=False), **need)  # type: ignore[arg-type] # fields
    return catalog.cheapest(wanted, limit=1)[0].price_hourly


def cost(catalog: Catalog, *attempts: Attempt, asked: Amounts = ASKED, advised: Amounts = ADVISED) -> Costs:
    return price(evidence(*attempts), asked, advised, Quotes(catalog))


def each_day(days: int) -> list[Attempt]:
    """One task of an hour in each of ``days`` runs, a day apart."""
    return [
        attempt(run=str(day), duration_s=3600.0, started_at_s=NOON.timestamp() + day * DAY_S) for day in range(days)
    ]


def test_a_run_costs_its_hours_on_the_cheapest_server_that_fits(catalog: Catalog) -> None:
    """All tasks of a run and every attempt, failed ones too; the mean over runs."""
    found = cost(catalog, *tasks([600] * 5, duration_s=3600.0), attempt(task="0", attempt=1, duration_s=3600.0))
    assert found.now == pytest.approx(6 * hourly(catalog, 8, 32_000))
    assert found.recommended == pytest.approx(6 * hourly(catalog, 2, 4000))
    assert found.currency == "USD"


def test_moments_do_not_say_that_a_run_would_take_longer(catalog: Catalog) -> None:
    """Four milliseconds on three cores are charged as they were."""
    seen = evidence(attempt(duration_s=0.004), cores={3.0: 0.004})
    found = price(seen, Amounts(cpu=1, memory_mb=4096), Amounts(cpu=1, memory_mb=720), Quotes(catalog))
    assert found.now == pytest.approx(0.004 / 3600 * hourly(catalog, 1, 4096))
    assert not any("as long" in reason for reason in found.reasons)


def test_servers_come_cheapest_first_and_fit(catalog: Catalog) -> None:
    """On demand, without burstable cores, of the architecture that images are built for."""
    servers = cost(catalog, attempt()).servers
    assert 1 <= len(servers) <= 3
    assert [offer.price_hourly for offer in servers] == sorted(offer.price_hourly for offer in servers)
    for offer in servers:
        assert (offer.allocation, offer.cpu_architecture) == ("ondemand", "x86_64")
        assert offer.vcpus >= 2
        assert offer.memory_mib * 2**20 >= 4000 * 10**6


def test_saving_per_month_takes_the_pace_of_the_runs_seen(catalog: Catalog) -> None:
    """One run a day for eleven days is thirty a month; the reason says from how many days."""
    found = cost(catalog, *each_day(11))
    assert found.now is not None
    assert found.recommended is not None
    assert found.saving_per_month == pytest.approx((found.now - found.recommended) * DAYS_PER_MONTH)
    assert any("11 runs in 10.0 days" in reason for reason in found.reasons)


def test_what_an_error_costs_is_said_with_how_many_are_to_be_expected(catalog: Catalog) -> None:
    """An hour on the server advised; at 100 in 1,000, one task a day makes three a month."""
    found = price(evidence(*each_day(11)), ASKED, ADVISED, Quotes(catalog), failures_expected_per_1000=100.0)
    assert found.failure == pytest.approx(hourly(catalog, 2, 4000))
    (told,) = [reason for reason in found.reasons if "runs out of memory" in reason]
    assert "and 1.00 hours, and its run; 3 of them are to be expected a month." in told


def test_attempts_that_more_memory_spares_are_not_charged_to_the_recommendation(catalog: Catalog) -> None:
    """Of two hours one was lost to 1,000 MB that were not enough; 4,000 are advised."""
    killed = attempt(attempt=0, duration_s=3600.0, outcome=Outcome.OOM, memory_limit_bytes=1000 * MB)
    again = attempt(attempt=1, duration_s=3600.0)
    asked = Amounts(cpu=2, memory_mb=1000)
    found = price(evidence(killed, again), asked, ADVISED, Quotes(catalog))
    assert found.now == pytest.approx(2 * hourly(catalog, 2, 1000))
    assert found.recommended == pytest.approx(hourly(catalog, 2, 4000))
    assert any("Of these 1.00 hours were attempts that ran out" in reason for reason in found.reasons)


def test_a_task_that_never_ended_well_still_costs_its_longest_attempt(catalog: Catalog) -> None:
    """Both attempts ran out of 1,000 MB, after half an hour and an hour: with enough it takes an hour at least."""
    killed = [
        attempt(attempt=number, duration_s=seconds, outcome=Outcome.OOM, memory_limit_bytes=1000 * MB)
        for number, seconds in enumerate((1800.0, 3600.0))
    ]
    found = price(evidence(*killed), Amounts(cpu=2, memory_mb=1000), ADVISED, Quotes(catalog))
    assert found.now == pytest.approx(1.5 * hourly(catalog, 2, 1000))
    assert found.recommended == pytest.approx(hourly(catalog, 2, 4000))


def test_what_hardly_costs_anything_is_not_said(catalog: Catalog) -> None:
    """A failed attempt of a second."""
    seen = evidence(attempt(duration_s=1.0))
    found = price(seen, ASKED, ADVISED, Quotes(catalog), failures_expected_per_1000=100.0)
    assert not any("runs out of memory" in reason for reason in found.reasons)


def test_one_run_shows_no_pace(catalog: Catalog) -> None:
    """What a run costs is known, what a month does is not, and the reason says so."""
    found = cost(catalog, *each_day(1))
    assert found.now is not None
    assert found.saving_per_month is None
    assert any("two are needed" in reason for reason in found.reasons)


def test_runs_within_an_hour_show_no_pace(catalog: Catalog) -> None:
    """Ten runs in ten minutes are somebody trying things out, not 43,000 a month."""
    runs = [attempt(run=str(n), started_at_s=NOON.timestamp() + 60 * n) for n in range(10)]
    found = cost(catalog, *runs)
    assert found.saving_per_month is None
    assert any("10 runs seen began within 9 min" in reason for reason in found.reasons)


def test_a_request_that_is_not_known_has_no_cost(catalog: Catalog) -> None:
    """Null with a reason, while the recommendation has its cost."""
    found = cost(catalog, *each_day(3), asked=Amounts())
    assert (found.now, found.saving_per_month) == (None, None)
    assert found.recommended == pytest.approx(hourly(catalog, 2, 4000))
    assert any("what it asked for is not known" in reason for reason in found.reasons)


def test_what_no_server_fits_has_no_cost(catalog: Catalog) -> None:
    """A price is never invented."""
    found = cost(catalog, attempt(), advised=Amounts(cpu=100_000, memory_mb=1))
    assert (found.now, found.recommended, found.servers) == (None, None, ())
    assert any("no server of the catalogue fits" in reason for reason in found.reasons)


def test_a_request_that_no_server_fits_still_has_a_cost_as_recommended(catalog: Catalog) -> None:
    """Someone asked for more than there is."""
    found = cost(catalog, attempt(), asked=Amounts(cpu=100_000, memory_mb=1))
    assert found.now is None
    assert found.recommended is not None
    assert found.servers


def test_durations_that_are_not_known_make_no_cost(catalog: Catalog) -> None:
    """Servers are named all the same."""
    found = cost(catalog, attempt(duration_s=None))
    assert (found.now, found.recommended) == (None, None)
    assert found.servers


def test_the_same_server_for_both_is_said_to_be_so(catalog: Catalog) -> None:
    """Saving nothing needs an explanation."""
    found = cost(catalog, *each_day(3), advised=Amounts(cpu=8, memory_mb=31_999))
    assert found.saving_per_month == pytest.approx(0)
    assert any("same server" in reason for reason in found.reasons)


def test_a_step_that_used_more_cores_than_it_asked_for_is_charged_for_the_longer_run(catalog: Catalog) -> None:
    """Its durations were those of eight cores; on the two it asked for it would take four times as long."""
    step = evidence(attempt(duration_s=3600.0, cpu_max=8.0), cores={8.0: 3600.0})
    found = price(step, Amounts(cpu=2, memory_mb=4000), Amounts(cpu=8, memory_mb=4000), Quotes(catalog))
    assert found.now == pytest.approx(4 * hourly(catalog, 2, 4000))
    assert found.recommended == pytest.approx(hourly(catalog, 8, 4000))
    assert any("4.0 times as long" in reason for reason in found.reasons)


def test_the_time_that_fewer_cores_take_is_charged_to_the_recommendation_too(catalog: Catalog) -> None:
    """Half of the time at eight cores, held to four: half as long again."""
    step = evidence(attempt(duration_s=3600.0, cpu_max=8.0), cores={8.0: 1800.0, 1.0: 1800.0})
    found = price(step, Amounts(cpu=8, memory_mb=4000), Amounts(cpu=4, memory_mb=4000), Quotes(catalog))
    assert found.recommended == pytest.approx(1.5 * hourly(catalog, 4, 4000))


def test_gpu_steps_are_matched_with_the_vram_they_used(catalog: Catalog) -> None:
    """One GPU rather than two; both need the VRAM that the step took."""
    advised = Amounts(cpu=4, memory_mb=8000, gpu=1, vram_mb=20_000)
    found = cost(catalog, attempt(duration_s=3600.0), asked=replace(advised, gpu=2, vram_mb=None), advised=advised)
    vram_mib = 20_000 * 10**6 / 2**20
    assert found.recommended == pytest.approx(hourly(catalog, 4, 8000, gpu=1, vram_mib=vram_mib))
    assert found.now == pytest.approx(hourly(catalog, 4, 8000, gpu=2, vram_mib=vram_mib))


@pytest.mark.parametrize("target", ["kubernetes", "batch", "slurm", None])
def test_what_ran_the_step_keeps_its_share_of_the_server(catalog: Catalog, target: str | None) -> None:
    """On Kubernetes and AWS Batch more of a server is left free than its system takes."""
    platform = target if target in ("kubernetes", "batch") else "machine"
    advised = Amounts(cpu=2, memory_mb=6500)
    found = cost(catalog, attempt(target=target, duration_s=3600.0), advised=advised)
    assert found.recommended == pytest.approx(hourly(catalog, 2, 6500, platform=platform))
    if target == "kubernetes":
        assert found.recommended > hourly(catalog, 2, 6500)


def nodes(terms: str, *types: str) -> str:
    """A NodePool of these types of Azure at these terms, in one region."""
    return f"""
kind: NodePool
spec:
  template:
    spec:
      nodeClassRef: {{group: karpenter.azure.com}}
      requirements:
      - {{key: karpenter.sh/capacity-type, operator: In, values: [{terms}]}}
      - {{key: topology.kubernetes.io/region, operator: In, values: [eastus]}}
      - {{key: node.kubernetes.io/instance-type, operator: In, values: [{", ".join(types)}]}}
"""


SMALL, LARGE = "Standard_D2s_v3", "Standard_D16s_v3"


def test_a_fleet_of_spot_servers_alone_is_charged_at_their_prices() -> None:
    """Costs, servers and saving are there, all at spot prices, and it is said."""
    with Catalog.open(fleet=parse(nodes("spot", SMALL, LARGE), "fleet")) as spot:
        small, large = (hourly(spot, cores, 4000, allocation="spot") for cores in (2, 16))
        found = cost(spot, *each_day(11))
    assert {offer.allocation for offer in found.servers} == {"spot"}
    assert (found.now, found.recommended) == (pytest.approx(large), pytest.approx(small))
    assert found.saving_per_month == pytest.approx((large - small) * DAYS_PER_MONTH)
    assert any("at a spot price of 20" in reason for reason in found.reasons)


def test_where_servers_on_demand_fit_spot_ones_do_not_count() -> None:
    """A fleet of both is charged on demand, as any catalogue that has spot prices too."""
    with Catalog.open(fleet=parse(nodes("on-demand, spot", SMALL, LARGE), "fleet")) as both:
        found = cost(both, *each_day(11))
        assert found.now == pytest.approx(hourly(both, 16, 32_000))
    assert {offer.allocation for offer in found.servers} == {"ondemand"}


def test_spot_prices_are_not_held_against_prices_on_demand() -> None:
    """Where only large servers may be spot ones, there is no saving, and the reason names both."""
    text = nodes("on-demand", SMALL) + "---" + nodes("spot", LARGE)
    with Catalog.open(fleet=parse(text, "fleet")) as mixed:
        found = cost(mixed, *each_day(11))
    assert (found.now, found.saving_per_month) == (None, None)
    assert "No saving: prices are in USD at spot prices and USD." in found.reasons
