"""Where a machine runs: against a local metadata service of each cloud, and against services that are none of them."""

from __future__ import annotations

import socket
import subprocess
import time
from typing import TYPE_CHECKING

import pytest

from stepsize.instrumentation.agent.place.finder import chosen, find
from stepsize.instrumentation.agent.place.firmware import suspects
from stepsize.instrumentation.agent.place.place import Place
from stepsize.instrumentation.agent.place.vendors import VENDORS
from stepsize.model import CLOUD_VENDORS
from stepsize.setting_values import CLOUDS
from tests.instrumentation.metadata import IMPOSTORS, SERVICES, Reply, serving
from tests.instrumentation.receiver import TIMEOUT_S

if TYPE_CHECKING:
    from pathlib import Path

    from tests.instrumentation.conftest import Place as Workplace
    from tests.instrumentation.receiver import Receiver

ALL = tuple(vendor.name for vendor in VENDORS)
EXPECTED = {
    "aws": Place("aws", "eu-west-1", "eu-west-1b", "m5.large", spot=True),
    "gcp": Place("gcp", "europe-west1", "europe-west1-b", "n2-standard-8", spot=True),
    "azure": Place("azure", "westeurope", "2", "Standard_D4s_v5", spot=True),
    "hcloud": Place("hcloud", "eu-central", "nbg1-dc3"),
    "ovh": Place("ovh", zone="nova", instance_type="b3-8"),
    "upcloud": Place("upcloud", "de-fra1"),
    "alicloud": Place("alicloud", "cn-hangzhou", "cn-hangzhou-i", "ecs.g7.large"),
}


def test_every_row_has_a_test_and_a_source() -> None:
    """Nobody is added whose answer is not tested, or of whom it is not said where the vendor describes it."""
    assert set(EXPECTED) == set(ALL) == set(SERVICES)
    assert all(vendor.source for vendor in VENDORS)


@pytest.mark.parametrize("name", ALL)
def test_a_clouds_service_says_where_the_machine_runs(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Recognized by its own answers alone, though all vendors are asked for; a proxy is never used."""
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    with serving(SERVICES[name]) as (address, _):
        assert find(ALL, address=address, patience_s=TIMEOUT_S) == EXPECTED[name]


@pytest.mark.parametrize("name", IMPOSTORS)
def test_an_impostor_is_taken_for_nobody(name: str) -> None:
    """A service that has some of another's paths, or answers anything at all."""
    page = "<html>sign in</html>" if name == "a page for everything" else None
    with serving(IMPOSTORS[name], page=page) as (address, _):
        assert find(ALL, address=address, patience_s=TIMEOUT_S) is None


@pytest.mark.parametrize(
    ("vendor", "path", "answer", "field", "expected"),
    [
        ("aws", "/latest/meta-data/instance-life-cycle", "on-demand", "spot", False),
        ("aws", "/latest/meta-data/placement/host-id", "h-0a", "dedicated", True),
        ("alicloud", "/latest/meta-data/instance/spot/termination-time", "2026-01-01T00:00:00Z", "spot", True),
        ("ovh", "/latest/meta-data/instance-type", "<html>no</html>", "instance_type", None),
    ],
)
def test_spot_and_dedicated_are_what_the_service_says(
    vendor: str, path: str, answer: str, field: str, expected: object
) -> None:
    """What it does not say is not known; what cannot be a name is none."""
    with serving({**SERVICES[vendor], ("GET", path): Reply(answer)}) as (address, _):
        assert getattr(find(ALL, address=address, patience_s=TIMEOUT_S), field) == expected


def test_services_that_hang_cost_no_more_than_the_patience() -> None:
    """All are asked at once; one that takes connections and never answers is left behind."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        begun_s = time.monotonic()
        assert find(ALL, address=f"http://127.0.0.1:{silent.getsockname()[1]}", patience_s=0.3) is None
        assert time.monotonic() - begun_s < 1


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        ({"sys_vendor": "Amazon EC2"}, ("aws",)),
        ({"sys_vendor": "Xen", "bios_version": "4.11.amazon"}, ("aws",)),
        ({"sys_vendor": "Google", "product_name": "Google Compute Engine"}, ("gcp",)),
        (
            {"sys_vendor": "Microsoft Corporation", "chassis_asset_tag": "7783-7084-3265-9085-8269-3286-77"},
            ("azure",),
        ),
        ({"sys_vendor": "Microsoft Corporation", "product_name": "Virtual Machine"}, ()),  # Hyper-V at home
        ({"sys_vendor": "Hetzner", "product_name": "vServer"}, ("hcloud",)),
        ({"sys_vendor": "OpenStack Foundation", "product_name": "OpenStack Nova"}, ("ovh",)),
        ({"sys_vendor": "UpCloud"}, ("upcloud",)),
        ({"sys_vendor": "Alibaba Cloud", "product_name": "Alibaba Cloud ECS"}, ("alicloud",)),
        ({"sys_vendor": "LENOVO", "product_name": "20XW"}, ()),
        ({"sys_vendor": "QEMU", "product_name": "Standard PC"}, ()),
        ({}, ()),
    ],
)
def test_the_firmware_says_whom_to_ask(tmp_path: Path, files: dict[str, str], expected: tuple[str, ...]) -> None:
    """So that nothing is asked on a machine that is no cloud's."""
    for name, text in files.items():
        (tmp_path / name).write_text(f"{text}\n")
    assert suspects({}, tmp_path, tmp_path / "none") == expected


def test_the_setting_decides_before_the_firmware(tmp_path: Path) -> None:
    """`off` asks nobody, a name asks that one; containers without a firmware's table may know by a variable."""
    assert chosen("off", {"AWS_EXECUTION_ENV": "x"}) == ()
    assert chosen("gcp", {"AWS_EXECUTION_ENV": "x"}) == ("gcp",)
    assert suspects({"ECS_CONTAINER_METADATA_URI_V4": "http://x"}, tmp_path, tmp_path / "none") == ("aws",)
    with serving(SERVICES["aws"]) as (address, asked):
        assert find(chosen("off", {}), address=address) is None
        assert asked == []


def test_every_cloud_of_the_setting_is_in_the_table() -> None:
    """Under the catalogue's name; OpenTelemetry's own where that differs goes over the wire."""
    assert ALL == CLOUDS
    providers = {name: Place(name).attributes()["cloud.provider"] for name in ALL}
    assert {CLOUD_VENDORS.get(str(provider), provider) for provider in providers.values()} == set(ALL)
    assert (providers["alicloud"], providers["hcloud"]) == ("alibaba_cloud", "hetzner")


def test_attempts_and_their_host_carry_the_place(place: Workplace, receiver: Receiver) -> None:
    """Found by the agent beside its sampling, in the resource of everything that it sends."""
    with serving(SERVICES["aws"]) as (address, _):
        settings = place.settings(endpoint=receiver.endpoint, cloud="aws", cloud_metadata=address)
        process = place.start(settings, "placed", "sys.stdin.read()", stdin=subprocess.PIPE)
        # Found a moment after the agent began: what was sealed before says nothing of it.
        found = receiver.wait(lambda: [p for p in receiver.of("system.memory.limit") if "host.type" in p.resource])
        process.communicate()
        resource = receiver.end("placed").resource
    expected = {
        "cloud.provider": "aws",
        "cloud.region": "eu-west-1",
        "cloud.availability_zone": "eu-west-1b",
        "host.type": "m5.large",
        "stepsize.host.spot": True,
    }
    assert expected.items() <= resource.items()
    assert expected.items() <= found[0].resource.items()
