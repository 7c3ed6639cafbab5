"""The page itself: whole, small, readable by everybody, asking nobody."""

from __future__ import annotations

import math
from html.parser import HTMLParser
from itertools import pairwise

from stepsize.api.facts import Server, Stats
from stepsize.api.statistics import Statistic
from stepsize.card.content import Content
from stepsize.card.findings import NONE
from stepsize.card.page import render
from stepsize.card.pictures import Sources, pictures
from stepsize.card.rows import rows
from stepsize.card.series import Envelope
from stepsize.model import Request

GB = 10**9
NAMES = ("cpu", "memory", "disk", "received", "sent", "gpu", "vram")


class Page(HTMLParser):
    """Its elements with their attributes, and its text."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.feed(html)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.text += data

    def of(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.elements if name == tag]


def noisy(scale: float) -> Envelope:
    """A day of samples that fills every place."""
    found = Envelope(0.0)
    for second in range(0, 86_400, 7):
        found.add(second, scale * (1 + math.sin(second) * math.sin(second / 977)))
    return found


def statistics() -> dict[str, Statistic]:
    return {"process_gpu_vram_mib": Statistic(), "process_gpu_usage": Statistic(1, maximum=1.0)}


def content(title: str = "TrainFlow/train") -> Content:
    stats = Stats(1, 86_400.0, 3600.0, 1.5, 2.0, 3.25, 2.1 * GB, 4 * GB, GB, GB, 0.5, 9 * GB, statistics())
    server = Server("box", "amd64", "linux", 8, 32 * GB, 24 * GB, "aws", "eu-west-1", "g5.2xlarge", shared=False)
    request = Request(cpu=4, memory_bytes=8 * GB, gpu=1)
    task = {name: noisy(GB) for name in NAMES}
    sources = Sources(task, {name: noisy(2 * GB) for name in NAMES}, stats, server, request)
    return Content(
        title=title,
        subtitle="run 1, task 2, attempt 0",
        status="running",
        mood="live",
        facts=(("Took", "24 h 0 min"),),
        rows=rows(stats, task, request, NONE),
        pictures=pictures(sources, None, 1.0),
        findings=NONE,
        notes=(),
        updated="2026-01-01 00:00:00 UTC",
    )


def test_a_day_with_everything_is_under_100_kb() -> None:
    """Six charts, each full of peaks."""
    found = content()
    assert [picture.name for picture in found.pictures] == ["cpu", "memory", "disk", "network", "gpu", "vram"]
    assert len(render(found, "final").encode()) < 100_000


def test_the_page_asks_nobody_for_anything() -> None:
    """No address is in it, and browsers are told to load nothing."""
    html = render(content(), "final")
    page = Page(html)
    assert "http://" not in html
    assert "https://" not in html
    assert not any("src" in attributes or "href" in attributes for _, attributes in page.elements)
    policies = [each["content"] for each in page.of("meta") if each.get("http-equiv") == "Content-Security-Policy"]
    assert len(policies) == 1
    assert "default-src 'none'" in (policies[0] or "")


def test_everybody_can_read_it() -> None:
    """A language, one main heading, charts with title and description, headers with a scope, references that hold."""
    page = Page(render(content(), "final"))
    assert page.of("html") == [{"lang": "en"}]
    assert len(page.of("h1")) == len(page.of("main")) == 1
    identifiers = [attributes["id"] for _, attributes in page.elements if "id" in attributes]
    assert len(set(identifiers)) == len(identifiers)
    for _, attributes in page.elements:
        assert set((attributes.get("aria-labelledby") or "").split()) <= set(identifiers)
    assert len(page.of("svg")) == len(page.of("desc")) == 6
    assert all(each["role"] == "img" and each["aria-labelledby"] for each in page.of("svg"))
    assert all(each.get("scope") in ("col", "row") for each in page.of("th"))
    levels = [int(tag[1]) for tag, _ in page.elements if tag in ("h1", "h2", "h3", "h4")]
    assert all(after - before <= 1 for before, after in pairwise(levels))
    assert all(each["tabindex"] == "0" for each in page.of("div") if each.get("role") == "region")


def test_names_are_text() -> None:
    """Whatever a flow is called, it steers nothing."""
    page = Page(render(content(title='<img src="x">/</title><script>alert(1)</script>'), "final"))
    assert not page.of("img")
    assert len(page.of("script")) == 1
    assert "<script>alert(1)</script>" in page.text


def test_viewers_are_told_which_state_it_is() -> None:
    """By the name that Metaflow's viewer looks for."""
    assert 'METAFLOW_RELOAD_TOKEN = "page-3"' in render(content(), "page-3")


def test_words_stand_beside_each_chart() -> None:
    """What can be seen in it can be read as well: most of the task, of the host, what was asked for."""
    said = {picture.name: picture.summary for picture in content().pictures}
    assert "this task at most 2 GB" in said["memory"]
    assert "whole host at most 4 GB" in said["memory"]
    assert "asked for 8 GB" in said["memory"]
