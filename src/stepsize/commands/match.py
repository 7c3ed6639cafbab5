"""``stepsize match``: the cheapest servers that fit a need, or all steps of a flow.

What comes in: the need as options, or a flow whose needs are in the lake. What goes out: the offers on standard output;
where nothing fits, one line on standard error that says what would have to give, and exit code 1.
"""

from __future__ import annotations

import re
from datetime import date, datetime, timezone
from typing import TYPE_CHECKING, Any

import click

from stepsize.commands.fleet_file import fleet_option, open_catalog
from stepsize.errors import PermanentError, UsageError
from stepsize.sizes import MIB, parse_size

if TYPE_CHECKING:
    from stepsize.analyzer.matching import Catalog, Need

_BYTES_PER_GB = 10**9
_TARGETS = {
    "machine": "machine",
    "kubernetes": "kubernetes",
    "batch": "batch",
    "slurm": "machine",
    "gcp-batch": "machine",
    "none": "none",
}
"""``--target`` → whose share of a server is left free; names as ``stepsize report --target`` has them."""
_TARGET_OF = {"karpenter": "kubernetes", "batch": "batch"}
"""Format of a flow → the target that it is for."""
_OF_OFFERS = ("table", "json", "csv", "markdown")
_OF_FLOWS = ("table", "json", "karpenter", "batch")
_SECONDS = {"": 1, "s": 1, "m": 60, "h": 3600, "d": 86_400}


def _parse_duration(text: str) -> float:
    match = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([smhd]?)", text.strip().lower())
    if match is None:
        raise UsageError(f"{text!r} is no duration: write 90s, 20m, 1.5h, or a number of seconds")
    return float(match[1]) * _SECONDS[match[2]]


@click.command("match")
@click.argument("flow", required=False)
@click.option("--cpu", type=click.FloatRange(min=0), default=1.0, show_default=True, help="Cores at least.")
@click.option(
    "--memory", type=parse_size, metavar="SIZE", default="0", help="Memory at least: 8GiB, 512MB, or a number of MB."
)
@click.option("--gpu", type=click.IntRange(0, 10_000), default=0, show_default=True, help="Whole GPUs at least.")
@click.option(
    "--vram", type=parse_size, metavar="SIZE", default="0", help="GPU memory that the GPUs asked for hold together."
)
@click.option("--gpu-model", "gpu_models", multiple=True, help="GPU model, may be a glob; may be repeated.")
@click.option(
    "--disk",
    type=parse_size,
    metavar="SIZE",
    default="0",
    help="Storage on the server itself, not what can be attached.",
)
@click.option("--arch", help="x86_64 or arm64. [default: any; x86_64 for a flow]")
@click.option("--vendor", "vendors", multiple=True, help="Vendor, may be a glob; may be repeated. [default: any]")
@click.option("--region", "regions", multiple=True, help="Region, may be a glob; may be repeated. [default: any]")
@click.option("--spot", is_flag=True, help="Spot prices instead of on-demand ones.")
@click.option(
    "--burstable/--no-burstable", default=None, help="Whether cores may be throttled. [default: yes; no for a flow]"
)
@click.option(
    "--target",
    type=click.Choice(list(_TARGETS)),
    help="What runs the tasks: what it and the system keep of a server is left free. [default: machine; of a flow what "
    "its --format is for]",
)
@click.option("--tasks", type=click.IntRange(1, 10_000_000), metavar="N", help="So many tasks of this need.")
@click.option("--duration", type=_parse_duration, metavar="TIME", help="What one task takes: 90s, 20m, 1.5h.")
@click.option("--at-once", type=click.IntRange(1), metavar="N", help="Tasks that run at the same time. [default: all]")
@fleet_option
@click.option("--full", is_flag=True, help="Every column of the catalogue (--format json or csv).")
@click.option(
    "--types", type=click.IntRange(1, 20), default=3, show_default=True, help="Of a flow: types of servers at most."
)
@click.option("--policy", "policy_name", metavar="NAME", help="Of a flow: how its steps are sized, as in the report.")
@click.option(
    "--data",
    metavar="DIR|s3://...",
    help="Of a flow: the lake, a directory or in an object store. [STEPSIZE_DATA, default ~/.stepsize]",
)
@click.option("--limit", type=click.IntRange(1, 1_000_000), default=5, show_default=True, help="Offers at most.")
@click.option(
    "--format",
    "form",
    type=click.Choice([*_OF_OFFERS, "karpenter", "batch"]),
    default="table",
    show_default=True,
    help="How to print them; karpenter and batch are of a flow.",
)
@click.pass_context
def command(context: click.Context, /, **options: Any) -> None:
    """Find the cheapest servers that fit a need, or all steps of a FLOW.

    Each server is listed once, in the region (of those asked for) where it costs least. With --duration the price is
    that of a task, as many on a server as fit. Prices come from the catalogue: their age is shown, and whether they are
    as listed, repaired or derived.

    Example: stepsize match --cpu 4 --memory 16GiB --region 'eu-*' --no-burstable
    """
    _check(context, options)
    today = datetime.now(timezone.utc).date()
    with open_catalog(options["fleet"]) as catalog:
        if options["flow"] is not None:
            _print_flow(catalog, options, today)
        else:
            _print_offers(catalog, options, today)


def _check(context: click.Context, options: dict[str, Any]) -> None:
    """Refuses options that say nothing together."""
    flow, form = options["flow"], options["form"]

    def given(name: str) -> bool:
        return context.get_parameter_source(name) is not click.core.ParameterSource.DEFAULT

    of_a_need = ("cpu", "memory", "gpu", "vram", "gpu_models", "disk", "tasks", "duration", "full", "limit")
    of_a_flow = ("types", "policy_name", "data")
    wrong = next((name for name in (of_a_need if flow else of_a_flow) if given(name)), None)
    if wrong is not None:
        option = "--" + wrong.removesuffix("s" if wrong == "gpu_models" else "_name").replace("_", "-")
        raise UsageError(f"{option} goes with {'a need of its own, not with a flow' if flow else 'a flow: name one'}")
    if form not in (_OF_FLOWS if flow else _OF_OFFERS):
        raise UsageError(f"--format {form} goes with {'a need of its own' if flow else 'a flow: name one'}")
    if not flow and options["duration"] is None and (options["tasks"] or options["at_once"]):
        raise UsageError("--tasks and --at-once need --duration: what one task takes")
    if options["full"] and form not in ("json", "csv"):
        raise UsageError("--full has too many columns for a table; add --format json or csv")


def _print_offers(catalog: Catalog, options: dict[str, Any], today: date) -> None:
    from stepsize.analyzer.formats import offers as texts  # noqa: PLC0415 - as above
    from stepsize.analyzer.matching import Need, Work  # noqa: PLC0415 - as above

    need = Need(
        cpu=options["cpu"],
        memory_mib=options["memory"] / MIB,
        gpu=options["gpu"],
        vram_mib=options["vram"] / MIB,
        disk_gb=options["disk"] / _BYTES_PER_GB,
        architecture=options["arch"],
        vendors=options["vendors"],
        regions=options["regions"],
        allocation=_allocation(options),
        burstable=options["burstable"] is not False,
        gpu_models=options["gpu_models"],
        platform=_TARGETS[options["target"] or "machine"],
    )
    if options["duration"] is not None:
        work = Work(need, options["duration"], options["tasks"] or 1, options["at_once"])
        packed = catalog.packed(work, options["limit"])
        found = [each.offer for each in packed]
        text = texts.render_packed(packed, options["form"], today, catalog.full(found) if options["full"] else None)
    else:
        found = catalog.cheapest(need, options["limit"])
        full = options["full"]
        text = (
            texts.render_full(catalog.full(found), options["form"])
            if full
            else texts.render(found, options["form"], today)
        )
    click.echo(text, nl=False)
    if not found:
        raise _nothing_fits(catalog, need)


def _print_flow(catalog: Catalog, options: dict[str, Any], today: date) -> None:
    from stepsize.analyzer.formats import plans  # noqa: PLC0415 - as above
    from stepsize.analyzer.matching import flows  # noqa: PLC0415 - as above
    from stepsize.commands.works import Terms, works  # noqa: PLC0415 - as above

    terms = Terms(
        vendors=options["vendors"],
        regions=options["regions"],
        allocation=_allocation(options),
        architecture=options["arch"],
        burstable=bool(options["burstable"]),
        platform=_TARGETS[options["target"] or _TARGET_OF.get(options["form"], "machine")],
        at_once=options["at_once"],
    )
    found, left_out = works(catalog, options["flow"], terms, options["policy_name"], options["data"])
    for line in left_out:
        click.echo(f"stepsize: {line}", err=True)
    chosen = flows.plan(catalog, found, options["types"])
    if chosen is None:
        alone = next((work.need for work in found.values() if not catalog.cheapest(work.need, 1)), None)
        if alone is not None:
            raise _nothing_fits(catalog, alone)
        raise PermanentError(f"no {options['types']} types of one region fit every step: allow more --types or regions")
    click.echo(plans.render(chosen, options["form"], options["flow"], today), nl=False)
    if options["form"] == "batch":
        click.echo(f"stepsize: {plans.summary(chosen, today)}", err=True)


def _allocation(options: dict[str, Any]) -> str:
    return "spot" if options["spot"] else "ondemand"


def _nothing_fits(catalog: Catalog, need: Need) -> PermanentError:
    ways = "; or ".join(str(way) for way in catalog.relaxations(need))
    return PermanentError(f"no server fits: there would be one with {ways}")
