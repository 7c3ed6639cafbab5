"""EC2 prices are recovered from lists that err: by the other systems' lists and by the family's other sizes."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stepsize.analyzer.catalog.aws_prices import fee_rhel, fee_rhel_ha, fee_suse, on_demand

VCPUS = {"m9.large": 2, "m9.xlarge": 4, "m9.2xlarge": 8, "m9.4xlarge": 16, "m9.8xlarge": 32}
FEES = {"linux": lambda _vcpus: 0.0, "rhel": fee_rhel, "rhel_ha": fee_rhel_ha, "suse": fee_suse}
REGION = "us-east-1"


def lists(usd: dict[str, float], vcpus: dict[str, int] = VCPUS) -> dict[str, dict[str, dict[str, float]]]:
    """All four lists, without an error, of types at the Linux prices ``usd``."""
    return {
        name: {server: {REGION: round(price + fee(vcpus[server]), 4)} for server, price in usd.items()}
        for name, fee in FEES.items()
    }


def test_a_list_without_error_is_listed() -> None:
    """Where nothing contradicts the Linux list its prices are taken as they are."""
    usd = {server: 0.05 * vcpus for server, vcpus in VCPUS.items()}
    found = on_demand(lists(usd), VCPUS)
    assert {server: found[server, REGION].usd for server in usd} == pytest.approx(usd)
    assert {price.quality for price in found.values()} == {"listed"}


@given(
    unit=st.floats(0.02, 0.2),
    errors=st.lists(
        st.tuples(
            st.sampled_from(sorted(VCPUS)), st.sampled_from(sorted(FEES)), st.sampled_from(["zero", "dedicated"])
        ),
        max_size=3,
    ),
)
def test_up_to_three_errors_are_repaired(unit: float, errors: list[tuple[str, str, str]]) -> None:
    """Zeros and dedicated-tenancy prices in any three of twenty entries change no price by more than 0.5 %."""
    usd = {server: round(unit * vcpus, 4) for server, vcpus in VCPUS.items()}
    raw = lists(usd)
    for server, name, error in errors:
        fee = FEES[name](VCPUS[server])
        raw[name][server][REGION] = 0.0 if error == "zero" else round(usd[server] * 1.08 + fee, 4)
    found = on_demand(raw, VCPUS)
    for server, price in usd.items():
        assert found[server, REGION].usd == pytest.approx(price, rel=0.005)


def test_a_zero_is_never_a_price() -> None:
    """A type whose every entry is zero has no price; one with a single entry beside zeros has that one."""
    raw = lists({"m9.large": 0.1, "m9.xlarge": 0.2})
    for name in FEES:
        raw[name]["m9.large"][REGION] = 0.0
    for name in ("linux", "rhel", "suse"):
        raw[name]["m9.xlarge"][REGION] = 0.0
    found = on_demand(raw, VCPUS)
    assert ("m9.large", REGION) not in found
    assert found["m9.xlarge", REGION].usd == pytest.approx(0.2, rel=0.005)
    assert found["m9.xlarge", REGION].quality == "derived"


def test_a_family_without_a_line_is_repaired_by_its_witnesses() -> None:
    """GPU sizes do not cost in proportion: the lowest price that two lists state is taken, and marked repaired."""
    vcpus = {"g9.xlarge": 4, "g9.2xlarge": 8, "g9.12xlarge": 48}
    usd = {"g9.xlarge": 1.0, "g9.2xlarge": 1.2, "g9.12xlarge": 5.7}
    raw = lists(usd, vcpus)
    raw["linux"]["g9.12xlarge"][REGION] = 6.24
    found = on_demand(raw, vcpus)
    assert found["g9.12xlarge", REGION].usd == pytest.approx(5.7, rel=0.001)
    assert found["g9.12xlarge", REGION].quality == "repaired"
    assert found["g9.xlarge", REGION].quality == "listed"


def test_a_dedicated_price_on_which_two_lists_agree_is_seen_through() -> None:
    """Two lists may agree on the dedicated price: a third reading just 10 % below it tells the on-demand one."""
    vcpus = {"g9.xlarge": 4, "g9.2xlarge": 8, "g9.12xlarge": 48}
    raw = lists({"g9.xlarge": 1.0, "g9.2xlarge": 1.2, "g9.12xlarge": 5.7}, vcpus)
    for name in ("linux", "rhel"):
        raw[name]["g9.2xlarge"][REGION] = 1.2 * 1.1 + FEES[name](8)
    raw["suse"]["g9.2xlarge"][REGION] = 0.0
    price = on_demand(raw, vcpus)["g9.2xlarge", REGION]
    assert price.usd == pytest.approx(1.2, rel=0.001)
    assert price.quality == "repaired"


def test_the_announced_reduction_is_applied_and_marked() -> None:
    """P4, P5 and P5en prices from before June 2025 are lowered by what AWS announced, as derived."""
    found = on_demand(lists({"p4d.24xlarge": 32.7726}, {"p4d.24xlarge": 96}), {"p4d.24xlarge": 96})
    price = found["p4d.24xlarge", REGION]
    assert price.usd == pytest.approx(21.9576, rel=0.001)
    assert (price.quality, price.reduced) == ("derived", True)
