"""``stepsize catalog``: what the catalogue of servers and prices holds, and a newer one.

What comes in: options. What goes out: text; with ``update``, a newer catalogue in the data directory. The files that
came with the package are never changed.
"""

from __future__ import annotations

from dataclasses import asdict
from datetime import date, datetime, timezone
from typing import TYPE_CHECKING

import click

from stepsize.errors import UnavailableError, UsageError

if TYPE_CHECKING:
    from stepsize.analyzer.catalog.contents import PartContents, VendorContents


@click.group("catalog")
def command() -> None:
    """Show what servers and prices are known, and how old they are; fetch newer ones."""


@command.command("show")
@click.option("--format", "form", type=click.Choice(["table", "json"]), default="table", show_default=True)
def show(*, form: str) -> None:
    """Show what the catalogue in use holds of each vendor, and in which parts."""
    from stepsize.analyzer.catalog import place  # noqa: PLC0415 - `--help` stays quick
    from stepsize.analyzer.catalog.contents import contents, part_contents  # noqa: PLC0415 - as above

    directory = place.directory()
    found = contents(directory)
    if form == "json":
        from stepsize.analyzer.formats.json_text import as_json  # noqa: PLC0415 - as above

        click.echo(as_json(map(asdict, found)), nl=False)
        return
    today = datetime.now(timezone.utc).date()
    origin = "came with stepsize" if directory == place.shipped() else "from `stepsize catalog update`"
    click.echo(f"{directory} ({origin})\n")
    for line in _table(found, today):
        click.echo(line)
    for part in part_contents(directory):
        click.echo(_part(part))


def _table(found: list[VendorContents], today: date) -> list[str]:
    from stepsize.analyzer.formats.aligned import folded  # noqa: PLC0415 - as above

    numbers = ("servers", "priced", "ondemand", "spot", "listed", "repaired", "derived", "days old")
    rows = [
        (
            vendor.vendor_id,
            *(f"{count:,}" for count in (vendor.servers, vendor.servers_priced, vendor.prices_ondemand)),
            *(f"{count:,}" for count in (vendor.prices_spot, vendor.prices_listed, vendor.prices_repaired)),
            f"{vendor.prices_derived:,}",
            _age(vendor, today),
        )
        for vendor in found
    ]
    sources = sorted({source for vendor in found for source in vendor.sources})
    oldest = min((vendor.prices_oldest for vendor in found if vendor.prices_oldest), default=None)
    newest = max((vendor.prices_newest for vendor in found if vendor.prices_newest), default=None)
    return [
        *folded([("vendor", *numbers), *rows], numbers),
        "",
        f"Prices of {_span(oldest, newest)}.",
        f"Sources: {', '.join(sources)}.",
    ]


def _age(vendor: VendorContents, today: date) -> str:
    """Days since a vendor's prices were seen, the newest first; empty where it has none."""
    days = [
        max(0, (today - date.fromisoformat(day)).days)
        for day in (vendor.prices_newest, vendor.prices_oldest)
        if day is not None
    ]
    return "-".join(map(str, dict.fromkeys(days)))


def _part(part: PartContents) -> str:
    where = f"{part.name}/" if part.name else "Here"
    counts = f"{part.servers:,} servers, {part.prices:,} prices, {part.regions:,} regions"
    return f"{where}: {counts} under {', '.join(part.licences) or 'no licence'}."


def _span(oldest: str | None, newest: str | None) -> str:
    return "no day" if oldest is None else oldest if oldest == newest else f"{oldest} to {newest}"


@command.command("update")
@click.option(
    "--source",
    "sources",
    multiple=True,
    metavar="NAME",
    help="sparecores, azure, aws; may be repeated. [default: sparecores, then azure]",
)
@click.option(
    "--region",
    "regions",
    multiple=True,
    metavar="NAME",
    help="Of aws: regions, may be globs; hundreds of MB each. [default: us-east-1]",
)
@click.option(
    "--url", "urls", multiple=True, metavar="SOURCE=URL", help="Where a source is, if not at its own address: a mirror."
)
def update(*, sources: tuple[str, ...], regions: tuple[str, ...], urls: tuple[str, ...]) -> None:
    """Fetch newer servers and prices, check them, and use them from now on.

    What fails leaves the catalogue as it is, and what came is taken up by the next update. Exit code 1 where a source
    failed, even if others were used.
    """
    from stepsize.analyzer.catalog import place  # noqa: PLC0415 - `--help` stays quick
    from stepsize.analyzer.catalog import update as updates  # noqa: PLC0415 - as above
    from stepsize.settings import Settings  # noqa: PLC0415 - as above

    if regions and "aws" not in sources:
        raise UsageError("--region is of --source aws; add it, or leave the region away")
    request = updates.Request(
        sources=sources or updates.DEFAULT_SOURCES,
        urls=dict(map(_address, urls)),
        aws_regions=regions or ("us-east-1",),
    )
    outcome = updates.update(place.home(Settings.load()), request, datetime.now(timezone.utc))
    for source, servers, prices in outcome.stated:
        click.echo(f"{source}: {servers:,} servers, {prices:,} prices")
    if outcome.left_out:
        click.echo(f"{outcome.left_out:,} prices that contradict the sizes of their family are left out")
    if outcome.unread:
        click.echo(f"{outcome.unread:,} rows that cannot be read are left out")
    click.echo(f"In use from now on: {outcome.directory}")
    if outcome.failed:
        raise UnavailableError(f"not all came: {'; '.join(outcome.failed)}")


def _address(text: str) -> tuple[str, str]:
    source, equals, url = text.partition("=")
    if not equals or not url.startswith(("http://", "https://")):
        raise UsageError(f"--url {text}: write SOURCE=https://...")
    return source, url
