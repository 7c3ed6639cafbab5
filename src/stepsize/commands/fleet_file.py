"""``--fleet FILE``: the option, and the catalogue of what the file allows; what cannot be considered is said.

What comes in: a path. What goes out: a :class:`Catalog`; lines on standard error.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from stepsize.errors import UsageError

if TYPE_CHECKING:
    from stepsize.analyzer.matching import Catalog
    from stepsize.analyzer.matching.fleet import Fleet

_LARGEST_BYTES = 1 << 19
"""More than every type of the catalogue by name; YAML takes a second for each 100 kB."""

fleet_option = click.option(
    "--fleet",
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    metavar="FILE",
    help="Only servers that FILE allows: Karpenter NodePools, or names of types.",
)
"""For every command that names servers."""


def open_catalog(path: Path | None) -> Catalog:
    """The catalogue in use, of the servers in the file alone where one is named.

    Raises:
        UsageError: the file cannot be read, or is no fleet.
        DataError: the catalogue cannot be read.
    """
    from stepsize.analyzer.catalog import place  # noqa: PLC0415 - `--help` and wrong usage stay quick
    from stepsize.analyzer.matching import Catalog  # noqa: PLC0415 - as above

    if path is None:
        return Catalog.open(place.directory())
    fleet = _read(path)
    catalog = Catalog.open(place.directory(), fleet)
    for name in catalog.unpriced(fleet):
        click.echo(f"stepsize: {fleet.name}: no price of {name} is known: it is not offered", err=True)
    return catalog


def _read(path: Path) -> Fleet:
    from stepsize.analyzer.matching.fleet import parse  # noqa: PLC0415 - whoever has no fleet need not wait for it

    try:
        with path.open("rb") as file:
            content = file.read(_LARGEST_BYTES + 1)
        if len(content) > _LARGEST_BYTES:
            raise UsageError(f"{path} is larger than {_LARGEST_BYTES >> 10} KiB, as no fleet is; name types by globs")
        fleet = parse(content.decode(), path.name)
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"cannot read {path}: {error}") from None
    for label in fleet.not_considered:
        click.echo(f"stepsize: {fleet.name}: {label} is not considered: the catalogue does not have it", err=True)
    return fleet
