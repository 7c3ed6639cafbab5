"""Named tuples that cost next to nothing to declare, for what every tracked task imports.

What comes in: a class as one writes it for `typing.NamedTuple`. What goes out: at run time a subclass of `LightTuple`,
to type checkers the named tuple itself. `typing` writes each class's constructor as text and compiles it, and looks at
each annotation: 40 µs hot, 100 to 300 where it is done once. Here a class takes 7 µs hot, its annotations may be text
that nobody reads, and making an instance takes four times as long: so what is made at each sample keeps to `typing`
(`docs/decisions/0008`). Standard library only, and nothing of it that starts slowly.
"""

from __future__ import annotations

from functools import cache
from operator import itemgetter
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["LightTuple", "NamedTuple"]


@cache
def _value_at(index: int) -> property:
    """What reads the value there: the same for every class."""
    return property(itemgetter(index))


class _Declared(type):
    """Makes fields of a class's annotations, and of the values beside them their defaults."""

    def __new__(cls, name: str, bases: tuple[type, ...], namespace: dict[str, Any]) -> _Declared:
        declared = super().__new__(cls, name, bases, {**namespace, "__slots__": ()})
        fields = tuple(declared.__annotations__)  # of this class alone, whatever its bases have
        if fields:
            made = {
                "_fields": fields,
                "_field_defaults": {field: namespace[field] for field in fields if field in namespace},
                "__match_args__": fields,
                **{field: _value_at(index) for index, field in enumerate(fields)},
            }
            for attribute, value in made.items():
                setattr(declared, attribute, value)
        return declared


class LightTuple(tuple[Any, ...], metaclass=_Declared):
    """What `typing.NamedTuple` makes, as far as it is documented (collections, "namedtuple").

    A subclass without annotations has its parent's fields.
    """

    __slots__ = ()
    _fields = tuple[str, ...]()  # not annotated: it would be a field
    _field_defaults = dict[str, Any]()  # noqa: RUF012 - neither; nobody changes it

    def __new__(cls, *values: Any, **named: Any) -> Any:
        """One of these fields.

        Raises:
            TypeError: fields that have no default are missing, or there are no such fields.
        """
        left = cls._fields[len(values) :]
        if left:
            by_name = {**cls._field_defaults, **named}
            try:
                values += tuple([by_name[field] for field in left])
            except KeyError as missing:
                raise TypeError(f"{cls.__name__} needs {missing}") from None
        if named and not named.keys() <= set(left):
            raise TypeError(f"{cls.__name__} takes no {', '.join(named.keys() - set(left))} here")
        return cls._make(values)

    @classmethod
    def _make(cls, values: Iterable[Any]) -> Any:
        """One of the values of all fields, in their order.

        Raises:
            TypeError: they are not as many as there are fields.
        """
        made = tuple.__new__(cls, values)
        if len(made) != len(cls._fields):
            raise TypeError(f"{cls.__name__} has {len(cls._fields)} fields, not {len(made)}")
        return made

    def _replace(self, **named: Any) -> Any:
        """Another one with these fields changed.

        Raises:
            TypeError: there are no such fields.
        """
        return self._make({**self._asdict(), **named}.values())

    def _asdict(self) -> dict[str, Any]:
        """The values by the names of their fields."""
        return dict(zip(self._fields, self, strict=True))

    def __repr__(self) -> str:
        """As one would write it."""
        return f"{type(self).__name__}({', '.join([f'{name}={value!r}' for name, value in self._asdict().items()])})"

    def __getnewargs__(self) -> tuple[Any, ...]:
        """What `pickle` and `copy` make it anew from."""
        return tuple(self)


if TYPE_CHECKING:
    from typing import NamedTuple
else:
    NamedTuple = LightTuple
