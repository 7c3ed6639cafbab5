"""The page in a real browser: what it loads, shows, says to those who do not see it, and puts on paper."""

from __future__ import annotations

import base64
import itertools
import re
from pathlib import Path
from typing import Any

import pytest

from tests.interop.peers import AXE
from tests.report_page.chromium import Chromium
from tests.report_page.conftest import NASTY

pytestmark = pytest.mark.peers

OVERFLOWING = """
[...document.querySelectorAll('body *')].filter(element => {
  const box = element.getBoundingClientRect();
  return box.width && box.right > innerWidth + 1 && !element.closest('.scroll, .hidden, .skip, thead');
}).map(element => element.outerHTML.slice(0, 80))
"""

CUT_OFF = """
[...document.querySelectorAll('.scroll')].filter(one => one.scrollWidth > one.clientWidth)
  .map(one => [one.getAttribute('aria-label'), one.scrollWidth, one.clientWidth])
"""
BROKEN = """
[...document.querySelectorAll('.stack td > div')].filter(cell => {
  const line = parseFloat(getComputedStyle(cell).lineHeight);
  const picture = cell.querySelector('svg') ? 12 : 0;
  return cell.getBoundingClientRect().height > 2 * line + picture;
}).map(cell => cell.textContent)
"""
LONELY = """
[...document.querySelectorAll('h2, h3, h4')].filter(head => head.getClientRects().length)
  .filter(head => { const next = head.nextElementSibling; return next && !next.getBoundingClientRect().height; })
  .map(head => head.textContent)
"""
HEADINGS = """
[...document.querySelectorAll('h4')].filter(head => head.getClientRects().length)
  .map(head => head.textContent).filter(text => text.startsWith('How this policy'))
"""
PAINTED = """
(() => {
  const found = {page: getComputedStyle(document.body).backgroundColor};
  for (const kind of ['was', 'unused', 'solid', 'idle', 'advised']) {
    const style = getComputedStyle(document.querySelector('svg path.' + kind));
    found[kind] = [style.fill, style.stroke === 'none' ? 'none' : 'line'];
  }
  return found;
})()
"""
INVISIBLE_KEYS = """
[...document.querySelectorAll('.key li')].filter(one => {
  const style = getComputedStyle(one, '::before'), page = getComputedStyle(document.body).backgroundColor;
  const seen = color => color !== page && color !== 'rgba(0, 0, 0, 0)';
  return !seen(style.backgroundColor) && !(parseFloat(style.borderTopWidth) && seen(style.borderTopColor));
}).map(one => one.className)
"""


@pytest.mark.parametrize("dark", [False, True])
def test_nothing_is_loaded_run_or_complained_of(browser: Chromium, page: Path, dark: bool) -> None:
    """One file, no error, no breach of its own policy; a name that is a script is a name."""
    browser.view(1200, 900, dark=dark)
    browser.open(page)
    loaded = [event["request"]["url"] for event in browser.events("Network.requestWillBeSent")]
    assert loaded == [page.as_uri()]
    assert browser.events("Log.entryAdded", "Runtime.exceptionThrown", "Runtime.consoleAPICalled") == []
    assert browser.evaluate("document.title") == "What each step should ask for"
    assert browser.evaluate("document.scripts.length + document.images.length") == 0
    shown = browser.evaluate("document.body.textContent")
    assert "<script>document.title='taken'</script><img src=x onerror=alert(1)>" in shown
    assert NASTY not in shown  # what steers a terminal, or turns the text around, is made visible


def test_its_policy_allows_its_one_style_and_nothing_else(browser: Chromium, page: Path) -> None:
    """What would be put into the page by a name that was not escaped does nothing."""
    browser.view(1200, 900)
    browser.open(page)
    assert browser.evaluate("document.styleSheets[0].cssRules.length") > 50
    harm = (
        "const a = document.createElement('div'); a.innerHTML = '<b style=\"color:rgb(1,2,3)\">x</b>';"
        "document.body.append(a); getComputedStyle(a.firstChild).color"
    )
    assert browser.evaluate(harm) != "rgb(1, 2, 3)"
    script = (
        "const s = document.createElement('script'); s.textContent = 'window.taken = 1';"
        "document.body.append(s); window.taken === undefined"
    )
    assert browser.evaluate(script) is True


@pytest.mark.needs(AXE)
@pytest.mark.parametrize(("width", "dark", "unfolded"), [(1200, False, True), (1200, True, False), (320, True, True)])
def test_axe_has_nothing_serious_to_say(
    browser: Chromium, small_page: Path, width: int, dark: bool, unfolded: bool
) -> None:
    """Nor anything of less weight: of WCAG 2.2 A and AA, and of good practice, in both schemes, on a phone too."""
    browser.view(width, 900, dark=dark)
    browser.open(small_page)
    browser.evaluate(f"document.querySelectorAll('details').forEach(one => one.open = {str(unfolded).lower()})")
    browser.evaluate((AXE.path / "axe-core" / "axe.min.js").read_text("utf-8") + ";1")
    found = browser.evaluate("axe.run(document, {resultTypes: ['violations']}).then(r => r.violations)")
    assert [(rule["id"], rule["impact"], [node["html"][:120] for node in rule["nodes"][:3]]) for rule in found] == []


@pytest.mark.parametrize(
    ("width", "media"), [(320, ""), (390, ""), (900, ""), (901, ""), (1600, ""), (640, "print"), (718, "print")]
)
def test_no_width_needs_a_sideways_scroll(browser: Chromium, page: Path, width: int, media: str) -> None:
    """Folded or not, on a screen and on paper (A4 has 718); wide tables of figures scroll in a place of their own."""
    browser.view(width, 900, media=media)
    browser.open(page)
    browser.evaluate("document.querySelectorAll('details').forEach(one => one.open = true)")
    assert browser.evaluate("document.documentElement.scrollWidth") <= width
    assert browser.evaluate(OVERFLOWING) == []


def test_text_twice_as_large_fits_a_phone(browser: Chromium, page: Path) -> None:
    """WCAG 1.4.4 and 1.4.10: nothing is cut off, nothing scrolls sideways."""
    browser.view(640, 900)
    browser.open(page)
    browser.call("Emulation.setPageScaleFactor", pageScaleFactor=1)
    browser.evaluate(
        "document.documentElement.style.setProperty('font-size', '200%'); document.body.style.fontSize = '30px'"
    )
    assert browser.evaluate("document.documentElement.scrollWidth") <= 640


def test_the_keyboard_reaches_everything_in_order(browser: Chromium, page: Path) -> None:
    """First a way past the head, then the steps as they are ranked, then what each has to unfold; the focus is seen."""
    browser.view(1200, 900)
    browser.open(page)
    browser.press("Tab")
    assert browser.evaluate("document.activeElement.getAttribute('href')") == "#first"
    assert browser.evaluate("document.activeElement.getBoundingClientRect().left") >= 0
    browser.press("Enter")
    browser.press("Tab")
    seen = []
    for _ in range(11):
        seen.append(browser.evaluate("document.activeElement.getAttribute('href')"))
        outline = browser.evaluate("getComputedStyle(document.activeElement).outlineStyle")
        assert outline != "none"
        browser.press("Tab")
    assert seen == [f"#step-{rank}" for rank in range(1, 12)]
    assert browser.evaluate("document.activeElement.tagName") == "SUMMARY"
    browser.press("Enter")
    assert browser.evaluate("document.activeElement.parentElement.open") is True
    browser.press("Tab")
    assert browser.evaluate("document.activeElement.getAttribute('role')") == "region"


def test_a_screen_reader_hears_every_picture_and_table(browser: Chromium, page: Path) -> None:
    """Each picture has a name and says what is in it; headings step down one at a time; tables have heads."""
    browser.view(390, 900)
    browser.open(page)
    nodes: list[dict[str, Any]] = browser.call("Accessibility.getFullAXTree")["nodes"]
    pictures = [node for node in nodes if node.get("role", {}).get("value") in ("image", "img")]
    drawn = browser.evaluate("document.querySelectorAll('figure svg').length")
    assert len(pictures) == drawn > 50
    assert all(re.search(r"\w .*\d", node["name"]["value"]) for node in pictures)
    levels = browser.evaluate("[...document.querySelectorAll('h1,h2,h3,h4')].map(h => Number(h.tagName[1]))")
    assert levels[0] == 1
    assert levels.count(1) == 1
    assert all(after <= before + 1 for before, after in itertools.pairwise(levels))
    # Stacked on a phone, a row is still a row: its cells keep their roles.
    roles = [node.get("role", {}).get("value") for node in nodes if not node.get("ignored")]
    assert roles.count("rowheader") >= 20
    assert roles.count("columnheader") >= 7
    untold = "[...document.querySelectorAll('th')].filter(head => !head.getAttribute('scope')).length"
    assert browser.evaluate(untold) == 0


@pytest.mark.parametrize("media", ["", "print"])
def test_dark_and_light_differ_and_paper_is_always_light(browser: Chromium, page: Path, media: str) -> None:
    """The scheme is the reader's."""
    seen = []
    for dark in (False, True):
        browser.view(1200, 900, dark=dark, media=media)
        browser.open(page)
        seen.append(browser.evaluate("getComputedStyle(document.body).backgroundColor"))
    assert (seen[0] == seen[1]) == (media == "print")


def test_paper_has_all_of_it(browser: Chromium, page: Path) -> None:
    """What is unfolded is on it, whole; of what is folded there is no heading either."""
    pages = []
    for unfolded in (False, True):
        browser.view(718, 900, media="print")  # A4 between its margins
        browser.open(page)
        browser.evaluate(f"document.querySelectorAll('details').forEach(one => one.open = {str(unfolded).lower()})")
        assert browser.evaluate(CUT_OFF) == []
        assert browser.evaluate(LONELY) == []
        assert (browser.evaluate(HEADINGS) == []) is not unfolded
        browser.view(1200, 900)
        printed = base64.b64decode(browser.call("Page.printToPDF", printBackground=True)["data"])
        assert printed.startswith(b"%PDF")
        pages.append(len(re.findall(rb"/Type\s*/Page\b", printed)))
    assert 10 <= pages[0] < pages[1]


def test_figures_fit_a_desktop_without_a_sideways_scroll(browser: Chromium, page: Path) -> None:
    """A table of runs has fifteen columns: none of them is beyond the edge where nobody looks."""
    browser.view(1280, 900)
    browser.open(page)
    browser.evaluate("document.querySelectorAll('details').forEach(one => one.open = true)")
    assert browser.evaluate("document.querySelectorAll('.scroll').length") > 20
    assert browser.evaluate(CUT_OFF) == []


def test_a_step_takes_two_lines_of_the_first_table(browser: Chromium, page: Path) -> None:
    """A figure, and what it was or will be below: on a desktop neither is broken in two."""
    for width in (1000, 1280):
        browser.view(width, 900)
        browser.open(page)
        assert browser.evaluate("document.querySelectorAll('.stack td > div').length") == 5 * 11
        assert browser.evaluate(BROKEN) == []


@pytest.mark.parametrize("dark", [False, True])
def test_contrast_themes_tell_asked_used_and_advised_apart(browser: Chromium, small_page: Path, dark: bool) -> None:
    """By shape and in the theme's own colours, in pictures and in what explains them."""
    browser.view(1200, 900, dark=dark, forced_colors=True)
    browser.open(small_page)
    ways = browser.evaluate(PAINTED)
    assert ways["was"] == ways["unused"] == ["none", "line"]
    for kind in ("solid", "idle"):
        assert ways[kind][0] not in ("none", ways["page"])
    assert ways["solid"] != ways["idle"]
    assert ways["advised"][0] == "none"
    assert browser.evaluate(INVISIBLE_KEYS) == []


def test_who_wants_no_motion_gets_none(browser: Chromium, page: Path) -> None:
    """A link to a step scrolls at once."""
    for motion, behaviour in ((True, "smooth"), (False, "auto")):
        browser.view(1200, 900, motion=motion)
        browser.open(page)
        assert browser.evaluate("getComputedStyle(document.documentElement).scrollBehavior") == behaviour
    assert browser.evaluate("document.getAnimations().length") == 0


def test_it_reads_without_javascript(browser: Chromium, page: Path) -> None:
    """It has none; what is folded unfolds without it."""
    browser.view(1200, 900)
    browser.open(page, scripts=False)
    assert browser.evaluate("document.querySelectorAll('article').length") == 11
