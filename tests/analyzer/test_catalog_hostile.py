"""Whatever a server answers an update with, it ends soon, in one line, and the catalogue stays as it is."""

from __future__ import annotations

import gzip
import json
import lzma
from collections import Counter
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler
from itertools import count
from pathlib import Path
from typing import Any

import pytest

from stepsize.analyzer.catalog import parquet, place
from stepsize.analyzer.catalog.online import sparecores
from stepsize.analyzer.catalog.online.download import Session, Web
from stepsize.analyzer.catalog.rows import Tables
from stepsize.analyzer.catalog.update import Request, update
from stepsize.errors import DataError, StepsizeError, UnavailableError
from tests.analyzer.mirror import Mirror, answer, azure_item, dump, serving
from tests.analyzer.test_catalog_update import NOW

DUMP = "/sc-data/latest/sc-data-all.sql.xz"


@pytest.fixture(scope="module")
def small(shipped: Tables) -> Tables:
    """One family of AWS in a region and some types of Azure in two."""
    servers = tuple(
        row
        for row in shipped.servers
        if row.family == "m7g" or row.api_reference.startswith(("Standard_D", "Standard_F", "Standard_B"))
    )
    regions = tuple(row for row in shipped.regions if row.api_reference in ("us-east-1", "eastus", "westus"))
    known, places = {(r.vendor_id, r.server_id) for r in servers}, {(r.vendor_id, r.region_id) for r in regions}
    prices = tuple(
        row
        for row in shipped.prices
        if (row.vendor_id, row.server_id) in known and (row.vendor_id, row.region_id) in places
    )
    assert {row.vendor_id for row in prices} == {"aws", "azure"}
    return Tables(servers, prices, regions)


@pytest.fixture
def home(tmp_path: Path, small: Tables) -> Path:
    parquet.write(small, tmp_path / "20260101T000000.000000Z")
    (tmp_path / place.CURRENT).write_text(json.dumps({"directory": "20260101T000000.000000Z"}))
    return tmp_path


@pytest.fixture
def mirror() -> Iterator[Mirror]:
    with serving(Mirror()) as running:
        yield running


def refused(home: Path, mirror: Mirror, source: str, small: Tables) -> tuple[str, list[float]]:
    """The line of an update that changes nothing, and how long it would have waited between tries."""
    waits: list[float] = []
    with pytest.raises(StepsizeError) as caught:
        update(home, Request(sources=(source,), urls=mirror.urls()), NOW, pause=waits.append)
    directory = place.updated(home)
    assert directory is not None
    assert parquet.read(directory) == small
    assert len(str(caught.value).splitlines()) == 1
    assert len(str(caught.value)) < 300
    return str(caught.value), waits


def items(*items: Any) -> bytes:
    return json.dumps({"Items": items, "NextPageLink": None}).encode()


ITEM = azure_item("Standard_D2s_v3", "eastus", 0.1)


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (items(ITEM | {"armSkuName": ["a", "list"]}), "no price"),
        (items(ITEM | {"armRegionName": {}, "productName": 3}), "no price"),
        (items(ITEM | {"retailPrice": 10**400}), "no price"),
        (items(ITEM | {"retailPrice": float("inf")}), "no price"),
        (items(ITEM | {"retailPrice": float("nan")}), "no price"),
        (items(ITEM | {"retailPrice": True}), "no price"),
        (items({}, 3, None), "no price"),
        (b'{"Items": 3}', "no list"),
        (b"[" * 200_000, "no JSON"),
        (b"\xff\xfe\0", "no JSON"),
    ],
)
def test_pages_of_another_shape(home: Path, mirror: Mirror, small: Tables, body: bytes, words: str) -> None:
    """Values of other types, sizes beyond any and depths beyond any are no prices."""
    mirror.answers = answer(body)
    assert words in refused(home, mirror, "azure", small)[0]


def test_a_page_that_leads_to_itself(home: Path, mirror: Mirror, small: Tables) -> None:
    """It is followed once."""
    link = f"{mirror.address}/api/retail/prices?again"
    mirror.answers = answer(json.dumps({"Items": [ITEM], "NextPageLink": link}).encode())
    assert "to itself" in refused(home, mirror, "azure", small)[0]
    assert len(mirror.asked) == 2


def test_a_page_that_unpacks_without_end(home: Path, mirror: Mirror, small: Tables) -> None:
    """Bytes count as they are unpacked."""
    mirror.answers = answer(gzip.compress(b" " * (200 << 20), 1), headers={"Content-Encoding": "gzip"})
    assert "more than 32 MiB" in refused(home, mirror, "azure", small)[0]


@pytest.mark.parametrize("location", ["/again", "file:///etc/passwd", "ftp://127.0.0.1/x", "http://["])
def test_redirects_that_lead_nowhere(home: Path, mirror: Mirror, small: Tables, location: str) -> None:
    """Circles and other schemes are said at once, without a second try."""
    mirror.answers = answer(b"", 302, {"Location": location})
    assert refused(home, mirror, "azure", small)[1] == []


@pytest.mark.parametrize(
    ("rest", "waited"), [("30", [30, 30, 30]), ("3600", []), ("soon", [2, 4, 8]), ("9" * 400, [2, 4, 8])]
)
def test_a_server_that_asks_for_rest(home: Path, mirror: Mirror, small: Tables, rest: str, waited: list[float]) -> None:
    """``Retry-After`` is obeyed up to two minutes; beyond that the update gives up and says how long."""
    mirror.answers = answer(b"", 429, {"Retry-After": rest})
    line, waits = refused(home, mirror, "azure", small)
    assert waits == waited
    assert ("3600 s" in line) is (rest == "3600")


def test_a_server_that_drips(mirror: Mirror, tmp_path: Path) -> None:
    """Less than a kilobyte a second over a minute counts as broken off, and is tried again as that."""

    def drip(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(200)
        handler.send_header("Content-Length", "1000")
        handler.end_headers()
        for _ in range(1000):
            handler.wfile.write(b"x")

    mirror.answers = drip
    minutes = count(step=70.0)
    with Session() as session:
        web = Web(session, pause=lambda _s: None, clock=lambda: next(minutes))
        with pytest.raises(UnavailableError, match="bytes in"):
            web.file(f"{mirror.address}/x", tmp_path / "x", 1 << 20)


def restored(tmp_path: Path, *statements: str, rows: int = 0) -> Any:
    """The layer of a dump of these statements, with so many rows in the table of servers before them."""
    table = "CREATE TABLE server (vendor_id, server_id);"
    filled = [f"INSERT INTO server VALUES('aws', '{number}');" for number in range(rows)]
    packed = tmp_path / "dump.xz"
    packed.write_bytes(lzma.compress("\n".join([table, *filled, *statements]).encode(), preset=0))
    return sparecores.layer(packed, tmp_path / "dump.db")


@pytest.mark.parametrize(
    "statement",
    [
        "\n".join(["INSERT INTO server SELECT * FROM server;"] * 40),
        "INSERT INTO server SELECT a.* FROM server a, server b, server c;",
    ],
)
def test_a_dump_that_multiplies_itself(tmp_path: Path, statement: str) -> None:
    """A statement that does more than its text says is broken off."""
    with pytest.raises(DataError, match="interrupted"):
        restored(tmp_path, statement, rows=2000)


def test_a_dump_of_one_endless_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is no statement after so many characters is refused before more is unpacked."""
    monkeypatch.setattr(sparecores, "_MOST_STATEMENT", 4 << 20)
    with pytest.raises(DataError, match="larger than it can be"):
        restored(tmp_path, "a" * (6 << 20))


ODD = {
    "vcpus": ("'two'", "2.5", "X'ff'"),
    "memory_amount": ("99999999999999",),
    "status": ("NULL", "3"),
    "api_reference": ("X'ff00'", "7"),
    "gpu_count": ("'many'", "9e999"),
    "observed_at": ("NULL",),
}
"""Values of the table of servers that are none."""


@pytest.mark.parametrize(("column", "value"), [(column, value) for column, values in ODD.items() for value in values])
def test_rows_that_cannot_be_read(home: Path, mirror: Mirror, small: Tables, column: str, value: str) -> None:
    """One is left out and counted; where they are all of a table the update is refused."""
    names = "(vendor_id, server_id, api_reference, display_name, vcpus, cpu_allocation, cpu_architecture, memory_amount"
    names += ", accelerator_count, status, observed_at)"
    right = {
        "vendor_id": "'aws'",
        "server_id": "'odd'",
        "api_reference": "'odd'",
        "display_name": "'odd'",
        "vcpus": "2",
        "cpu_allocation": "'DEDICATED'",
        "cpu_architecture": "'X86_64'",
        "memory_amount": "8192",
        "gpu_count": "0",
        "status": "'ACTIVE'",
        "observed_at": "'2026-11-20'",
    }
    row = f"INSERT INTO server {names} VALUES({','.join((right | {column: value}).values())});"
    mirror.files[DUMP] = dump(small, list(small.prices), extra=row)
    request = Request(sources=("sparecores",), urls=mirror.urls())
    outcome = update(home, request, NOW, pause=lambda _s: None)
    assert outcome.unread == 1
    assert {row.server_id for row in parquet.read(outcome.directory).servers} == {r.server_id for r in small.servers}
    mirror.files[DUMP] = dump(small, list(small.prices), extra="\n".join([row] * len(small.servers)))
    with pytest.raises(DataError, match="rows of the table server"):
        update(home, request, NOW, pause=lambda _s: None)


@pytest.mark.parametrize("value", ["'cheap'", "9e999", "X'00'"])
def test_prices_that_cannot_be_read(home: Path, mirror: Mirror, small: Tables, value: str) -> None:
    """So it is with prices."""
    price = small.prices[0]
    row = (
        f"INSERT INTO server_price VALUES('{price.vendor_id}','{price.region_id}','z','{price.server_id}','linux',"
        f"'ONDEMAND','HOUR',{value},'USD','ACTIVE','2026-11-20');"
    )
    mirror.files[DUMP] = dump(small, list(small.prices), extra=row)
    outcome = update(home, Request(sources=("sparecores",), urls=mirror.urls()), NOW, pause=lambda _s: None)
    assert outcome.unread == 1
    assert len(parquet.read(outcome.directory).prices) == len(small.prices)


def test_a_catalogue_without_azures_servers(tmp_path: Path, mirror: Mirror, small: Tables) -> None:
    """Azure's API states prices alone: what brings its servers is said, before anything is fetched."""
    servers = tuple(row for row in small.servers if row.vendor_id == "aws")
    prices = tuple(row for row in small.prices if row.vendor_id == "aws")
    parquet.write(Tables(servers, prices, small.regions), tmp_path / "20260101T000000.000000Z")
    (tmp_path / place.CURRENT).write_text(json.dumps({"directory": "20260101T000000.000000Z"}))
    with pytest.raises(DataError, match="--source sparecores"):
        update(tmp_path, Request(sources=("azure",), urls=mirror.urls()), NOW)
    assert mirror.asked == []


def test_a_torn_pointer_is_no_obstacle(home: Path, mirror: Mirror) -> None:
    """An update where the name of the last one is torn asks its source, whose failure is what it tells."""
    (home / place.CURRENT).write_text("{")
    mirror.answers = answer(b"{}")
    with pytest.raises(DataError, match="no list of prices"):
        update(home, Request(sources=("azure",), urls=mirror.urls()), NOW)


def test_a_torn_update_is_mended_by_the_next(home: Path, mirror: Mirror, shipped: Tables) -> None:
    """`stepsize catalog update`, which every message names, works where what it left is torn: over what ships."""
    (home / "20260101T000000.000000Z" / "servers.parquet").write_bytes(b"torn")
    in_regions = Counter(row.region_id for row in shipped.prices if row.vendor_id == "azure")
    least = min(in_regions, key=lambda region: in_regions[region])
    mirror.azure = [
        azure_item(row.server_id, least, row.price)
        for row in shipped.prices
        if (row.vendor_id, row.region_id, row.allocation) == ("azure", least, "ondemand")
    ]
    outcome = update(home, Request(sources=("azure",), urls=mirror.urls()), NOW, pause=lambda _s: None)
    assert len(parquet.read(outcome.directory).servers) == len(shipped.servers)


def test_a_region_that_came_in_part_is_refused(home: Path, mirror: Mirror, small: Tables) -> None:
    """Where most of a region's prices are missing, a list has broken off that says that it is whole."""
    of_azure = [row for row in small.prices if (row.vendor_id, row.allocation) == ("azure", "ondemand")]
    eastus = [row for row in of_azure if row.region_id == "eastus"]
    assert len(eastus) >= 20
    mirror.azure = [
        azure_item(row.server_id, row.region_id, row.price) for row in of_azure if row not in eastus[len(eastus) // 3 :]
    ]
    assert "prices in eastus" in refused(home, mirror, "azure", small)[0]
