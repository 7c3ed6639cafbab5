"""``stepsize match``: the cheapest servers that fit a need.

What comes in: the need as options. What goes out: the offers on standard output; where nothing fits, one line on
standard error that says what would have to give, and exit code 1.
"""

from __future__ import annotations

from datetime import datetime, timezone

import click

from stepsize.errors import PermanentError
from stepsize.sizes import MIB, parse_size

_BYTES_PER_GB = 10**9


@click.command("match")
@click.option("--cpu", type=click.FloatRange(min=0), default=1.0, show_default=True, help="Cores at least.")
@click.option(
    "--memory", type=parse_size, metavar="SIZE", default="0", help="Memory at least: 8GiB, 512MB, or a number of MB."
)
@click.option("--gpu", type=click.IntRange(0, 10_000), default=0, show_default=True, help="Whole GPUs at least.")
@click.option(
    "--vram", type=parse_size, metavar="SIZE", default="0", help="GPU memory that the GPUs asked for hold together."
)
@click.option(
    "--disk",
    type=parse_size,
    metavar="SIZE",
    default="0",
    help="Storage on the server itself, not what can be attached.",
)
@click.option("--arch", help="x86_64 or arm64. [default: any]")
@click.option("--vendor", "vendors", multiple=True, help="Vendor, may be a glob; may be repeated. [default: any]")
@click.option("--region", "regions", multiple=True, help="Region, may be a glob; may be repeated. [default: any]")
@click.option("--spot", is_flag=True, help="Spot prices instead of on-demand ones.")
@click.option("--burstable/--no-burstable", default=True, show_default=True, help="Whether cores may be throttled.")
@click.option("--limit", type=click.IntRange(1, 1_000_000), default=5, show_default=True, help="Offers at most.")
@click.option(
    "--format",
    "form",
    type=click.Choice(["table", "json", "csv", "markdown"]),
    default="table",
    show_default=True,
    help="How to print them.",
)
def command(
    *,
    cpu: float,
    memory: int,
    gpu: int,
    vram: int,
    disk: int,
    arch: str | None,
    vendors: tuple[str, ...],
    regions: tuple[str, ...],
    spot: bool,
    burstable: bool,
    limit: int,
    form: str,
) -> None:
    """Find the cheapest servers that fit a need.

    Each server is listed once, in the region (of those asked for) where it costs least. Prices come from the catalogue
    that ships with stepsize: their age is shown, and whether they are as listed, repaired or derived.

    Example: stepsize match --cpu 4 --memory 16GiB --region 'eu-*' --no-burstable
    """
    from stepsize.analyzer.formats.offers import render  # noqa: PLC0415 - `--help` and wrong usage stay quick
    from stepsize.analyzer.matching import Catalog, Need  # noqa: PLC0415 - as above

    need = Need(
        cpu=cpu,
        memory_mib=memory / MIB,
        gpu=gpu,
        vram_mib=vram / MIB,
        disk_gb=disk / _BYTES_PER_GB,
        architecture=arch,
        vendors=vendors,
        regions=regions,
        allocation="spot" if spot else "ondemand",
        burstable=burstable,
    )
    with Catalog.open() as catalog:
        offers = catalog.cheapest(need, limit)
        click.echo(render(offers, form, datetime.now(timezone.utc).date()), nl=False)
        if not offers:
            ways = "; or ".join(str(way) for way in catalog.relaxations(need))
            raise PermanentError(f"no server fits: there would be one with {ways}")
