"""The live page in a real browser: what it loads, shows and says, by keyboard, on a phone, without JavaScript."""

from __future__ import annotations

import time

import pytest

from tests.collector.running import Place, RunningCollector, wait_for
from tests.interop.peers import AXE
from tests.live.conftest import CONFIG, NASTY, attempt, fill
from tests.report_page.chromium import Chromium

pytestmark = pytest.mark.peers


def url(collector: RunningCollector, path: str = "/live") -> str:
    """An address as a user writes it."""
    return f"http://{collector.http}{path}"


@pytest.mark.parametrize("dark", [False, True])
def test_nothing_is_loaded_run_or_complained_of(browser: Chromium, served: RunningCollector, dark: bool) -> None:
    """One request, no error, no breach of its own policy; a name that is a script is a name."""
    browser.view(1200, 900, dark=dark)
    browser.open(url(served))
    loaded = {event["request"]["url"] for event in browser.events("Network.requestWillBeSent")}
    assert {one for one in loaded if not one.startswith("data:")} == {url(served)}
    assert browser.events("Log.entryAdded", "Runtime.exceptionThrown", "Runtime.consoleAPICalled") == []
    assert browser.evaluate("document.title") == "Running tasks"
    assert browser.evaluate("document.scripts.length") == 1
    assert browser.evaluate("document.images.length") == 0
    shown = browser.evaluate("document.body.innerText")
    assert "<script>document.title='taken'</script><img src=x onerror=alert(1)>" in shown
    assert NASTY not in shown


def test_a_script_that_is_put_into_it_does_nothing(browser: Chromium, served: RunningCollector) -> None:
    """Its policy runs its own script and no other, and takes no style from an attribute."""
    browser.view(1200, 900)
    browser.open(url(served))
    script = (
        "const s = document.createElement('script'); s.textContent = 'window.taken = 1';"
        "document.body.append(s); window.taken === undefined"
    )
    assert browser.evaluate(script) is True


@pytest.mark.needs(AXE)
@pytest.mark.parametrize(("width", "dark"), [(1200, False), (1200, True), (320, True)])
def test_axe_has_nothing_to_say(browser: Chromium, served: RunningCollector, width: int, dark: bool) -> None:
    """Of WCAG 2.2 A and AA, and of good practice: of the front page in both schemes, on a phone too."""
    browser.view(width, 900, dark=dark)
    browser.open(url(served))
    browser.evaluate((AXE.path / "axe-core" / "axe.min.js").read_text("utf-8") + ";1")
    found = browser.evaluate("axe.run(document, {resultTypes: ['violations']}).then(r => r.violations)")
    assert [(rule["id"], rule["impact"], [node["html"][:120] for node in rule["nodes"][:3]]) for rule in found] == []


@pytest.mark.parametrize("width", [320, 390, 768, 769, 1600])
def test_no_width_needs_a_sideways_scroll(browser: Chromium, served: RunningCollector, width: int) -> None:
    """With names of hundreds of characters too."""
    browser.view(width, 900)
    browser.open(url(served))
    assert browser.evaluate("document.documentElement.scrollWidth") <= width


def test_without_javascript_it_is_read_and_walked(browser: Chromium, served: RunningCollector) -> None:
    """All there is, links to the rest and to itself; no button that would do nothing."""
    browser.view(1200, 900)
    browser.open(url(served), scripts=False)
    assert browser.evaluate("document.querySelectorAll('svg path.cpu').length") == 9
    assert browser.evaluate("document.getElementById('pause').getClientRects().length") == 0
    hrefs = browser.evaluate("[...document.links].map(link => link.href)")
    assert url(served) in hrefs
    assert sum("/live/step/" in one for one in hrefs) == 7


def test_the_keyboard_reaches_everything_and_shows_where_it_is(browser: Chromium, served: RunningCollector) -> None:
    """Each link in the order of the page, with an outline; Enter follows it."""
    browser.view(1200, 900)
    browser.open(url(served))
    seen = []
    for _ in range(4):
        browser.press("Tab")
        seen.append(browser.evaluate("document.activeElement.textContent"))
        assert browser.evaluate("getComputedStyle(document.activeElement).outlineStyle") == "solid"
    assert seen[:3] == ["All that runs", "Refresh", "Pause"]
    browser.press("Enter")
    wait_for(lambda: "/live/step/" in browser.evaluate("location.pathname"), "the step's page")


FAST = "const slow = window.setTimeout; window.setTimeout = (what, ms) => slow(what, ms / 50);"
TURNS = "new Promise(done => setTimeout(() => done(performance.getEntriesByType('resource').length), {ms}))"


def test_it_refreshes_itself_until_it_is_paused(browser: Chromium, place: Place) -> None:
    """What is new appears in its place without a load; a focused link stays so; paused, it asks for nothing."""
    collector = place.collect(CONFIG)
    fill(collector)
    browser.view(1200, 900)
    patch = browser.call("Page.addScriptToEvaluateOnNewDocument", source=FAST)
    browser.open(url(collector))
    browser.call("Page.removeScriptToEvaluateOnNewDocument", **patch)
    browser.evaluate("window.mark = 1; document.querySelector('main a').focus()")
    held = browser.evaluate("document.activeElement.getAttribute('href')")
    before = browser.evaluate("document.querySelector('main .tag').textContent")
    collector.post(attempt(int(time.time()), "new").content())
    collector.flush()
    wait_for(lambda: browser.evaluate("document.querySelector('main .tag').textContent") != before, "the new task")
    assert browser.evaluate("window.mark") == 1
    assert browser.evaluate("document.activeElement.getAttribute('href')") == held
    browser.evaluate("document.getElementById('pause').click()")
    assert browser.evaluate("document.getElementById('said').textContent") == "Paused."
    asked = browser.evaluate(TURNS.format(ms=5_000))  # what is under way may still arrive
    assert browser.evaluate(TURNS.format(ms=25_000)) == asked
    browser.evaluate("document.getElementById('pause').click()")
    wait_for(lambda: browser.evaluate("performance.getEntriesByType('resource').length") > asked, "it goes on")
    collector.process.kill()
    wait_for(lambda: "Not refreshed" in browser.evaluate("document.getElementById('said').textContent"), "a word")


def test_a_report_of_a_night_is_inert(browser: Chromium, served: RunningCollector) -> None:
    """It is shown; a script in it does nothing, and its origin is nobody's."""
    browser.view(1200, 900)
    browser.call("Page.navigate", url=url(served, "/live/reports/2026-11-20/report.html"))
    wait_for(
        lambda: (browser.evaluate("document.body && document.body.textContent") or "").endswith("ok"), "the report"
    )
    assert browser.evaluate("document.title") == "r"
    assert browser.evaluate("window.origin") == "null"
