"""``--fleet FILE``: the option, and its file read; what of it cannot be considered is said.

What comes in: a path. What goes out: a :class:`Fleet`; lines on standard error.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from stepsize.errors import UsageError

if TYPE_CHECKING:
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


def read_fleet(path: Path | None) -> Fleet | None:
    """The fleet in the file, None without one.

    Raises:
        UsageError: it cannot be read, or is no fleet.
    """
    if path is None:
        return None
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
