"""Which devices the variables leave to a process."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stepsize.instrumentation.agent.probes.gpu.reading import Device
from stepsize.instrumentation.agent.probes.gpu.visible import visible

FOUR = tuple(Device(f"GPU-{letter}{letter}", index, "One", "NVIDIA") for index, letter in enumerate("abcd"))
DIVIDED = (
    Device("MIG-1", 0, "Part", "NVIDIA", parent="GPU-aa"),
    Device("MIG-2", 0, "Part", "NVIDIA", parent="GPU-aa"),
    Device("GPU-bb", 1, "One", "NVIDIA"),
)
MIXED = (Device("GPU-aa", 0, "Slow", "NVIDIA"), Device("GPU-bb", 1, "Fast", "NVIDIA"))
AMD_MIXED = (Device("00", 0, "MI210", "AMD"), Device("11", 1, "MI300", "AMD"))
AMD = tuple(Device(f"{index}{index}", index, "MI", "AMD") for index in range(4))


def _left(devices: tuple[Device, ...], **environment: str) -> list[str]:
    return [device.id for device in visible(environment, devices)]


@pytest.mark.parametrize(
    ("told", "left"),
    [
        ("1", "b"),
        ("3,0", "da"),
        (" 2 , 1 ", "cb"),
        ("0,0", "a"),
        ("", ""),
        ("-1", ""),
        ("NoDevFiles", ""),
        ("0,9,1", "a"),
        ("1,-1,2", "b"),
        ("GPU-cc", "c"),
        ("GPU-d,GPU-a", "da"),
        ("GPU-xx,GPU-aa", ""),
    ],
)
def test_a_list_of_places_or_names(told: str, left: str) -> None:
    """In the order told; what follows the first entry that is none does not count, as CUDA has it."""
    assert _left(FOUR, CUDA_VISIBLE_DEVICES=told) == [f"GPU-{letter}{letter}" for letter in left]


def test_without_a_variable_all_are_left() -> None:
    """Nothing is restricted that nobody restricted, and nobody else's variable restricts."""
    assert visible({}, FOUR + AMD) == FOUR + AMD
    assert visible({"ROCR_VISIBLE_DEVICES": "1"}, FOUR) == FOUR


def test_instances_are_named_alone_or_through_their_device() -> None:
    """A MIG UUID names one; the place or the UUID of the whole names what it was divided into."""
    assert _left(DIVIDED, CUDA_VISIBLE_DEVICES="MIG-2") == ["MIG-2"]
    assert _left(DIVIDED, CUDA_VISIBLE_DEVICES="0") == ["MIG-1", "MIG-2"]
    assert _left(DIVIDED, CUDA_VISIBLE_DEVICES="GPU-aa") == ["MIG-1", "MIG-2"]
    assert _left(DIVIDED, CUDA_VISIBLE_DEVICES="1") == ["GPU-bb"]


def test_places_among_unlike_devices_cannot_be_told() -> None:
    """CUDA counts the fastest first unless it is told to count as the bus does: all that may be meant are left."""
    assert _left(MIXED, CUDA_VISIBLE_DEVICES="0") == ["GPU-aa", "GPU-bb"]
    assert _left(MIXED, CUDA_VISIBLE_DEVICES="0", CUDA_DEVICE_ORDER="PCI_BUS_ID") == ["GPU-aa"]
    assert _left(MIXED, CUDA_VISIBLE_DEVICES="GPU-bb") == ["GPU-bb"]


def test_on_amd_the_second_variable_counts_among_what_the_first_leaves() -> None:
    """`ROCR_VISIBLE_DEVICES` is below `HIP_VISIBLE_DEVICES`."""
    assert _left(AMD, ROCR_VISIBLE_DEVICES="2,3", HIP_VISIBLE_DEVICES="1") == ["33"]
    assert _left(AMD, HIP_VISIBLE_DEVICES="0") == ["00"]


def test_on_amd_places_among_unlike_devices_can_be_told() -> None:
    """That the fastest comes first is CUDA's rule alone, and so is the variable that lifts it."""
    assert _left(AMD_MIXED, HIP_VISIBLE_DEVICES="1") == ["11"]
    assert _left(AMD_MIXED, ROCR_VISIBLE_DEVICES="0", CUDA_DEVICE_ORDER="FASTEST_FIRST") == ["00"]
    assert _left(MIXED + AMD_MIXED, CUDA_VISIBLE_DEVICES="0", HIP_VISIBLE_DEVICES="0") == ["GPU-aa", "GPU-bb", "00"]


@given(st.text(max_size=30), st.sampled_from([FOUR, DIVIDED, MIXED]))
def test_nonsense_leaves_a_part(told: str, devices: tuple[Device, ...]) -> None:
    """Whatever the variable holds, nothing is left that was not there, and nothing twice."""
    left = _left(devices, CUDA_VISIBLE_DEVICES=told)
    assert len(set(left)) == len(left)
    assert set(left) <= {device.id for device in devices}
