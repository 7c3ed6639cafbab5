"""The catalogue's on-demand prices beside those that Karpenter's providers generated from AWS's and Azure's own APIs.

What comes in: two files of Go source (Apache-2.0, not shipped):

    github.com/aws/karpenter-provider-aws    pkg/providers/pricing/zz_generated.pricing_aws.go
    github.com/Azure/karpenter-provider-azure  pkg/providers/pricing/zz_generated.pricing.go

What goes out: how many of the types in both agree, and which do not, as Markdown.
Run: ``python benchmarks/catalog_prices.py --aws FILE --azure FILE [--catalog DIR] [--results DIR]``.
"""

from __future__ import annotations

import argparse
import re
from pathlib import Path
from typing import TYPE_CHECKING

from stepsize.analyzer.catalog import parquet, place

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

Prices = dict[tuple[str, str], float]
"""(region, type) → USD an hour."""
GENERAL = {
    "aws": re.compile(r"(m[78]|c[78]|r[78]|t[34])[a-z-]*\..*"),
    "azure": re.compile(r"Standard_([DEF]\d+[a-z]*s|B\d+[a-z]*)(_v[4-6])"),
}
"""General-purpose, compute and memory types of the newest generations."""


def generated(path: Path) -> tuple[str, Prices]:
    """When the table was generated, and its prices."""
    text = path.read_text(encoding="utf-8")
    when = re.search(r"// generated at (\S+?)T", text)
    prices: Prices = {}
    region = ""
    for line in text.splitlines():
        if found := re.match(r'\s*"([a-z]+-[a-z]+-\d+)": \{', line) or re.search(r'Prices\["([^"]+)"\]', line):
            region = found[1]
        else:
            prices |= {(region, name): float(usd) for name, usd in re.findall(r'"([^"]+)":\s*([\d.]+)', line)}
    return when[1] if when else "", prices


def listed(vendor: str, directory: Path) -> tuple[Prices, set[str], str]:
    """The catalogue's prices of a vendor, the types it knows, and the days of the prices."""
    tables = parquet.read(directory)
    names = {r.server_id: r.api_reference for r in tables.servers if r.vendor_id == vendor}
    regions = {r.region_id: r.api_reference for r in tables.regions if r.vendor_id == vendor}
    rows = [r for r in tables.prices if (r.vendor_id, r.allocation) == (vendor, "ondemand")]
    days = sorted({r.observed_at for r in rows})
    return {(regions[r.region_id], names[r.server_id]): r.price for r in rows}, set(names.values()), " to ".join(days)


def shares(ours: Prices, theirs: Prices, keep: Callable[[str, str], bool]) -> tuple[int, int, int, list[str]]:
    """Types in both, those within 1 % and within 0.5 %, and the others in words."""
    both = sorted(key for key in ours.keys() & theirs.keys() if theirs[key] > 0 and keep(*key))
    off = {key: ours[key] / theirs[key] - 1 for key in both}
    wrong = [
        f"{key[1]} in {key[0]}: {ours[key]:.4f} here, {theirs[key]:.4f} there" for key in both if abs(off[key]) > 0.01
    ]
    return len(both), sum(abs(o) <= 0.01 for o in off.values()), sum(abs(o) <= 0.005 for o in off.values()), wrong


def compare(vendor: str, home: str, path: Path, directory: Path) -> Iterable[str]:
    """A section of the results."""
    when, theirs = generated(path)
    ours, known, days = listed(vendor, directory)
    yield f"## {vendor}: the catalogue (prices of {days}) beside Karpenter's table of {when}"
    yield ""
    yield "| | priced there | in both | within 1 % of those | within 0.5 % |"
    yield "| --- | --- | --- | --- | --- |"
    cases: list[tuple[str, Callable[[str, str], bool]]] = [
        (f"newest general types, {home}", lambda r, n: r == home and bool(GENERAL[vendor].fullmatch(n))),
        (f"all types, {home}", lambda r, _n: r == home),
    ]
    if len({region for region, _ in theirs}) > 1:
        cases.append(("all types, all regions", lambda _r, _n: True))
    lists = []
    for title, keep in cases:
        count, one, half, wrong = shares(ours, theirs, keep)
        lists.append((title, wrong))
        there = sum(1 for key, usd in theirs.items() if usd > 0 and keep(*key))
        cells = [f"{part:,} ({part / max(count, 1):.1%})" for part in (one, half)]
        yield f"| {title} | {there:,} | {count:,} | {' | '.join(cells)} |"
    missing = sorted(name for region, name in theirs if region == home and (region, name) not in ours)
    spec = [name for name in missing if name in known]
    yield ""
    yield f"Priced there and not here, in {home}: {len(missing):,} types; {len(spec):,} of them are here, unpriced."
    for title, wrong in lists[:2]:
        yield ""
        yield f"Further off, {title}: {len(wrong)}" + ("" if not wrong else "; " + "; ".join(wrong[:40]) + ".")
    yield ""


def main() -> None:
    """Prints the comparison, and keeps it where asked to."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--aws", type=Path, help="zz_generated.pricing_aws.go")
    parser.add_argument("--azure", type=Path, help="zz_generated.pricing.go")
    parser.add_argument("--catalog", type=Path, default=place.shipped())
    parser.add_argument("--results", type=Path, help="directory for catalog_prices.md")
    options = parser.parse_args()
    lines = ["# Prices beside a second source", "", "`python benchmarks/catalog_prices.py --aws FILE --azure FILE`", ""]
    for vendor, home, path in (("aws", "us-east-1", options.aws), ("azure", "eastus", options.azure)):
        if path is not None:
            lines += compare(vendor, home, path, options.catalog)
    text = "\n".join(lines).rstrip() + "\n"
    print(text, end="")
    if options.results is not None:
        (options.results / "catalog_prices.md").write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
