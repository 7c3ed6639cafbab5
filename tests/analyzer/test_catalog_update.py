"""An update replaces the catalogue in use by a newer one that holds, or leaves it as it is."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import nullcontext
from dataclasses import replace
from datetime import datetime, timezone
from pathlib import Path

import pytest

from stepsize.analyzer.catalog import parquet, place
from stepsize.analyzer.catalog.contents import part_contents
from stepsize.analyzer.catalog.online.download import same_site
from stepsize.analyzer.catalog.rows import PriceRow, Tables
from stepsize.analyzer.catalog.update import Request, update
from stepsize.analyzer.matching import Catalog, Need
from stepsize.errors import DataError, StepsizeError, UnavailableError, UsageError
from stepsize.store.locks import Lock
from tests.analyzer import in_process
from tests.analyzer.in_process import Finished
from tests.analyzer.mirror import Mirror, aws_csv, azure_item, dump, serving
from tests.analyzer.shipped import SHARE_ALIKE

NOW = datetime(2026, 11, 22, 12, tzinfo=timezone.utc)
DUMP = "/sc-data/latest/sc-data-all.sql.xz"
AWS_FILE = "/offers/v1.0/aws/AmazonEC2/20261119/us-east-1/index.csv"


@pytest.fixture(scope="module")
def small(shipped: Tables) -> Tables:
    """A part of what ships: two families of AWS and one of Azure in a region each."""
    whole = shipped
    families = {("aws", "m7g"), ("aws", "g4dn"), ("azure", "Dsv5")}
    servers = tuple(
        row
        for row in whole.servers
        if (row.vendor_id, row.family) in families or row.api_reference.startswith("Standard_D")
    )
    regions = tuple(row for row in whole.regions if row.api_reference in ("us-east-1", "eastus"))
    known, places = {(r.vendor_id, r.server_id) for r in servers}, {(r.vendor_id, r.region_id) for r in regions}
    prices = tuple(
        row
        for row in whole.prices
        if (row.vendor_id, row.server_id) in known and (row.vendor_id, row.region_id) in places
    )
    assert len(prices) > 100
    return Tables(servers, prices, regions)


@pytest.fixture
def home(tmp_path: Path, small: Tables) -> Path:
    """A directory of updates whose newest is the small catalogue."""
    directory = tmp_path / "it's updates"
    parquet.write(small, directory / "20260101T000000.000000Z")
    (directory / place.CURRENT).write_text(json.dumps({"directory": "20260101T000000.000000Z"}))
    return directory


@pytest.fixture
def mirror(small: Tables) -> Iterator[Mirror]:
    """All three sources, each a little dearer than the one before."""
    prices = [replace(row, price=round(row.price * 1.01, 6)) for row in small.prices]
    names = {row.server_id: row.api_reference for row in small.servers if row.vendor_id == "azure"}
    azure = [
        azure_item(
            names[row.server_id], "eastus", row.price * 1.02, skuName="x Spot" if row.allocation == "spot" else "x"
        )
        for row in small.prices
        if row.vendor_id == "azure"
    ]
    aws = [{"Instance Type": row.server_id, "PricePerUnit": f"{row.price * 1.03:.10f}"} for row in of(small, "aws")]
    index = {
        "regions": {"us-east-1": {"regionCode": "us-east-1", "currentVersionUrl": AWS_FILE.replace("csv", "json")}}
    }
    files = {
        DUMP: dump(small, prices),
        "/offers/v1.0/aws/AmazonEC2/current/region_index.json": json.dumps(index).encode(),
        AWS_FILE: aws_csv(aws),
    }
    with serving(Mirror(files, azure)) as running:
        yield running


def of(tables: Tables, vendor: str, allocation: str = "ondemand") -> list[PriceRow]:
    return [row for row in tables.prices if (row.vendor_id, row.allocation) == (vendor, allocation)]


def fetch(home: Path, mirror: Mirror, *sources: str, **more: object) -> Tables:
    """The catalogue after an update that waits for nothing."""
    request = Request(sources=sources or ("sparecores", "azure"), urls=mirror.urls(), **more)  # type: ignore[arg-type]
    return parquet.read(update(home, request, NOW, pause=lambda _seconds: None).directory)


def unchanged(home: Path, small: Tables) -> bool:
    directory = place.updated(home)
    return directory is not None and parquet.read(directory) == small and len(list(home.glob("2*Z"))) == 1


@pytest.mark.parametrize("accelerator", [True, False])
def test_spare_cores_states_servers_regions_prices_and_scores(
    home: Path, mirror: Mirror, small: Tables, accelerator: bool
) -> None:
    """All of it is taken, of a region's zones the lowest price, under both names that its columns have had."""
    prices = [replace(row, price=round(row.price * 1.01, 6)) for row in small.prices]
    mirror.files[DUMP] = dump(small, prices, accelerator=accelerator)
    found = fetch(home, mirror, "sparecores")
    assert [row.price for row in found.prices] == pytest.approx([row.price * 1.01 for row in small.prices], rel=1e-3)
    assert {row.source for row in found.servers} == {"sparecores 2026-11-20"}
    assert {row.licence for row in found.prices} == {"BUSL-1.1"}
    assert {row.observed_at for row in found.prices} == {"2026-11-20"}
    assert [(row.gpu_count, row.eks_max_pods) for row in found.servers] == [
        (row.gpu_count, row.eks_max_pods) for row in small.servers
    ]
    assert [row.display_name for row in found.regions if row.region_id == "x"] == ["two\nlines"]
    (score,) = found.scores
    assert score.score == 1000.5
    assert json.loads(score.benchmark_scores) == {"stress_ng:best1": 500.0, "stress_ng:bestn": 1000.5}


def test_each_licence_is_written_as_a_part(home: Path, mirror: Mirror, small: Tables) -> None:
    """What came lies apart from what is kept, each under its licence, whose text stays beside what it is of."""
    kept = replace(small.servers[0], server_id="kept", api_reference="kept", licence="CC-BY-SA-4.0")
    parquet.write(replace(small, servers=(*small.servers, kept)), home / "20260101T000000.000000Z")
    found = fetch(home, mirror)
    directory = place.directory({"STEPSIZE_CATALOG": str(home)})
    held = {part.name: part for part in part_contents(directory)}
    assert [(part.name, part.licences) for part in held.values()] == [
        ("", []),
        ("busl-1-1", ["BUSL-1.1"]),
        ("cc-by-sa-4-0", ["CC-BY-SA-4.0"]),
        ("list-price", ["list price"]),
    ]
    assert (held["cc-by-sa-4-0"].servers, held["list-price"].servers) == (1, 0)
    assert sum(part.prices for part in held.values()) == len(found.prices)
    assert (directory / "busl-1-1" / "server_scores.parquet").exists()
    assert (directory / "cc-by-sa-4-0" / "LICENCE.txt").read_bytes() == (SHARE_ALIKE / "LICENCE.txt").read_bytes()


def test_sources_lie_over_one_another_in_their_order(home: Path, mirror: Mirror, small: Tables) -> None:
    """The vendors' own lists win over Spare Cores', however the sources are named."""
    found = fetch(home, mirror, "aws", "azure", "sparecores")
    for vendor, factor in (("aws", 1.03), ("azure", 1.02)):
        expected = [row.price * factor for row in of(small, vendor)]
        assert [row.price for row in of(found, vendor)] == pytest.approx(expected, rel=1e-3)
    assert {row.observed_at for row in of(found, "aws")} == {"2026-11-19"}
    assert {row.observed_at for row in of(found, "azure", "spot")} == {"2026-11-22"}


def test_what_is_in_use_is_what_was_fetched(home: Path, mirror: Mirror, small: Tables) -> None:
    """Matching finds the new prices and scores through `STEPSIZE_CATALOG`; the package's files stay as they are."""
    shipped = {path.name: path.read_bytes() for path in place.shipped().glob("*.parquet")}
    fetch(home, mirror)
    with Catalog.open(place.directory({"STEPSIZE_CATALOG": str(home)})) as catalog:
        offers = catalog.cheapest(Need(2, 4096, vendors=("aws",)), 1)
        records = catalog.full(catalog.cheapest(Need(0, 0), 1000))
    assert offers[0].price_observed_at == "2026-11-20"
    assert [record["score"] for record in records if record["score"]] == [1000.5]
    assert {path.name: path.read_bytes() for path in place.shipped().glob("*.parquet")} == shipped


def test_azure_counts_linux_by_the_hour_alone(home: Path, mirror: Mirror, small: Tables) -> None:
    """Windows, low priority, other units, reserved hosts, zero and unknown servers change nothing."""
    names = {row.server_id: row.api_reference for row in small.servers if row.vendor_id == "azure"}
    name = names[of(small, "azure")[0].server_id]
    mirror.azure += [
        azure_item(name, "eastus", 0.0001, productName="Virtual Machines Dsv5 Series Windows"),
        azure_item(name, "eastus", 0.0001, skuName="D2s v5 Low Priority"),
        azure_item(name, "eastus", 0.0001, unitOfMeasure="1/Month"),
        azure_item(name, "eastus", 0.0001, currencyCode="EUR"),
        azure_item(name, "eastus", 0.0),
        azure_item("Dsv5_Type3", "eastus", 0.0001),
        azure_item(name, "atlantis", 0.0001),
    ]
    expected = [row.price * 1.02 for row in of(small, "azure")]
    assert [row.price for row in of(fetch(home, mirror, "azure"), "azure")] == pytest.approx(expected, rel=1e-6)


def test_aws_counts_shared_linux_on_demand_alone(home: Path, mirror: Mirror, small: Tables) -> None:
    """Other systems, tenancies, software, terms, and capacity reservations change nothing."""
    name = of(small, "aws")[0].server_id
    odd = [
        {"Operating System": "Windows"},
        {"Tenancy": "Dedicated"},
        {"TermType": "Reserved"},
        {"Pre Installed S/W": "SQL Web"},
        {"CapacityStatus": "AllocatedCapacityReservation"},
        {"operation": "RunInstances:0004"},
        {"PricePerUnit": "0.0000000000"},
        {"Instance Type": "z99.large"},
    ]
    rows = [{"Instance Type": name, "PricePerUnit": "0.0001"} | more for more in odd]
    rows += [{"Instance Type": row.server_id, "PricePerUnit": f"{row.price:.10f}"} for row in of(small, "aws")]
    mirror.files[AWS_FILE] = aws_csv(rows)
    found = of(fetch(home, mirror, "aws"), "aws")
    assert [row.price for row in found] == pytest.approx([row.price for row in of(small, "aws")])


def test_a_download_that_broke_off_goes_on_where_it_was(home: Path, mirror: Mirror) -> None:
    """What is missing alone is asked for."""
    mirror.files[DUMP] += os.urandom(200_000)  # behind the stream xz reads no further
    mirror.break_after[DUMP] = [40_000, 20_000]
    fetch(home, mirror, "sparecores")
    assert [where for path, where in mirror.asked if path == DUMP] == [None, "bytes=40000-", "bytes=60000-"]


def test_the_next_update_goes_on_where_the_last_broke_off(home: Path, mirror: Mirror) -> None:
    """Four tries that broke off leave a part, with which the next update begins."""
    mirror.files[DUMP] += os.urandom(200_000)  # as above
    mirror.break_after[DUMP] = [100_000, 0, 0, 0]
    with pytest.raises(UnavailableError, match="what came is kept"):
        fetch(home, mirror, "sparecores")
    mirror.break_after.clear()
    fetch(home, mirror, "sparecores")
    assert mirror.asked[-1] == (DUMP, "bytes=100000-")


def test_a_part_of_an_older_file_is_not_continued(home: Path, mirror: Mirror, small: Tables) -> None:
    """Where the file has changed meanwhile it is fetched anew from its beginning."""
    mirror.break_after[DUMP] = [1000, 0, 0, 0]
    with pytest.raises(UnavailableError):
        fetch(home, mirror, "sparecores")
    mirror.break_after.clear()
    mirror.files[DUMP] = dump(small, [replace(row, price=row.price * 1.2) for row in small.prices])
    found = fetch(home, mirror, "sparecores")
    assert found.prices[0].price == pytest.approx(small.prices[0].price * 1.2)


def test_pages_that_came_are_not_asked_for_again(home: Path, mirror: Mirror) -> None:
    """An update that broke off at a page begins with it, on the same day."""
    assert len(mirror.azure) > 100
    mirror.fail_pages = {1}
    with pytest.raises(UnavailableError):
        fetch(home, mirror, "azure")
    mirror.fail_pages, before = set(), len(mirror.asked)
    found = fetch(home, mirror, "azure")
    assert len(mirror.asked) - before == (len(mirror.azure) - 1) // 100
    assert len(of(found, "azure")) + len(of(found, "azure", "spot")) == len(mirror.azure)


def test_full_pages_without_a_link_are_followed(home: Path, mirror: Mirror) -> None:
    """As in March 2023, when the API left its links out."""
    mirror.links = False
    found = fetch(home, mirror, "azure")
    assert len(of(found, "azure")) + len(of(found, "azure", "spot")) == len(mirror.azure)


def test_what_one_source_states_is_used_where_another_fails(home: Path, mirror: Mirror) -> None:
    """Azure's prices are taken without Spare Cores', and the failure is told."""
    del mirror.files[DUMP]
    request = Request(urls=mirror.urls())
    outcome = update(home, request, NOW, pause=lambda _seconds: None)
    assert [source for source, _, _ in outcome.stated] == ["Azure Retail Prices API"]
    assert "404" in outcome.failed[0]


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        ("half", "aws would keep"),
        ("tenfold", "times as high"),
        ("torn", "cannot be read"),
        ("no dump", "cannot be read"),
        ("upside down", "contradict"),
    ],
)
def test_what_does_not_hold_leaves_the_catalogue_as_it_is(
    home: Path, mirror: Mirror, small: Tables, damage: str, words: str
) -> None:
    """Too few prices, prices of something else, damaged files and families upside down are refused."""
    prices = list(small.prices)
    if damage == "half":
        prices = [row for index, row in enumerate(prices) if row.vendor_id != "aws" or index % 4 == 0]
    elif damage == "tenfold":
        prices = [replace(row, price=row.price * 10) for row in prices]
    elif damage == "upside down":
        prices = [replace(row, price=1 / row.price) for row in prices]
    content = dump(small, prices)
    if damage == "torn":
        content = content[: len(content) // 2]
    mirror.files[DUMP] = b"<html>not found</html>" if damage == "no dump" else content
    with pytest.raises(StepsizeError, match=words):
        fetch(home, mirror, "sparecores")
    assert unchanged(home, small)


@pytest.mark.parametrize(
    "statement",
    [
        "ATTACH DATABASE '{path}' AS stolen; CREATE TABLE stolen.server (a);",
        "INSERT INTO server SELECT load_extension('{path}') FROM region;",
        "PRAGMA journal_mode=WAL;",
        "CREATE TRIGGER t AFTER INSERT ON server BEGIN DELETE FROM server; END;",
    ],
)
def test_a_dump_cannot_do_more_than_fill_tables(
    home: Path, mirror: Mirror, small: Tables, statement: str, tmp_path: Path
) -> None:
    """Statements that open files or do anything else are passed over or refuse the dump; no file appears."""
    path = tmp_path / "stolen.db"
    mirror.files[DUMP] = dump(small, list(small.prices), extra=statement.format(path=path))
    try:
        fetch(home, mirror, "sparecores")
    except DataError:
        assert unchanged(home, small)
    assert not path.exists()


def test_a_link_to_another_host_is_not_followed(home: Path, mirror: Mirror) -> None:
    """A page of prices cannot send the update elsewhere."""
    index = {"regions": {"us-east-1": {"currentVersionUrl": "https://example.org/index.json"}}}
    mirror.files["/offers/v1.0/aws/AmazonEC2/current/region_index.json"] = json.dumps(index).encode()
    with pytest.raises(DataError, match=r"example\.org"):
        fetch(home, mirror, "aws")


def test_one_update_at_a_time(home: Path, mirror: Mirror, small: Tables) -> None:
    """A second update finds the first at work and ends with one line."""
    with Lock(home / ".lock").held(0.0), pytest.raises(UnavailableError, match="another process"):
        fetch(home, mirror)
    assert unchanged(home, small)


def test_a_full_last_page_is_the_last(home: Path, mirror: Mirror) -> None:
    """A last page that is just full says nothing of a next one, which is asked for and is empty."""
    del mirror.azure[100:]
    whole = len(mirror.azure)
    request = Request(sources=("azure",), urls=mirror.urls())
    outcome = update(home, request, NOW, pause=lambda _seconds: None)
    assert outcome.stated[0][2] == whole
    assert len(mirror.asked) == 2


@pytest.mark.parametrize(
    ("link", "allowed"),
    [
        ("https://prices.azure.com:443/api?$skip=100", True),
        ("https://PRICES.azure.com/api", True),
        ("http://prices.azure.com/api", False),
        ("https://prices.azure.com:8443/api", False),
        ("https://prices.azure.com.example.org/api", False),
        ("https://prices.azure.com:x/api", False),
        ("/api", False),
    ],
)
def test_a_site_is_scheme_host_and_port(link: str, allowed: bool) -> None:
    """The port of a scheme may be written out, as Azure's links have it; all else is another site."""
    with nullcontext() if allowed else pytest.raises(DataError):
        same_site(link, "https://prices.azure.com/api/retail/prices")


def test_a_place_that_cannot_be_written_is_one_line(home: Path, mirror: Mirror, small: Tables) -> None:
    """A file where the parts should lie: one line that names it, and the catalogue stays."""
    (home / "parts").write_text("")
    with pytest.raises(UnavailableError, match="parts"):
        fetch(home, mirror, "azure")
    assert unchanged(home, small)


def test_spot_prices_move_each_on_its_own(home: Path, mirror: Mirror, small: Tables) -> None:
    """A market in which a larger server costs less is no error, and all of its prices are kept."""
    market = [replace(row, allocation="spot", price=0.3 / row.price) for row in of(small, "aws")]
    mirror.files[DUMP] = dump(small, [*small.prices, *market])
    assert len(of(fetch(home, mirror, "sparecores"), "aws", "spot")) == len(market)


def test_pages_that_a_crash_lost_are_asked_for_again(home: Path, mirror: Mirror) -> None:
    """Where less is on disk than was noted the list is begun anew."""
    mirror.fail_pages = {1}
    with pytest.raises(UnavailableError):
        fetch(home, mirror, "azure")
    items = home / "parts" / "azure.jsonl"
    items.write_bytes(items.read_bytes()[:1000])
    mirror.fail_pages = set()
    found = fetch(home, mirror, "azure")
    assert len(of(found, "azure")) + len(of(found, "azure", "spot")) == len(mirror.azure)


def test_old_updates_are_removed_but_for_the_one_before(home: Path, mirror: Mirror) -> None:
    """Whoever still reads the catalogue that was replaced can go on; the one before that is gone."""
    for minute in range(3):
        request = Request(sources=("azure",), urls=mirror.urls())
        update(home, request, NOW.replace(minute=minute), pause=lambda _seconds: None)
    assert [path.name for path in sorted(home.glob("2*Z"))] == ["20261122T120100.000000Z", "20261122T120200.000000Z"]


def test_wrong_names_are_refused(home: Path, mirror: Mirror) -> None:
    """Unknown sources and regions name those that are."""
    with pytest.raises(UsageError, match="sparecores, azure, aws"):
        fetch(home, mirror, "gcp")
    with pytest.raises(UsageError, match="us-east-1"):
        fetch(home, mirror, "aws", aws_regions=("mars-*",))


def stepsize(home: Path, *arguments: str) -> Finished:
    environment = {"HOME": str(home), "STEPSIZE_CATALOG": str(home), "NO_PROXY": "127.0.0.1"}
    return in_process.stepsize(environment, *arguments)


def test_the_command_updates_and_shows(home: Path, mirror: Mirror) -> None:
    """`catalog update` says what came and where it is, `catalog show` how old it is, `match` uses it."""
    urls = [f"--url={source}={url}" for source, url in mirror.urls().items()]
    updated = stepsize(home, "catalog", "update", "--source", "sparecores", *urls)
    assert (updated.returncode, updated.stderr) == (0, "")
    assert "In use from now on" in updated.stdout
    shown = stepsize(home, "catalog", "show")
    assert "2026-11-20" in shown.stdout
    assert "BUSL-1.1" in shown.stdout
    assert "from `stepsize catalog update`" in shown.stdout
    vendors = {
        row["vendor_id"]: row for row in json.loads(stepsize(home, "catalog", "show", "--format", "json").stdout)
    }
    assert vendors["aws"]["prices_newest"] == "2026-11-20"
    assert "2026-11-20" in stepsize(home, "match", "--vendor", "aws").stdout


def test_a_machine_that_is_offline_gets_one_line(home: Path, small: Tables) -> None:
    """Nothing listens: exit code 1, one line, and the catalogue stays."""
    with serving(Mirror()) as gone:
        address = gone.address
    result = stepsize(home, "catalog", "update", "--source", "aws", f"--url=aws={address}/index.json")
    assert (result.returncode, result.stdout) == (1, "")
    (line,) = result.stderr.splitlines()
    assert "no connection" in line
    assert unchanged(home, small)


def test_a_damaged_pointer_is_one_line(home: Path) -> None:
    """What names the update may be torn: the command says what to do."""
    (home / place.CURRENT).write_text("{")
    result = stepsize(home, "match", "--cpu", "1")
    assert result.returncode == 1
    assert "stepsize catalog update" in result.stderr
    assert len(result.stderr.splitlines()) == 1


def test_what_ships_is_shown_without_an_update(tmp_path: Path) -> None:
    """Seven vendors, their prices' days, and that it came with stepsize."""
    shown = stepsize(tmp_path, "catalog", "show").stdout
    assert "came with stepsize" in shown
    assert "Here: 1,395 servers" in shown
    assert "regions under Apache-2.0." in shown
    assert "cc-by-sa-4-0/: 3,891 servers" in shown
    assert "regions under CC-BY-SA-4.0." in shown
    assert "Prices of 2025-03-02 to 2025-06-01." in shown
    assert max(map(len, shown.partition("\n\n")[2].partition("\n\n")[0].splitlines())) <= 80
    assert {"aws", "azure", "gcp", "hcloud"} <= {line.partition(" ")[0] for line in shown.splitlines()}
