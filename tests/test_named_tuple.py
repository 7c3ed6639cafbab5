"""Named tuples that cost a task little: what they share with those of `typing`, shown on one class made both ways."""

from __future__ import annotations

import copy
import pickle
import typing

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stepsize.named_tuple import LightTuple

_NOTHING: tuple[int, ...] = ()


class Light(LightTuple):
    """What the tests look at."""

    first: int
    second: Missing | None = None  # noqa: F821 - annotations are read by nobody
    third: tuple[int, ...] = _NOTHING

    @property
    def doubled(self) -> int:
        """Of a method's kind."""
        return 2 * self.first


class Typed(typing.NamedTuple):
    """The same as `typing` makes it."""

    first: int
    second: object = None
    third: tuple[int, ...] = _NOTHING


class Heir(Light):
    """Without fields of its own."""


VALUES = st.lists(st.integers(), max_size=4)
NAMED = st.dictionaries(st.sampled_from(["first", "second", "third", "fourth"]), st.integers())


@given(VALUES, NAMED)
def test_it_takes_and_refuses_what_a_named_tuple_does(values: list[int], named: dict[str, int]) -> None:
    """Values in their order or by name: too many, too few, twice and unknown ones are a `TypeError`."""
    try:
        expected = Typed(*values, **named)
    except TypeError:
        for kind in (Light, Heir):
            with pytest.raises(TypeError):
                kind(*values, **named)
        return
    made = Light(*values, **named)
    assert (made, made._asdict()) == (expected, expected._asdict())
    assert (made.first, made.second, made.third) == expected
    assert repr(made) == repr(expected).replace("Typed", "Light")


def test_it_can_be_copied_pickled_changed_and_matched() -> None:
    """As any named tuple, by an heir too, which keeps its class."""
    for kind in (Light, Heir):
        made = kind(1, third=(2,))
        for again in (copy.copy(made), copy.deepcopy(made), pickle.loads(pickle.dumps(made)), kind._make(made)):
            assert (again, type(again)) == (made, kind)
        changed = made._replace(first=3)
        assert (changed, type(changed), changed.doubled) == ((3, None, (2,)), kind, 6)
        match made:
            case Light(1, second, third=third):
                assert (second, third) == (None, (2,))
            case _:
                pytest.fail("not matched")


def test_what_is_no_field_cannot_be_changed_or_set() -> None:
    """Neither a name that there is none of, nor too few values, nor an attribute."""
    made = Light(1)
    with pytest.raises(TypeError):
        made._replace(fourth=4)
    with pytest.raises(TypeError):
        Light._make([1])
    for name in ("first", "fourth"):
        with pytest.raises(AttributeError):
            setattr(made, name, 2)


def test_its_fields_and_defaults_are_told() -> None:
    """Under the names that `typing` has for them."""
    for kind in (Light, Heir):
        assert (kind._fields, kind.__match_args__) == (Typed._fields, Typed.__match_args__)
        assert kind._field_defaults == Typed._field_defaults
