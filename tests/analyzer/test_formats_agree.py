"""Five formats, one report: the same steps and figures in each, whatever steps are called and whatever was measured.

What is compared is read back from the text by other means than what wrote it: CSV by Python's and DuckDB's readers,
Markdown by a parser of CommonMark, the page by one of HTML, and all of it is held against the JSON.
"""

from __future__ import annotations

import csv
import io
import json
import re
from datetime import timedelta
from html.parser import HTMLParser
from pathlib import Path

import duckdb
import pytest
from markdown_it import MarkdownIt
from rich.cells import cell_len

from stepsize.analyzer.formats import render, table
from stepsize.analyzer.formats.csv_text import as_csv
from stepsize.analyzer.matching import Catalog
from stepsize.analyzer.report import StepReport, build
from stepsize.analyzer.sizing import policy as policies
from stepsize.analyzer.usage import Query
from stepsize.testing import write_tasks
from tests.analyzer.rows import MB, NOON, row

NAMES = (
    *("<script>alert(1)</script>", "a|b`c`*d*_e_~f~[l](http://x)", "-->", "</style><style>*{}", "{{7*7}}", "'\"&<>;,"),
    *("@octocat #123 GH-12 owner/repo#5 https://x.example www.x.example :smile: $x$ a@b.c", "c:\\temp\\n", "   ", ""),
    *("=cmd|' /C calc'!A0", "+1", "-1", "@SUM(A1)", "\t=1", "\r=2", "\N{FULLWIDTH EQUALS SIGN}1", "1e5", "TRUE"),
    *("line\nbreak\r\nand\rmore", "nul\x00", "\x1b[31mred", "\x9b31m\x7f\x85\N{LINE SEPARATOR}", "x" * 300),
    *("\N{RIGHT-TO-LEFT OVERRIDE}live", "\u05e9\u05dc\u05d5\u05dd", "\N{CJK UNIFIED IDEOGRAPH-6F22}" * 48),
    *("\N{PARTY POPPER}" * 9, "a\N{COMBINING ACUTE ACCENT}", "\N{ZERO WIDTH SPACE}zero"),
)
AMOUNTS = ("memory_mb", "cpu")


def shown(name: str) -> str:
    """A name where it is made visible: a character that is not printable is a replacement character."""
    return "".join(character if character.isprintable() else "\N{REPLACEMENT CHARACTER}" for character in name)


@pytest.fixture(scope="module")
def reports(tmp_path_factory: pytest.TempPathFactory, catalog: Catalog) -> list[StepReport]:
    """Steps of every kind, with ordinary names, and one of each name that means harm."""
    kinds: dict[str, dict[str, object]] = {
        "spare": {"requested_memory_bytes": 64_000 * MB, "requested_cpu": 16.0},
        "short": {"outcome": "oom", "memory_peak_bytes": 4096 * MB},
        "failed": {"outcome": "failed"},
        "half": {"cores": 12.4, "requested_cpu": 12.5},
        "tiny": {"memory_peak_bytes": 3_000, "requested_memory_bytes": 4_000_000, "cores": 0.003, "duration_s": 0.5},
        "unasked": {"requested_cpu": None, "requested_memory_bytes": None},
        "unread": {"memory_peak_bytes": None, "cpu_histogram": None, "cpu_mean": None, "cpu_max": None},
        "odd": {"cpu_mean": float("nan"), "cpu_max": -3.0, "requested_memory_bytes": -7, "throttled_s": float("inf")},
        "huge": {"memory_peak_bytes": 2**61, "requested_memory_bytes": 2**62, "cores": 1e5, "requested_cpu": 1e6},
        "gpu": {"requested_gpu": 2.0, "gpu_count": 1.0, "gpu_memory_peak_bytes": 9_000 * MB},
    }
    rows = [
        row(step=step, run=str(n), task=str(n), started_at=NOON + timedelta(hours=9 * n), **values)
        for step, values in kinds.items()
        for n in range(8)
    ]
    rows += [
        row(
            flow=f"{name}flow" if name else "",
            step=name,
            task=name,
            run=name,
            item=name,
            user=name,
            project=name or None,
        )
        for name in NAMES
    ]
    connection = write_tasks(tmp_path_factory.mktemp("lake"), rows).connect()
    return build(connection, catalog, policies.load(), Query())


@pytest.fixture(scope="module")
def records(reports: list[StepReport]) -> list[dict[str, object]]:
    found: list[dict[str, object]] = json.loads(render(reports, "json"))
    assert len(found) == len(reports) == 10 + len(NAMES)
    return found


def title(record: dict[str, object]) -> str:
    return shown(f"{record['flow']}/{record['step']}" + (f" ({record['project']})" if record["project"] else ""))


def says(text: str, value: float | None) -> bool:
    """Whether a figure that people read is ``value``, as exactly as it is written."""
    if value is None:
        return text == "\N{EN DASH}"
    if text.startswith("under "):
        return 0 < value < float(text.removeprefix("under "))
    decimals = len(text.partition(".")[2])
    return abs(float(text.replace(",", "")) - value) <= 0.5000001 * 10**-decimals and (value == 0) == (text == "0")


def change(record: dict[str, object], name: str, text: str) -> bool:
    """``16 → 8``, or one figure where nothing changes."""
    asked, advised = (record[part][name] for part in ("requested", "recommended"))  # type: ignore[index]  # JSON
    first, arrow, then = text.partition(" → ")
    return says(first, asked) and (says(then, advised) if arrow else asked == advised)


class Text(HTMLParser):
    """A page's or a comment's tables as rows of cells, and each run of text between two tags."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.rows: list[list[str]] = []
        self.runs: list[str] = []
        self.hidden = 0
        self.in_cell = False
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag == "tr":
            self.rows.append([])
        if tag in ("td", "th"):
            self.rows[-1].append("")
            self.in_cell = True
        if tag == "span" and ("class", "hidden") in attrs:
            self.hidden += 1

    def handle_endtag(self, tag: str) -> None:
        if tag == "span" and self.hidden:
            self.hidden -= 1
        if tag in ("td", "th"):
            self.in_cell = False

    def handle_data(self, data: str) -> None:
        self.runs.append(data)
        if self.in_cell and not self.hidden:
            self.rows[-1][-1] += data


def test_csv_is_the_json_in_rows(reports: list[StepReport], records: list[dict[str, object]]) -> None:
    """To any reader: names as they are, but for what a spreadsheet would run and what no reader takes."""
    text = render(reports, "csv")
    rows = list(csv.DictReader(io.StringIO(text, newline="")))
    assert len(rows) == len(records)
    for found, record in zip(rows, records, strict=True):
        for name in ("flow", "step", "project"):
            said = re.sub("[\x00\x1b\x7f\x85\x9b]", "\N{REPLACEMENT CHARACTER}", str(record[name] or ""))
            assert found[name] == (f"'{said}" if said[:1] in set("=+-@\t\r\N{FULLWIDTH EQUALS SIGN}") else said)
        for part in ("requested", "used", "recommended"):
            told = {name: found[f"{part}_{name}"] for name in record[part]}  # type: ignore[attr-defined]  # JSON
            assert told == {n: "" if v is None else str(v) for n, v in record[part].items()}  # type: ignore[attr-defined]
        cost: float | None = record["cost_per_run"]["now"]  # type: ignore[index]  # JSON
        assert found["cost_per_run_now"] == ("" if cost is None else str(cost))


def test_duckdb_reads_the_csv_by_itself(reports: list[StepReport], tmp_path: Path) -> None:
    """A row a step, whatever ends a line inside of a name, and numbers that are numbers."""
    path = tmp_path / "report.csv"
    path.write_bytes(render(reports, "csv").encode())
    found = duckdb.connect().execute(
        f"SELECT typeof(requested_cpu), count(*) FROM read_csv('{path}', all_varchar = false) GROUP BY 1"
    )
    assert found.fetchall() == [("DOUBLE", len(reports))]


@pytest.mark.parametrize("name", ["a\rb", "a\nb", 'a"b', "a,b", "=1", "\rb"])
def test_a_row_of_any_csv_is_one_row(name: str) -> None:
    """Of catalogues and of backtests too; a number below zero is a number."""
    text = as_csv([{"name": name, "value": -1.5}, {"name": "next", "value": None}], ("name", "value"))
    rows = list(csv.reader(io.StringIO(text, newline="")))
    assert [row[1] for row in rows] == ["value", "-1.5", ""]
    assert rows[1][0].removeprefix("'") == name
    assert rows[1][0].startswith("'") == (name[0] in "=\r")
    assert text.endswith("next,\n")


def test_json_has_names_as_they_are_and_steers_no_terminal(
    reports: list[StepReport], records: list[dict[str, object]]
) -> None:
    """Escapes stand for what cannot be seen."""
    assert {record["step"] for record in records} >= set(NAMES)
    assert all(line.isprintable() for line in render(reports, "json").split("\n"))


def test_markdown_is_read_as_the_same_steps_and_figures(
    reports: list[StepReport], records: list[dict[str, object]]
) -> None:
    """By GitHub's rules for tables; no name ends its cell or begins anything."""
    html = (
        MarkdownIt("commonmark", {"html": True}).enable(["table", "strikethrough"]).render(render(reports, "markdown"))
    )
    by_title = {" ".join(title(record).split())[:200]: record for record in records}
    rows = Text(html).rows[1:]
    assert len(rows) == len(records)
    for name, memory, used_memory, cpu, used_cpu, _, confidence in rows:
        record = by_title.pop(" ".join(name.split()).removesuffix("\N{HORIZONTAL ELLIPSIS}")[:200])
        assert change(record, "memory_mb", memory)
        assert change(record, "cpu", cpu)
        assert says(used_memory, record["used"]["memory_mb"])  # type: ignore[index]  # JSON
        assert says(used_cpu, record["used"]["cpu"])  # type: ignore[index]  # JSON
        assert confidence == record["confidence"]
    assert not by_title
    assert set(re.findall(r"<(\w+)", html)) <= {
        *(
            "h1",
            "p",
            "strong",
            "em",
            "table",
            "thead",
            "tbody",
            "tr",
            "th",
            "td",
            "span",
            "details",
            "summary",
            "ul",
            "li",
        )
    }


def test_markdown_calls_nobody_and_links_nothing(reports: list[StepReport]) -> None:
    """GitHub looks for mentions, numbers of issues and addresses in each run of text: `@timeout` is somebody's name."""
    text = render(reports, "markdown")
    assert "timeout(minutes=" in text
    runs = Text(MarkdownIt("commonmark", {"html": True}).enable("table").render(text)).runs
    for run in runs:
        assert not re.search(r"@\w|#\d|GH-\d|://|www\.|:\w+:|\$.*\$", run, re.IGNORECASE), run
    assert "@" in runs


def test_the_page_shows_the_same_steps_and_figures(reports: list[StepReport], records: list[dict[str, object]]) -> None:
    """In its first table, as a browser would copy it."""
    rows = Text(render(reports, "html")).rows[1 : len(reports) + 1]
    by_title = {" ".join(title(record).split()): record for record in records}
    for rank, (number, name, memory, cpu, _, _, confidence) in enumerate(rows, 1):
        assert number == str(rank)
        record = by_title.pop(re.sub(r" [\d,]+ of [\d,]+ attempts? ran out of memory$", "", " ".join(name.split())))
        for field, cell in zip(AMOUNTS, (memory, cpu), strict=True):
            changed, used = " ".join(cell.split()).rsplit(" used ", 1)
            assert change(record, field, changed)
            assert says(used, record["used"][field])  # type: ignore[index]  # JSON
        assert confidence == record["confidence"]
    assert not by_title


@pytest.mark.parametrize("width", [20, 33, 48, 60, 79, 80, 100, 120])
def test_the_table_fits_and_cuts_no_figure(
    reports: list[StepReport], records: list[dict[str, object]], width: int
) -> None:
    """On a terminal of any width, with characters that take two columns: what does not fit in columns is a list."""
    ordinary = [one for one in reports if one.step not in (*NAMES, "huge")]
    for chosen in (reports, ordinary):
        text = table.render(chosen, width=width)
        assert max(map(cell_len, text.split("\n"))) <= width
        overview = text.partition("confidence")[0] if width > 30 else text
        told = "".join(overview.split())
        if width < table.WIDTH:
            assert "\N{HORIZONTAL ELLIPSIS}" not in overview
        for record in records:
            if record["step"] in {one.step for one in chosen if one.step not in NAMES}:
                assert told.startswith("stepmemory") or f"{record['flow']}/{record['step']}" in told
                asked, advised = (record[part]["memory_mb"] for part in ("requested", "recommended"))  # type: ignore[index]
                if asked is not None and asked != advised and asked >= 1:
                    assert f"{asked:,.0f}→{advised:,.0f}" in told


def test_ordinary_steps_are_a_table_at_eighty_columns(reports: list[StepReport]) -> None:
    """One line a step."""
    ordinary = [one for one in reports if one.step not in (*NAMES, "huge")]
    lines = table.render(ordinary).split("\n")
    assert lines[1].split() == ["step", "memory", "MB", "used", "cpu", "used", "saving"]
    assert all(any(line.startswith(f" {one.title} ") for line in lines) for one in ordinary)
