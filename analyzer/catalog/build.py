"""Builds the catalogue: ``python -m stepsize.analyzer.catalog.build`` (``make catalog``).

What comes in: the packages of the extra ``catalog``, installed. What goes out: the Parquet files beside this module, or
in ``--out``, the rows of each licence in a part of their own; the same bytes each time. Needs no network, and writes
nothing where an invariant fails.
"""

from __future__ import annotations

import argparse
import re
import sys
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING

from stepsize.analyzer.catalog import checks, parquet, parts, prices, servers, sources
from stepsize.analyzer.catalog.rows import PriceRow, ServerRow, Tables
from stepsize.errors import DataError, StepsizeError

if TYPE_CHECKING:
    from collections.abc import Sequence

_AWS_REGION = re.compile(r"[a-z]{2}-[a-z]+-\d")
"""Names of regions that every customer of AWS may use: no government's, no local zone."""


def assemble(found: sources.Sources) -> Tables:
    """The catalogue of ``found``, checked.

    Raises:
        DataError: an invariant of :mod:`~stepsize.analyzer.catalog.checks` does not hold.
    """
    server_rows = servers.servers(found)
    region_rows = servers.regions(found)
    price_rows = _without_falling(server_rows, prices.prices(found.libcloud, server_rows, region_rows))
    if not region_rows:  # without Spare Cores the prices, AWS's alone, name them
        price_rows = tuple(row for row in price_rows if _AWS_REGION.fullmatch(row.region_id))
    tables = Tables(server_rows, price_rows, region_rows or parts.regions_of(price_rows))
    violated = checks.violations(tables)
    if violated:
        raise DataError(f"the catalogue does not hold: {violated[0]} (and {len(violated) - 1} more)")
    return tables


def _without_falling(server_rows: Sequence[ServerRow], price_rows: Sequence[PriceRow]) -> tuple[PriceRow, ...]:
    """Prices less those above a larger server's: one of the two is wrong, and nobody misses the dear one."""
    wrong = {small for small, _large in checks.falling(server_rows, price_rows)}
    return tuple(row for row in price_rows if row not in wrong)


def main(arguments: Sequence[str] | None = None) -> int:
    """Command line of the build; returns its exit code."""
    parser = argparse.ArgumentParser(prog="python -m stepsize.analyzer.catalog.build", description=__doc__)
    parser.add_argument("--out", type=Path, default=Path(__file__).parent, help="directory of the Parquet files")
    parser.add_argument("--without-share-alike", action="store_true", help="only the part under Apache-2.0: AWS")
    options = parser.parse_args(arguments)
    try:
        tables = assemble(sources.find(share_alike=not options.without_share_alike))
        sizes = parquet.write(tables, options.out)
    except StepsizeError as error:
        sys.stderr.write(f"{error}\n")
        return error.exit_code
    kinds = Counter((row.vendor_id, row.allocation, row.price_quality) for row in tables.prices)
    for (vendor, allocation, quality), count in sorted(kinds.items()):
        sys.stdout.write(f"{vendor} {allocation} {quality}: {count} prices\n")
    for name, size in sizes.items():
        sys.stdout.write(f"{name}.parquet: {size} bytes\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
