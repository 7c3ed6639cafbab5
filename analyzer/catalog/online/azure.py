"""Azure's own list prices: the Retail Prices API, page by page.

What comes in: pages of JSON. What goes out: a :class:`Layer` of on-demand and spot prices of Linux machines. Pages that
came are kept, so that an update that broke off goes on where it was. Never follows a link to another host.

Source: learn.microsoft.com/rest/api/cost-management/retail-prices/azure-retail-prices (fields, filters, paging).
``NextPageLink`` was empty for a while in 2023 although more followed (learn.microsoft.com/answers/questions/1188465):
a full page without one is followed by ``$skip``.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from stepsize.analyzer.catalog.layers import Layer
from stepsize.analyzer.catalog.online.download import same_site
from stepsize.analyzer.catalog.rows import PriceRow
from stepsize.discovery import write_whole
from stepsize.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from stepsize.analyzer.catalog.online.download import Web
    from stepsize.analyzer.catalog.rows import Tables

URL = "https://prices.azure.com/api/retail/prices"
FILTER = "serviceName eq 'Virtual Machines' and priceType eq 'Consumption'"
MOST_PAGES = 10_000
_PAGE_ITEMS = 100
"""A page of so many items, or a multiple of that, may be a full one."""
_MOST_USD = 100_000
"""An hour: a hundred times what the dearest machine costs."""
_KEPT = ("armSkuName", "armRegionName", "productName", "skuName", "unitOfMeasure", "currencyCode", "retailPrice")
_OTHER_THAN_LINUX = ("windows", "cloud services", "cloudservices")


def fetch(web: Web, url: str, directory: Path, day: str) -> Path:
    """All items, a line of JSON each, in a file of ``directory``; taken up again where they are of the same ``day``.

    Raises:
        UnavailableError, DataError: as for :meth:`Web.page`.
    """
    items, note = directory / "azure.jsonl", directory / "azure.json"
    first = f"{url}?$filter={quote(FILTER)}"
    link, pages, count, size = first, 0, 0, 0
    started = _read(note)
    have = items.stat().st_size if items.exists() else -1
    # where there is less than was noted, a crash of the machine has lost some
    if (started.get("day"), started.get("url")) == (day, url) and have >= started["bytes"]:
        link, pages, count, size = (started[name] for name in ("next", "pages", "items", "bytes"))
    with items.open("ab") as file:
        file.truncate(size)
        while link:
            page = web.page(link)
            if not isinstance(page, dict) or not isinstance(page.get("Items"), list):
                raise DataError(f"{link} answered with no list of prices: the catalogue stays as it is")
            for item in page["Items"]:
                if isinstance(item, dict):
                    file.write(json.dumps({name: item.get(name) for name in _KEPT}).encode() + b"\n")
            file.flush()
            pages, count = pages + 1, count + len(page["Items"])
            before, link = link, _next(page, f"{first}&$skip={count}", url)
            if link == before:
                raise DataError(f"{url} links from a page to itself: the catalogue stays as it is")
            if pages >= MOST_PAGES:
                raise DataError(f"{url} has more than {MOST_PAGES} pages: that is not what it should be")
            state = {"day": day, "url": url, "next": link, "pages": pages, "items": count, "bytes": file.tell()}
            write_whole(note, json.dumps(state).encode())
    return items


def _read(note: Path) -> dict[str, Any]:
    try:
        found = json.loads(note.read_bytes())
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def _next(page: dict[str, Any], counted: str, url: str) -> str:
    """Where the next page is: what the page says, else ``counted`` where it was a full one."""
    following = page.get("NextPageLink")
    if following:
        return same_site(str(following), url)
    full = page["Items"] and len(page["Items"]) % _PAGE_ITEMS == 0
    return counted if full else ""


def layer(lines: Iterable[str], tables: Tables, day: str) -> Layer:
    """The prices among ``lines`` of servers and regions that ``tables`` know, as observed on ``day``."""
    servers = {row.api_reference: row.server_id for row in tables.servers if row.vendor_id == "azure"}
    regions = {row.api_reference: row.region_id for row in tables.regions if row.vendor_id == "azure"}
    found: dict[tuple[str, str, str], PriceRow] = {}
    for line in lines:
        item = json.loads(line)
        server, region = servers.get(str(item["armSkuName"])), regions.get(str(item["armRegionName"]))
        allocation = _allocation(item)
        price = item["retailPrice"]
        stated = type(price) in (int, float) and 0 < price < _MOST_USD
        if server is None or region is None or allocation is None or not stated:
            continue
        known = found.get((region, server, allocation))
        if known is None or price < known.price:
            found[region, server, allocation] = PriceRow(
                vendor_id="azure",
                region_id=region,
                server_id=server,
                allocation=allocation,
                price=float(price),
                price_quality="listed",
                source="Azure Retail Prices API",
                observed_at=day,
                licence="list price",
            )
    scopes = frozenset(("azure", allocation, region) for region, _, allocation in found)
    return Layer(source="Azure Retail Prices API", prices=tuple(found.values()), scopes=scopes)


def _allocation(item: dict[str, Any]) -> str | None:
    """Whether an item is of a Linux machine by the hour, on demand or spot; None for anything else."""
    product, sku = str(item["productName"]).lower(), str(item["skuName"])  # whatever type they came as
    if item["unitOfMeasure"] != "1 Hour" or item["currencyCode"] != "USD" or sku.endswith("Low Priority"):
        return None
    if any(word in product for word in _OTHER_THAN_LINUX):
        return None
    return "spot" if sku.endswith("Spot") else "ondemand"
