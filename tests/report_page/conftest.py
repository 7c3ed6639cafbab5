"""A page as the command writes it, and a browser that shows it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from stepsize.analyzer.course import courses
from stepsize.analyzer.formats import render, steps_drawn
from stepsize.analyzer.matching import Catalog
from stepsize.analyzer.report import build
from stepsize.analyzer.sizing import policy as policies
from stepsize.analyzer.usage import Query
from stepsize.testing import write_tasks
from tests.report_page.chromium import Chromium, installed
from tests.report_page.made_up import rows

NASTY = "<script>document.title='taken'</script><img src=x onerror=alert(1)>\x1b[31m\N{RIGHT-TO-LEFT OVERRIDE}"


def page_of(directory: Path, found: list[dict[str, object]]) -> Path:
    """The report of these rows as a file."""
    connection = write_tasks(directory / "lake", found).connect()
    with Catalog.open() as catalog:
        reports = build(connection, catalog, policies.load(), Query())
    text = render(reports, "html", courses(connection, Query(), steps_drawn(reports, "html")))
    page = directory / "report.html"
    page.write_text(text, "utf-8")
    return page


@pytest.fixture(scope="session")
def page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Ten steps of forty runs, and one whose names mean harm."""
    found = [dict(row) for row in rows(steps=10, runs=40)]
    hostile = {"flow": f"Nasty{NASTY}", "step": NASTY, "run": f"9{NASTY}", "task": NASTY, "item": NASTY, "user": NASTY}
    found += [{**row, **hostile, "task": f"{number}{NASTY}"} for number, row in enumerate(rows(steps=1, runs=4))]
    return page_of(tmp_path_factory.mktemp("page"), found)


@pytest.fixture(scope="session")
def small_page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Of every kind of part there is one: runs, a foreach, GPUs, failures."""
    wanted = ("features", "train", "tune")
    found = [dict(row) for row in rows(steps=10, runs=12) if row["step"] in wanted]
    return page_of(tmp_path_factory.mktemp("page"), found)


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Chromium]:
    program = installed()
    if program is None:
        pytest.skip("no Chromium is installed")
    started = Chromium(program, tmp_path_factory.mktemp("chromium"))
    yield started
    started.close()
