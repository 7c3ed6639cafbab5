"""How large the HTML report is, what making it costs, and how soon a real browser shows it.

What comes in: nothing. What goes out: a table for 50 steps of 1,000 runs each (a made-up lake): bytes, packed with gzip
too; CPU seconds of the report, of what its pictures need, of writing it; and in a headless Chromium, from the start of
the navigation: until it was painted first, until the document was read to its end (`domContentLoaded`), and until a
frame was shown after that; in light and dark, on a desktop and a phone. Medians of many openings.
Run: ``python benchmarks/report_page.py --results benchmarks/results --images docs/images``.
"""

from __future__ import annotations

import argparse
import gzip
import os
import platform
import statistics
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from stepsize.analyzer.course import courses
from stepsize.analyzer.formats import render, steps_drawn
from stepsize.analyzer.matching import Catalog
from stepsize.analyzer.report import build
from stepsize.analyzer.sizing import policy as policies
from stepsize.analyzer.usage import Query
from stepsize.testing import write_tasks
from tests.report_page.chromium import Chromium, installed
from tests.report_page.made_up import rows

STEPS, RUNS = 50, 1_000
VIEWS = (("desktop, light", 1280, 900, False), ("desktop, dark", 1280, 900, True), ("phone", 390, 844, False))
TIMES = """
(() => { const [page] = performance.getEntriesByType('navigation');
const paint = performance.getEntriesByName('first-contentful-paint')[0];
return [page.domContentLoadedEventEnd, paint ? paint.startTime : null, performance.now()]; })()
"""


@dataclass(frozen=True)
class Made:
    """A page and what it took, CPU seconds."""

    text: str
    attempts: int
    report_s: float
    courses_s: float
    render_s: float


def made(directory: Path, steps: int, runs: int) -> Made:
    """The page of a lake of so many steps and runs."""
    found = list(rows(steps, runs))
    connection = write_tasks(directory, found).connect()
    began = time.process_time()
    with Catalog.open() as catalog:
        reports = build(connection, catalog, policies.load(), Query())
    built = time.process_time()
    drawn = courses(connection, Query(), steps_drawn(reports, "html"))
    read = time.process_time()
    text = render(reports, "html", drawn)
    return Made(text, len(found), built - began, read - built, time.process_time() - read)


def opened(browser: Chromium, page: Path, times: int) -> list[str]:
    """Rows of the table: medians and worst of so many openings."""
    lines = []
    for name, width, height, dark in VIEWS:
        browser.view(width, height, dark=dark)
        seen: list[tuple[float, float, float, float]] = []
        for _ in range(times):
            browser.open(page)
            usable, painted, whole = browser.evaluate(TIMES)
            metrics = browser.call("Performance.getMetrics")["metrics"]
            worked = next(one["value"] for one in metrics if one["name"] == "TaskDuration")
            seen.append((painted if painted is not None else whole, usable, whole, worked * 1000))
        columns = zip(*seen, strict=True)
        cells = [f"{statistics.median(values):,.0f} (at most {max(values):,.0f})" for values in map(list, columns)]
        lines.append(f"| {name} | {' | '.join(cells)} |")
    return lines


def pictures(browser: Chromium, page: Path, into: Path) -> None:
    """What README shows: light, dark, a phone."""
    into.mkdir(parents=True, exist_ok=True)
    shots = (
        ("report-light.png", 1180, 900, False, "h1"),
        ("report-step-dark.png", 1180, 900, True, "#step-2-1"),
        ("report-phone.png", 390, 844, False, "h1"),
    )
    for name, width, height, dark, place in shots:
        browser.view(width, height, dark=dark)
        browser.open(page)
        browser.evaluate(f"document.querySelector('{place}').scrollIntoView({{behavior: 'instant'}})")
        if place == "h1":
            browser.evaluate("scrollTo({top: 0, behavior: 'instant'})")
        (into / name).write_bytes(browser.picture())


def main() -> None:
    """Measure, print, and write where it is asked for."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--times", type=int, default=15, help="openings of each view")
    parser.add_argument("--results", type=Path, help="directory for report_page.md")
    parser.add_argument("--images", type=Path, help="directory for screenshots")
    options = parser.parse_args()
    program = installed()
    if program is None:
        sys.exit("no Chromium is installed")
    with tempfile.TemporaryDirectory() as scratch:
        directory = Path(scratch)
        page = directory / "report.html"
        one = made(directory / "lake", STEPS, RUNS)
        page.write_text(one.text, "utf-8")
        browser = Chromium(program, directory / "profile")
        try:
            browser.call("Performance.enable")
            browser.open(page)  # the first opening warms the browser, not the page
            lines = opened(browser, page, options.times)
            elements = browser.evaluate("document.querySelectorAll('*').length")
            if options.images:
                pictures(browser, page, options.images)
        finally:
            browser.close()
    text = _table(one, elements, lines, options.times)
    print(text)
    if options.results:
        (options.results / "report_page.md").write_text(text, "utf-8")


def _table(one: Made, elements: int, lines: list[str], times: int) -> str:
    size, packed = len(one.text.encode()), len(gzip.compress(one.text.encode()))
    return f"""# The HTML report of 50 steps of 1,000 runs each

`python benchmarks/report_page.py --results benchmarks/results --images docs/images`; {platform.machine()},
{len(os.sched_getaffinity(0))} cores, shared with other work; Python {platform.python_version()}.

{size:,} bytes ({packed:,} packed with gzip), {elements:,} elements, of {one.attempts:,} attempts.

| made of | CPU seconds |
| --- | --- |
| the report | {one.report_s:.2f} |
| what its pictures need (two queries) | {one.courses_s:.2f} |
| the page | {one.render_s:.2f} |

Milliseconds from the start of the navigation in a headless Chromium, medians of {times} openings; work is what its main
thread did.

| view | first painted | read to its end | shown after that | work |
| --- | --- | --- | --- | --- |
{chr(10).join(lines)}
"""


if __name__ == "__main__":
    main()
