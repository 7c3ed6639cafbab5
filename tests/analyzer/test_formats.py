"""The five formats, from a report built on a real lake."""

from __future__ import annotations

import csv
import io
import itertools
import json
import re
from dataclasses import replace
from datetime import timedelta
from html.parser import HTMLParser
from pathlib import Path, PurePath

import pytest

from stepsize.analyzer.costs import Amounts, Costs
from stepsize.analyzer.formats import FORMATS, format_of, render, table, words
from stepsize.analyzer.formats.ranking import ranked
from stepsize.analyzer.matching import Catalog
from stepsize.analyzer.report import StepReport, Timeout, Why, build
from stepsize.analyzer.sizing import policy as policies
from stepsize.analyzer.usage import Query
from stepsize.errors import UsageError
from stepsize.testing import write_tasks
from tests.analyzer.rows import NOON, row

NASTY = "<script>alert('&')</script>|*x*"
AMOUNTS = {"cpu", "memory_mb", "gpu", "vram_mb", "disk_mb"}


@pytest.fixture(scope="module")
def reports(tmp_path_factory: pytest.TempPathFactory, catalog: Catalog) -> list[StepReport]:
    """A step of ten days, one with a name that means harm, one that still runs, one whose request is not known."""
    rows = [row(run=str(day), step="train", started_at=NOON + timedelta(days=day), target="batch") for day in range(10)]
    rows += [row(step=NASTY, task="n", started_at=NOON + timedelta(days=20), gpu_count=1.0, requested_gpu=2.0)]
    rows += [row(flow="Other\x1b[31m", step="running", outcome=None, cpu_histogram=None)]
    rows += [row(flow="job", step="job", requested_cpu=None, requested_memory_bytes=None)]
    connection = write_tasks(tmp_path_factory.mktemp("lake"), rows).connect()
    return build(connection, catalog, policies.load(), Query())


@pytest.mark.parametrize("name", FORMATS)
def test_every_format_names_every_step(reports: list[StepReport], name: str) -> None:
    """As text that ends with one newline."""
    text = render(reports, name)
    for step in ("train", "running", "job"):
        assert step in text
    assert text.endswith("\n")
    assert not text.endswith("\n\n")


@pytest.mark.parametrize("name", FORMATS)
def test_no_reports_are_no_error(name: str) -> None:
    """An empty list is a list."""
    assert render([], name)


def test_an_unknown_format_is_refused_with_those_known(reports: list[StepReport]) -> None:
    """Wrong usage."""
    with pytest.raises(UsageError, match=r"xml.*table, json, csv, markdown, html"):
        render(reports, "xml")


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("r.json", "json"),
        ("r.HTML", "html"),
        ("r.htm", "html"),
        ("a.b.md", "markdown"),
        ("r.csv", "csv"),
        ("r.txt", "table"),
    ],
)
def test_a_suffix_stands_for_a_format(name: str, expected: str) -> None:
    """In whatever case."""
    assert format_of(PurePath(name)) == expected


def test_a_suffix_that_stands_for_none_is_refused() -> None:
    """With those that do."""
    with pytest.raises(UsageError, match=r"\.json.*--format"):
        format_of(PurePath("report.pdf"))


def test_json_has_the_shape_of_the_contract(reports: list[StepReport]) -> None:
    """Keys, types, and null for what is not known."""
    found = json.loads(render(reports, "json"))
    for step in found:
        assert set(step) >= {
            *("flow", "step", "runs", "tasks", "policy", "requested", "recommended", "used", "reasons", "confidence"),
            *("failures_expected_per_1000", "wasted_gb_h", "cost_per_run", "saving_per_month", "currency", "servers"),
        }
        assert set(step["requested"]) == set(step["recommended"]) == set(step["used"]) == AMOUNTS
        assert set(step["cost_per_run"]) == {"now", "recommended"}
        assert all(isinstance(reason, str) for reason in step["reasons"])
        for server in step["servers"]:
            assert set(server) >= {"vendor_id", "server_id", "region", "price_hourly", "allocation"}
    by_step = {step["step"]: step for step in found}
    assert by_step["train"]["requested"] == {"cpu": 1, "memory_mb": 4096, "gpu": None, "vram_mb": None, "disk_mb": None}
    assert by_step["train"]["recommended"]["memory_mb"] == 650
    low, high = by_step["train"]["failures_range_per_1000"]
    assert low <= by_step["train"]["failures_expected_per_1000"] <= high
    assert [run["run"] for run in by_step["train"]["history"]] == [str(day) for day in range(3, 10)]
    assert by_step["train"]["cost_of_failure"] > 0
    assert by_step["train"]["timeout_s"]["requested"] is None
    assert by_step["train"]["timeout_s"]["recommended"] > 120
    assert by_step["train"]["saving_per_month"] is not None
    assert by_step["job"]["requested"]["memory_mb"] is None
    assert by_step["job"]["cost_per_run"]["now"] is None
    assert by_step[NASTY]["recommended"]["gpu"] == 2


def test_csv_is_a_row_a_step_with_plain_columns(reports: list[StepReport]) -> None:
    """Read back, it says what JSON says; what is not known is empty."""
    rows = {found["step"]: found for found in csv.DictReader(io.StringIO(render(reports, "csv")))}
    assert len(rows) == len(reports)
    assert rows["train"]["requested_memory_mb"] == "4096"
    assert rows["train"]["recommended_memory_mb"] == "650"
    assert float(rows["train"]["server_price_hourly"]) > 0
    assert rows["job"]["requested_memory_mb"] == ""
    assert NASTY in rows
    for found in json.loads(render(reports, "json")):
        row = rows[found["step"]]
        flat = {f"{part}_timeout_s": seconds for part, seconds in found["timeout_s"].items()}
        flat |= {f"target_{name}": value for name, value in (found["target"] or {}).items()}
        assert {name: row[name] for name in flat} == {n: "" if v is None else str(v) for n, v in flat.items()}
    assert rows["train"]["recommended_timeout_s"]
    assert rows["train"]["target_memory_unit"] == "MiB"


@pytest.mark.parametrize("color", [False, True])
def test_the_table_fits_eighty_columns(reports: list[StepReport], color: bool) -> None:
    """However long a name; colours only where they are asked for; control characters never reach a terminal."""
    text = table.render(reports, color=color)
    assert ("\x1b[" in text) is color
    assert "\x1b[31mrunning" not in text
    plain = table.render(reports)
    assert "\x1b" not in plain
    assert max(len(line) for line in plain.splitlines()) <= 80


def test_the_table_shows_the_change_and_why(reports: list[StepReport]) -> None:
    """Asked, recommended, used, reasons, servers."""
    text = " ".join(render(reports, "table").split())
    assert "4,096 → 650" in text
    assert "The highest memory peak was 600 MB" in text
    assert "asked 4,096, used 600: ask for 650" in text
    assert "@timeout(minutes=" in text
    assert "USD/h" in text


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (None, "\N{EN DASH}"),
        (0, "0"),
        (0.5, "0.5"),
        (1.02, "1.02"),
        (9.999, "10"),
        (0.003, "0.003"),
        (1e-7, "under 0.001"),
        (12.5, "12.5"),
        (99.97, "100"),
        (8000, "8,000"),
        (123456.7, "123,457"),
    ],
)
def test_amounts_are_short_and_never_exponents(value: float | None, expected: str) -> None:
    """What is not known is a dash, not a zero."""
    assert words.amount(value) == expected


@pytest.mark.parametrize(
    ("value", "expected"),
    [(None, "\N{EN DASH}"), (0.0, "0.00 USD"), (12.3, "12.30 USD"), (0.0012, "0.0012 USD"), (1e-7, "under 0.0001 USD")],
)
def test_money_shows_two_digits_of_a_small_amount(value: float | None, expected: str) -> None:
    """A run that costs a tenth of a cent does not cost nothing."""
    assert words.money(value, "USD") == expected


def test_markdown_is_a_table_that_names_cannot_break(reports: list[StepReport]) -> None:
    """Pipes and markup in a name stay in their cell."""
    text = render(reports, "markdown")
    rows = [line for line in text.splitlines() if line.startswith("| ")]
    assert len(rows) == len(reports) + 2
    assert len({line.replace("\\|", "").count("|") for line in rows}) == 1
    assert "<script>" not in text
    assert "**650**" in text


class _Page(HTMLParser):
    """Tags, attributes and text of a page."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.text += data


def test_html_is_one_file_that_loads_nothing(reports: list[StepReport]) -> None:
    """No script, no link to elsewhere, both colour schemes."""
    text = render(reports, "html")
    page = _Page(text)
    names = {tag for tag, _ in page.tags}
    assert not names & {"script", "link", "img", "iframe", "object"}
    assert not any(attribute in attributes for _, attributes in page.tags for attribute in ("src", "onload", "onclick"))
    assert all((attributes["href"] or "").startswith("#") for _, attributes in page.tags if "href" in attributes)
    assert "http" not in text.replace("http-equiv", "")
    assert "prefers-color-scheme: dark" in text


def test_html_escapes_every_name(reports: list[StepReport]) -> None:
    """A step called like a script is text."""
    page = _Page(render(reports, "html"))
    assert f"TrainFlow/{NASTY}" in page.text


def test_html_draws_and_links_every_step(reports: list[StepReport]) -> None:
    """The overview leads to a section with the distribution of peaks and of cores, and with every reason."""
    page = _Page(render(reports, "html"))
    anchors = [attributes["href"] for tag, attributes in page.tags if tag == "a"][1:]  # the first skips to the content
    sections = [f"#{attributes['id']}" for tag, attributes in page.tags if tag == "article"]
    assert anchors == sections
    assert len(sections) == len(reports)
    assert page.text.count("Attempts by memory peak, MB") >= 2 * 3  # a picture and a table of each that ended
    assert page.text.count("Time by cores in use") >= 2 * 3
    for report in reports:
        for reason in report.all_reasons:
            assert reason in page.text


def test_what_breaks_comes_before_what_costs_and_what_stays_comes_last(tmp_path: Path, catalog: Catalog) -> None:
    """A step that asks for too little ends a run; one that may stay as it is needs nobody."""
    sizes = {"kept": 4_000, "cheaper": 64_000, "broken": 1_000}
    rows = [
        row(run=str(n), task=str(n), step=step, requested_memory_bytes=mb * 10**6, memory_peak_bytes=3_000 * 10**6)
        for step, mb in sizes.items()
        for n in range(10)
    ]
    connection = write_tasks(tmp_path, rows).connect()
    built = build(connection, catalog, policies.load(), Query())[::-1]
    assert [report.step for report in ranked(built)] == ["broken", "cheaper", "kept"]
    for name in ("table", "markdown", "html"):
        text = render(built, name)
        places = [[found.start() for found in re.finditer(step, text)] for step in ("broken", "cheaper", "kept")]
        assert places[0][0] < places[1][0] < places[2][0], name
        assert places[0][-1] < places[1][-1] < places[2][-1], name
    assert [step["step"] for step in json.loads(render(built, "json"))] == [report.step for report in built]
    assert [step["step"] for step in csv.DictReader(io.StringIO(render(built, "csv")))] == [r.step for r in built]
    assert [report.step for report in built] == ["kept", "cheaper", "broken"]


def test_a_saving_that_is_a_guess_ranks_below_one_that_is_known(reports: list[StepReport]) -> None:
    """Half of it counts at medium confidence, a quarter at low; a month before a run before memory."""
    small = replace(reports[0].requested, memory_mb=1.0)

    def saving(step: str, confidence: str, a_month: float | None, now: float | None = None) -> StepReport:
        costs = Costs(now=now, recommended=0.0 if now else None, saving_per_month=a_month)
        sized = replace(reports[0], step=step, requested=replace(small, memory_mb=2.0), recommended=small)
        return replace(sized, confidence=confidence, costs=costs, timeout=Timeout())

    steps = [
        saving("memory", "high", None),
        saving("run", "low", None, now=1000.0),
        saving("guess", "low", 150.0),
        saving("half", "medium", 150.0),
        saving("known", "high", 80.0),
        saving("large guess", "low", 400.0),
    ]
    order = ["large guess", "known", "half", "guess", "run", "memory"]
    assert [report.step for report in ranked(steps)] == order


def test_more_cores_are_no_more_urgent_than_what_they_save(reports: list[StepReport]) -> None:
    """Too few cores let a task wait; too little memory ends it."""
    asked = Amounts(cpu=2.0, memory_mb=4000.0)

    def advised(step: str, a_month: float, **amounts: float) -> StepReport:
        one = replace(reports[0], step=step, requested=asked, recommended=replace(asked, **amounts))
        return replace(one, confidence="high", costs=Costs(saving_per_month=a_month), timeout=Timeout())

    steps = [
        advised("more cores", -0.03, cpu=4.0),
        advised("saves", 200.0, memory_mb=500.0),
        advised("more memory", -1.0, memory_mb=5000.0),
    ]
    assert [report.step for report in ranked(steps)] == ["more memory", "saves", "more cores"]


def test_each_reason_stands_beside_its_resource(reports: list[StepReport]) -> None:
    """What is said of the timeout is not among what is said of memory."""
    told = replace(
        reports[0],
        why=(Why(resource="memory_mb", reasons=("Of memory.",)), Why(resource="cpu", reasons=("Of cores.",))),
        reasons=("Of the step.",),
        timeout=Timeout(requested_s=60.0, recommended_s=120.0, reasons=("Of time.",)),
    )
    page = render([told], "html")
    for label, text in (
        ("memory", "Of memory."),
        ("cpu", "Of cores."),
        ("timeout", "@timeout(minutes=2). Of time."),
        ("step", "Of the step."),
    ):
        assert f"<dt>{label}</dt>\n<dd>{text}</dd>" in page
        assert f"- **{label}** {text}" in render([told], "markdown").replace("<span>@</span>", "@")
    rows = [line.strip() for line in render([told], "table").splitlines()]
    assert rows.index("Of memory.") == rows.index("Of cores.") - (3 if any(r.startswith("risk") for r in rows) else 2)
    assert any(row.startswith("timeout") and row.endswith("Of time.") for row in rows)
    (found,) = json.loads(render([told], "json"))
    assert found["reasons"][:4] == ["Of memory.", "Of cores.", "Of the step.", "Of time."]


def _lines_about(text: str, title: str) -> list[str]:
    """The block of a step in the table: from its title to the next line that is not indented."""
    lines = text.splitlines()
    start = next(index for index, line in enumerate(lines) if line.startswith(f"{title}  "))
    rest = itertools.takewhile(lambda line: line.startswith("  "), lines[start + 1 :])
    return [lines[start], *rest]


def test_the_table_spends_three_lines_on_a_step_that_stays(tmp_path: Path, catalog: Catalog) -> None:
    """Its name, why it stays, the cheapest server; what changes is told in full, as is a step asked for alone."""
    long = "a_step_whose_name_takes_more_than_the_line_that_a_terminal_has_for_it_and_then_some_more"
    rows = [row(step="changes", run=str(n)) for n in range(10)]
    rows += [row(step="few", requested_cpu=8.0), row(step="running", outcome=None), row(step=long)]
    rows += [row(step="fits", run=str(n), memory_peak_bytes=3_800 * 10**6) for n in range(10)]
    rows += [row(step="moment", duration_s=0.004, cores=3.0)]
    connection = write_tasks(tmp_path, rows).connect()
    built = build(connection, catalog, policies.load(), Query())
    text = table.render(built)
    assert max(len(line) for line in text.splitlines()) <= 80
    assert len(_lines_about(text, "TrainFlow/changes")) > 8
    for step, why in {
        "few": "Memory stays at 4,096 MB until 3 tasks have finished, 2 more needed.",
        "running": "The one attempt seen is still running: everything stays as it is.",
        "fits": "The request fits what was used.",
        "moment": "Memory stays at 4,096 MB until 3 tasks have finished, 2 more needed.",
    }.items():
        head, reason, server = _lines_about(text, f"TrainFlow/{step}")
        assert "confidence" in head
        assert reason == f"  why   {why}"
        assert re.fullmatch(r"  fits  \w+ \S+ \(.*\): .* USD/h in \S+", server)
    assert "\N{HORIZONTAL ELLIPSIS}" in text
    for report in built:
        alone = table.render([report])
        told = " ".join(alone.split())
        assert all(reason in told for reason in report.all_reasons if len(report.step) < 20), report.step
        assert len(re.findall(r"USD/h in", alone)) == len(report.costs.servers)


@pytest.mark.parametrize(
    ("costs", "long", "short"),
    [
        (
            Costs(now=3.0, recommended=1.0, saving_per_month=1204.0, currency="USD"),
            "1,204.00 USD a month",
            "1,204 USD/mo",
        ),
        (Costs(now=3.0, recommended=1.0, saving_per_month=12.3, currency="USD"), "12.30 USD a month", "12.30 USD/mo"),
        (Costs(now=3.0, recommended=2.0, currency="USD"), "1.00 USD a run", "33% a run"),
        (Costs(now=2.0, recommended=3.0, currency="USD"), "-1.00 USD a run", "-50% a run"),
        (Costs(now=2.0, recommended=2.0, currency="USD"), "none", "none"),
        (Costs(), words.UNKNOWN, words.UNKNOWN),
        (Costs(now=9e-5, recommended=7e-5, currency="USD"), "negligible", "negligible"),
        (Costs(now=7e-5, recommended=9e-5, currency="USD"), "negligible", "negligible"),
        (Costs(now=9e-5, recommended=2e-4, currency="USD"), "-0.00011 USD a run", "-122% a run"),
    ],
)
def test_a_saving_is_a_month_where_the_pace_is_known_else_a_run(costs: Costs, long: str, short: str) -> None:
    """And none where nothing changes, which is not the same as not known."""
    assert (words.saving(costs), words.saving_short(costs)) == (long, short)


@pytest.mark.parametrize(
    ("now", "then", "month", "said"),
    [
        (3.0, 1.0, 61.5, "3.00 USD → 1.00 USD; saves 61.50 USD a month"),
        (1.0, 3.0, -61.5, "1.00 USD → 3.00 USD; costs 61.50 USD more a month"),
        (3.0, 1.0, None, "3.00 USD → 1.00 USD"),
        (3.0, 3.0, 0.0, "3.00 USD, now and as advised"),
        (0.0012, 0.0011, 0.003, "0.0012 USD → 0.0011 USD"),
        (0.0, 0.0, -1e-9, "0.00 USD, now and as advised"),
    ],
)
def test_what_a_run_costs_is_said_without_a_saving_that_is_none(
    reports: list[StepReport], now: float, then: float, month: float | None, said: str
) -> None:
    """Less than half a cent a month is none, and what costs more saves nothing."""
    costs = Costs(now=now, recommended=then, saving_per_month=month, currency="USD")
    assert dict(words.bill(replace(reports[0], costs=costs)))["a run"] == said


@pytest.mark.parametrize(
    ("now", "then", "said"),
    [
        (0.1103, 0.1123, ("0.110 USD", "0.112 USD")),
        (0.11, 0.11, ("0.11 USD", "0.11 USD")),
        (0.1499, 0.1501, ("0.1499 USD", "0.1501 USD")),
        (0.00012345, 0.0001236, ("0.000123 USD", "0.000124 USD")),
        (1e-5, 2e-5, ("under 0.0001 USD", "under 0.0001 USD")),
        (5e8, 5e8 + 1e-6, ("500,000,000.00 USD", "500,000,000.00 USD")),
        (3.0, 1.0, ("3.00 USD", "1.00 USD")),
        (None, 1.0, (words.UNKNOWN, "1.00 USD")),
    ],
)
def test_two_prices_that_differ_read_differently(now: float | None, then: float, said: tuple[str, str]) -> None:
    """A run that costs more as advised is not said to cost the same."""
    assert words.of_a_run(Costs(now=now, recommended=then, currency="USD")) == said


def test_what_costs_more_in_all_is_no_saving(reports: list[StepReport]) -> None:
    """In each format that sums it up, and in each currency by itself."""

    def advised(*months: tuple[float | None, str]) -> list[StepReport]:
        return [
            replace(reports[0], step=f"step{n}", costs=Costs(now=1.0, saving_per_month=value, currency=currency))
            for n, (value, currency) in enumerate(months)
        ]

    less, more, none = advised((5.0, "USD"), (-2.0, "USD")), advised((-2.0, "USD")), advised((None, "USD"))
    mixed = advised((5.0, "USD"), (-2.0, "EUR"), (None, "USD"))
    assert words.in_all(less) == "saves 3.00 USD a month"
    assert words.in_all(more) == "costs 2.00 USD more a month"
    assert words.in_all(none) == ""
    assert words.in_all(mixed) == "saves 5.00 USD a month and costs 2.00 EUR more (without 1 step)"
    assert "not used; what is advised costs 2.00 USD more a month." in " ".join(render(more, "table").split())
    changed = [replace(one, recommended=Amounts(cpu=64.0)) for one in more]
    assert "; that costs **2.00 USD** more a month." in render(changed, "markdown")
    for found, figure in (
        (less, ("Saving a month", "3.00 USD", "")),
        (more, ("Costs more a month", "2.00 USD", "")),
        (none, ("Saving a month", "not known yet", "")),
        (mixed, ("Saving a month", "5.00 USD", " <small>and 2.00 EUR more to pay, without 1 step</small>")),
    ):
        label, value, note = figure
        assert f"<dt>{label}</dt><dd>{value}{note}</dd>" in render(found, "html")


def test_a_step_that_ran_out_of_memory_says_so_where_it_is_ranked(reports: list[StepReport]) -> None:
    """Why it comes first is seen before anything is unfolded."""
    failed = replace(reports[0], outcomes=(("ok", 1_238), ("oom", 3)))
    assert '<small class="bad">3 of 1,241 attempts ran out of memory</small></th>' in render([failed], "html")
    assert "ran out of memory</small>" not in render(reports[:1], "html")


def test_html_shows_what_the_last_runs_would_have_been(reports: list[StepReport]) -> None:
    """A row a run, folded: only steps that were seen for long enough have them."""
    page = render(reports, "html")
    assert page.count("How this policy would have done") == 1
    assert "The last 7 runs<span" in page
    assert len(re.findall(r"<tr><th scope=\"row\">\d</th><td>\d{3}</td><td>1</td><td>0</td>", page)) == 7


@pytest.mark.parametrize("name", ["markdown", "html"])
def test_what_a_catalogue_says_is_text(reports: list[StepReport], name: str) -> None:
    """Currencies, regions and servers come from elsewhere too."""
    harm = "<i>|`@x"
    found = next(report for report in reports if report.step == "train")
    offer = replace(found.costs.servers[0], vendor_id=harm, server_id=harm, region=harm, currency=harm)
    costs = replace(found.costs, servers=(offer,), currency=harm)
    text = render([replace(found, costs=costs)], name)
    assert "<i>" not in text
    if name == "markdown":
        (row,) = (line for line in text.splitlines() if line.startswith("| TrainFlow"))
        assert len(re.findall(r"(?<!\\)\|", row)) == 8
