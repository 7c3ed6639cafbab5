"""A server on loopback that publishes servers and prices as Spare Cores, Azure and AWS do.

Shapes: github.com/SpareCores/sc-data (an SQL dump packed with xz), learn.microsoft.com (Retail Prices API), AWS Billing
User Guide (price list files). It can break off, fail, and change what it has.
"""

from __future__ import annotations

import csv
import io
import json
import lzma
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

from stepsize.analyzer.catalog.rows import PriceRow, Tables

AZURE_PAGE = 100


@dataclass
class Mirror:
    """What the server has, and what was asked of it."""

    files: dict[str, bytes] = field(default_factory=dict)
    azure: list[dict[str, Any]] = field(default_factory=list)
    links: bool = True
    break_after: dict[str, list[int]] = field(default_factory=dict)
    fail_pages: set[int] = field(default_factory=set)
    asked: list[tuple[str, str | None]] = field(default_factory=list)
    address: str = ""
    answers: Callable[[BaseHTTPRequestHandler], None] | None = None
    """What answers in place of all of it."""

    def urls(self) -> dict[str, str]:
        """The sources' addresses here."""
        return {
            "sparecores": f"{self.address}/sc-data/latest/sc-data-all.sql.xz",
            "azure": f"{self.address}/api/retail/prices",
            "aws": f"{self.address}/offers/v1.0/aws/AmazonEC2/current/region_index.json",
        }


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    @property
    def mirror(self) -> Mirror:
        found: Mirror = self.server.mirror  # type: ignore[attr-defined] # set where the server is made
        return found

    def log_message(self, *_arguments: object) -> None:
        """Says nothing."""

    def do_GET(self) -> None:
        """Answers from the mirror."""
        path = urlsplit(self.path).path
        self.mirror.asked.append((path, self.headers.get("Range")))
        if self.mirror.answers is not None:
            with suppress(ConnectionError):  # who has seen enough goes away
                self.mirror.answers(self)
        elif path == "/api/retail/prices":
            self._page()
        elif path in self.mirror.files:
            self._file(path, self.mirror.files[path])
        else:
            self._answer(404, b"")

    def _page(self) -> None:
        skip = int(parse_qs(urlsplit(self.path).query).get("$skip", ["0"])[0])
        if skip // AZURE_PAGE in self.mirror.fail_pages:
            self._answer(503, b"")
            return
        items = self.mirror.azure[skip : skip + AZURE_PAGE]
        more = skip + AZURE_PAGE < len(self.mirror.azure)
        link = f"{self.mirror.address}/api/retail/prices?$filter=x&$skip={skip + AZURE_PAGE}"
        body = {
            "BillingCurrency": "USD",
            "CustomerEntityId": "Default",
            "CustomerEntityType": "Retail",
            "Items": items,
            "NextPageLink": link if more and self.mirror.links else None,
            "Count": len(items),
        }
        self._answer(200, json.dumps(body).encode())

    def _file(self, path: str, content: bytes) -> None:
        etag = f'"{hash(content):x}"'
        if self.headers.get("If-None-Match") == etag:
            self._answer(304, b"", ETag=etag)
            return
        begin = 0
        if self.headers.get("Range") and self.headers.get("If-Range") == etag:
            begin = int(self.headers["Range"].removeprefix("bytes=").rstrip("-"))
        part = content[begin:]
        breaks = self.mirror.break_after.get(path)
        if breaks:
            self.send_response(206 if begin else 200)
            self.send_header("Content-Length", str(len(part)))
            self.send_header("ETag", etag)
            self.end_headers()
            self.wfile.write(part[: breaks.pop(0)])
            self.close_connection = True
            return
        self._answer(206 if begin else 200, part, ETag=etag)

    def _answer(self, status: int, body: bytes, **headers: str) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        if status != 304:
            self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


class _Server(ThreadingHTTPServer):
    def handle_error(self, request: Any, client_address: Any) -> None:
        """Who went away is no error here."""
        if not isinstance(sys.exc_info()[1], ConnectionError):
            super().handle_error(request, client_address)


def answer(
    body: bytes, status: int = 200, headers: Mapping[str, str] | None = None
) -> Callable[[BaseHTTPRequestHandler], None]:
    """The same to every request."""

    def say(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(status)
        for name, value in {"Content-Length": str(len(body)), **(headers or {})}.items():
            handler.send_header(name, value)
        handler.end_headers()
        handler.wfile.write(body)

    return say


@contextmanager
def serving(mirror: Mirror) -> Iterator[Mirror]:
    """The mirror, listening on a port of its own until the end."""
    server = _Server(("127.0.0.1", 0), _Handler)
    server.mirror = mirror  # type: ignore[attr-defined] # for the handler
    mirror.address = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    try:
        yield mirror
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def quoted(value: object) -> str:
    """A value as SQL."""
    if value is None:
        return "NULL"
    return str(value) if isinstance(value, (int, float)) else "'" + str(value).replace("'", "''") + "'"


def dump(tables: Tables, prices: list[PriceRow], *, accelerator: bool = True, extra: str = "") -> bytes:
    """Spare Cores' dump of these servers and regions at these prices, packed."""
    gpu = "accelerator" if accelerator else "gpu"
    columns = (
        *("vendor_id", "server_id", "api_reference", "display_name", "family", "vcpus", "cpu_allocation", "cpu_cores"),
        *("cpu_speed", "cpu_architecture", "cpu_manufacturer", "cpu_model", "memory_amount", "gpu_count"),
        *("gpu_memory_min", "gpu_memory_total", "gpu_manufacturer", "gpu_family", "gpu_model", "storage_size"),
        *("storage_type", "network_speed", "status"),
    )
    lines = ["BEGIN TRANSACTION;"]

    def table(name: str, names: tuple[str, ...], rows: list[tuple[object, ...]]) -> None:
        lines.append(f"CREATE TABLE {name} (\n  {', '.join(names)}\n);")
        lines.extend(f'INSERT INTO "{name}" VALUES({",".join(map(quoted, row))});' for row in rows)

    table("_metadata", ("key", "value"), [("license", "BUSL-1.1"), ("published_at", "2026-11-20T04:00:00Z")])
    table(
        "server",
        tuple(name.replace("gpu_", f"{gpu}_") for name in (*columns, "observed_at")),
        [
            (
                *(
                    str(getattr(row, name)).upper() if name in ("status", "cpu_allocation") else getattr(row, name)
                    for name in columns
                ),
                "2026-11-20 03:00:00",
            )
            for row in tables.servers
        ],
    )
    places = ("vendor_id", "region_id", "api_reference", "display_name", "country_id", "city", "status", "observed_at")
    table(
        "region",
        places,
        [(*(getattr(row, name) for name in places[:6]), "ACTIVE", "2026-11-20") for row in tables.regions],
    )
    table(
        "server_price",
        (
            *("vendor_id", "region_id", "zone_id", "server_id", "operating_system", "allocation", "unit", "price"),
            *("currency", "status", "observed_at"),
        ),
        [
            (
                *(row.vendor_id, row.region_id, f"{row.region_id}{zone}", row.server_id, "linux"),
                *(row.allocation.upper(), "HOUR", row.price * factor, row.currency, "ACTIVE", "2026-11-20 03:00:00"),
            )
            for row in prices
            for zone, factor in (("b", 1.1), ("a", 1))
        ],
    )
    first = tables.servers[0]
    scores = [("stress_ng:bestn", 900.0), ("stress_ng:bestn", 1000.5), ("stress_ng:best1", 500.0)]
    table(
        "benchmark_score",
        ("vendor_id", "server_id", "benchmark_id", "config", "score"),
        [(first.vendor_id, first.server_id, name, "{}", score) for name, score in scores],
    )
    lines.append(
        "INSERT INTO region VALUES('aws','x','x',replace('two\\nlines','\\n',char(10)),NULL,NULL,"
        "'ACTIVE','2026-11-20');"
    )
    lines += ["CREATE TABLE traffic_price (a);", "INSERT INTO traffic_price VALUES('a;\nb');", extra, "COMMIT;"]
    return lzma.compress("\n".join(lines).encode() + b"\n", preset=0)


def azure_item(sku: str, region: str, usd: float, **more: Any) -> dict[str, Any]:
    """One meter of the Retail Prices API."""
    item = {
        "currencyCode": "USD",
        "tierMinimumUnits": 0.0,
        "retailPrice": usd,
        "unitPrice": usd,
        "armRegionName": region,
        "location": "US East",
        "effectiveStartDate": "2024-05-01T00:00:00Z",
        "meterName": sku.removeprefix("Standard_").replace("_", " "),
        "productName": "Virtual Machines Dsv5 Series",
        "skuName": sku.removeprefix("Standard_").replace("_", " "),
        "serviceName": "Virtual Machines",
        "serviceFamily": "Compute",
        "unitOfMeasure": "1 Hour",
        "type": "Consumption",
        "isPrimaryMeterRegion": True,
        "armSkuName": sku,
    }
    return item | more


AWS_HEAD = (
    *("SKU", "OfferTermCode", "RateCode", "TermType", "PriceDescription", "EffectiveDate", "StartingRange"),
    *("EndingRange", "Unit", "PricePerUnit", "Currency", "RelatedTo", "LeaseContractLength", "PurchaseOption"),
    *("OfferingClass", "Product Family", "serviceCode", "Location", "Location Type", "Instance Type", "vCPU"),
    *("Memory", "Tenancy", "Operating System", "License Model", "usageType", "operation", "CapacityStatus"),
    *("Pre Installed S/W", "Region Code"),
)


def aws_csv(rows: list[dict[str, str]], published: str = "2026-11-19T20:11:31Z") -> bytes:
    """A region's price list; each row states what differs from an on-demand Linux price."""
    usual = {
        "TermType": "OnDemand",
        "Unit": "Hrs",
        "Currency": "USD",
        "Product Family": "Compute Instance",
        "serviceCode": "AmazonEC2",
        "Tenancy": "Shared",
        "Operating System": "Linux",
        "License Model": "No License required",
        "operation": "RunInstances",
        "CapacityStatus": "Used",
        "Pre Installed S/W": "NA",
        "Region Code": "us-east-1",
    }
    text = io.StringIO()
    writer = csv.writer(text, quoting=csv.QUOTE_ALL)
    writer.writerow(["FormatVersion", "v1.0"])
    writer.writerow(["Disclaimer", "This pricing list is for informational purposes only."])
    writer.writerow(["Publication Date", published])
    writer.writerow(["Version", "20261119201131"])
    writer.writerow(["OfferCode", "AmazonEC2"])
    writer.writerow(AWS_HEAD)
    for row in rows:
        writer.writerow([(usual | row).get(name, "") for name in AWS_HEAD])
    return text.getvalue().encode()
