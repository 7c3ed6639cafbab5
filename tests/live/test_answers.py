"""What the live page answers, to whom, and what it costs those who send points."""

from __future__ import annotations

import asyncio
import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor, as_completed

import psutil
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stepsize.collector.config.service import default_text, parse
from stepsize.collector.live.html import shown
from stepsize.collector.live.paths import Step, step_path
from stepsize.collector.live.paths import parse as parse_path
from stepsize.collector.live.records import StepName
from stepsize.collector.live.renderer import MOST_WAITING, Renderer
from stepsize.errors import ConfigError, RetryableError
from stepsize.store.reports import LocalShelf
from tests.collector.running import Place, RunningCollector, wait_for
from tests.live.conftest import CONFIG, NASTY, WIDE, attempt, get

LINK = re.compile(r'href="(/live/step/[^"]+)"')


def links(text: str) -> list[str]:
    """Addresses of steps on a page, each once."""
    return list(dict.fromkeys(LINK.findall(text)))


def renderers(collector: RunningCollector) -> list[psutil.Process]:
    """The processes that make pages."""
    children = psutil.Process(collector.process.pid).children()
    return [one for one in children if "stepsize.collector.live.process" in one.cmdline()]


def test_running_ended_and_reports_are_on_the_front_page(served: RunningCollector) -> None:
    """All steps with running attempts, three of a wide one and a link to the rest; what ended; a night's report."""
    found = get(served)
    assert found.status == 200
    assert f"{WIDE + 6} running</span> in 6 steps" in found.text
    assert f"and {WIDE - 3} more" in found.text
    assert 'class="bad">failed' in found.text
    assert 'href="/live/reports/2026-11-20/report.html"' in found.text
    assert "CPU 1 core of 2 cores" in found.text
    assert not re.search(r"[^a-z](nan|inf)[^a-z]", found.text)
    assert "Memory 2.19GiB of 4GiB" in found.text
    assert re.search(r"newest figure of a running task \d+ (s|min \d+ s) ago", found.text)


def test_a_wide_step_is_paged(served: RunningCollector) -> None:
    """Each of its attempts is on one of its pages, and on no other; a page beyond the last is the last."""
    path = next(link for link in links(get(served).text) if _decoded(link) == b'["TrainFlow", "17"]')
    pages = [get(served, path.rpartition("/")[0] + f"/{number}").text for number in (1, 2, 99)]
    tasks = [re.findall(r"task <bdi>(\d+)</bdi>", text) for text in pages]
    assert sorted(map(int, tasks[0] + tasks[1])) == list(range(WIDE))
    assert len(tasks[0]) == 50
    assert tasks[2] == tasks[1]


def _decoded(link: str) -> bytes:
    found = parse_path(link)
    assert isinstance(found, Step)
    return json.dumps([found.name.flow, found.name.run]).encode()


def test_every_step_has_a_page_whatever_its_name(served: RunningCollector) -> None:
    """Names that are steps of a path, or HTML, lead to their own attempts."""
    found = links(get(served).text)
    assert len(found) == 6
    assert all("task <bdi>" in get(served, link).text for link in found)


def test_names_are_text(served: RunningCollector) -> None:
    """Nothing of a name is HTML, or turns the text around it."""
    text = get(served).text
    assert text.count("<script>") == 1
    assert "<img" not in text
    assert NASTY not in text
    assert "\x1b" not in text


def test_attempts_of_one_name_have_each_its_own_curve(served: RunningCollector) -> None:
    """They are told apart by what is known of their deployment, and it is said which is which."""
    text = get(served, step_path(StepName("TrainFlow", "18", "twin"))).text
    rows = text.split("<li>")[1:]
    assert [("project <bdi>a</bdi>" in one, "project <bdi>b</bdi>" in one) for one in rows] == [
        (False, True),
        (True, False),
    ]
    assert "CPU 6 cores now; over 10 minutes from 6 cores to 6 cores" in rows[0].replace(" of 2 cores", "")
    assert "CPU 3 cores now; over 10 minutes from 3 cores to 3 cores" in rows[1].replace(" of 2 cores", "")


def test_gpus_have_curves_where_there_are_any(served: RunningCollector) -> None:
    """The devices that somebody tells apart are added up; who has none has no empty ones."""
    text = get(served, step_path(StepName("TrainFlow", "18", "gpu"))).text
    assert "GPUs busy 1.2 of 2 now" in text
    assert "GPU memory 3GiB now" in text
    assert "GPU" not in get(served, step_path(StepName("TrainFlow", "18", "twin"))).text


@given(st.text(), st.text(), st.text())
def test_addresses_of_steps_come_back(flow: str, run: str, step: str) -> None:
    """Any names go through an address, whose signs no browser changes."""
    name = StepName(flow, run, step)
    path = step_path(name, 3)
    assert parse_path(path) == Step(name, 3)
    assert re.fullmatch(r"/live/step/[\w-]+/3", path, re.ASCII)


@given(st.text())
def test_any_path_is_parsed(text: str) -> None:
    """What is no address of ours leads nowhere, and raises nothing."""
    parse_path(f"/live/{text}")
    parse_path(f"/live/step/{text}/1")


@given(st.text())
def test_any_name_is_shown_as_text(name: str) -> None:
    """No tag, no character that is not printable."""
    inner = shown(name).removeprefix("<bdi>").removesuffix("</bdi>")
    assert "<" not in inner
    assert ">" not in inner
    assert inner.isprintable()


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/live/", 200),
        ("/live/running/99", 200),
        ("/live/running/0", 404),
        ("/live/step/AAAA/1", 404),
        ("/live/reports/2026-11-20/report.json", 404),
        ("/live/reports/2026-11-20/../../schema.json", 404),
        ("/live/reports/2026-11-20/%2e%2e%2fschema.json", 404),
        ("/live/reports/2026-11-21/report.html", 404),
        (f"/live/{'x' * 20_000}", 414),
        ("/liveness", 404),
    ],
)
def test_paths(served: RunningCollector, path: str, status: int) -> None:
    """What is there, and nothing else of the data directory."""
    assert get(served, path).status == status


@pytest.mark.parametrize(
    ("host", "status"),
    [
        ("localhost:4318", 200),
        ("127.0.0.1", 200),
        ("[::1]:4318", 200),
        ("192.0.2.7:80", 200),
        ("attacker.example", 421),
        ("127.0.0.1.attacker.example", 421),
        ("localhost.attacker.example:4318", 421),
        ("", 421),
        ("localhost, attacker.example", 421),
        ("attacker.example:x", 421),
    ],
)
def test_only_names_of_ours_are_served(served: RunningCollector, host: str, status: int) -> None:
    """A name that somebody else can have lead here reads nothing (DNS rebinding)."""
    found = get(served, host=host)
    assert found.status == status
    assert ("running</span>" in found.text) is (status == 200)


def test_pages_are_not_kept_framed_or_guessed_at(served: RunningCollector) -> None:
    """Every answer is of the moment, of its type and of its origin; only reading is possible."""
    for path in ("/live", "/live/x", "/live/reports/2026-11-20/report.html"):
        headers = get(served, path).headers
        assert headers["cache-control"] == "no-store"
        assert headers["x-content-type-options"] == "nosniff"
        assert "frame-ancestors 'none'" in headers["content-security-policy"]
        assert "default-src 'none'" in headers["content-security-policy"]
        assert "access-control-allow-origin" not in headers
    assert "'unsafe" not in get(served).headers["content-security-policy"]
    assert get(served, "/live/reports/2026-11-20/report.html").headers["content-security-policy"].startswith("sandbox;")
    assert get(served, method="POST").status == 405
    assert get(served, method="DELETE").status == 405


def test_many_viewers_share_a_page(served: RunningCollector) -> None:
    """Twenty who ask at once are answered with one page, made by one process."""
    with ThreadPoolExecutor(20) as pool:
        texts = {answer.text for answer in pool.map(lambda _: get(served), range(20))}
    assert len(texts) <= 2  # the page may grow old meanwhile, once
    assert len(renderers(served)) == 1


def test_points_are_taken_while_nobody_can_make_pages(place: Place) -> None:
    """A process that hangs, or is killed, delays no point; the next page has another one."""
    collector = place.collect(CONFIG)
    assert get(collector).status == 200
    (first,) = renderers(collector)
    os.kill(first.pid, signal.SIGSTOP)
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(get, collector, "/live/x")
        begun = time.monotonic()
        assert collector.post(attempt(int(time.time()), "1").content())[0] == 200
        assert time.monotonic() - begun < 5
        os.kill(first.pid, signal.SIGKILL)
        assert waiting.result().status == 404
    (second,) = renderers(collector)
    assert second.pid != first.pid
    assert collector.terminate() == 0
    wait_for(lambda: not psutil.pid_exists(second.pid), "its end with its collector")


def test_a_lake_that_takes_too_long_is_not_read_again_and_again(place: Place) -> None:
    """After a page that could not be made in time, others are refused for four times as long."""
    clock_s = [0.0]
    lines: list[str] = []

    async def scenario() -> None:
        data, home = place.settings.data, place.home
        renderer = Renderer(data, home, lines.append, patience_s=0.01, clock_s=lambda: clock_s[0])
        for moment_s, said in ((0.0, "not be made in time"), (0.03, "in a minute"), (0.05, "not be made in time")):
            clock_s[0] = moment_s
            with pytest.raises(RetryableError, match=said):
                await renderer.page("/live")

    asyncio.run(scenario())
    assert len(lines) == 2


def test_where_it_is_is_said_once(served: RunningCollector) -> None:
    """On the line of the start, as one opens it."""
    assert served.line.count(f"live page on http://{served.http}/live") == 1


def test_it_can_be_switched_off(place: Place) -> None:
    """Then there is no page, and no path that knows of one."""
    collector = place.collect(with_page("enabled: false"))
    assert "live page" not in collector.line
    assert get(collector).status == 404


def with_page(keys: str, more: str = "") -> str:
    """The configuration with these keys of the page, and of the receiver."""
    return CONFIG.replace('"127.0.0.1:0"', f'"127.0.0.1:0", live_page: {{{keys}}}{more}')


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() != 0, reason="takes root, to be another user")
def test_other_users_of_the_machine_are_asked_for_more(place: Place, served: RunningCollector) -> None:
    """Another user's connection reads nothing, closed or open, unless it is said that all may."""
    assert as_nobody(served).startswith("HTTP/1.1 403")
    assert "live_page.any_user" in as_nobody(served)
    assert as_nobody(place.collect(with_page("any_user: true"))).startswith("HTTP/1.1 200")


def as_nobody(collector: RunningCollector) -> str:
    """What a user without rights is answered."""
    program = (
        "import os, socket, sys; 'x'.encode('idna'); os.setgid(65534); os.setuid(65534);"  # it can read no module
        "c = socket.create_connection((sys.argv[1], int(sys.argv[2])));"
        "c.sendall(b'GET /live HTTP/1.1\\r\\nhost: localhost\\r\\nconnection: close\\r\\n\\r\\n');"
        "[print(part.decode(), end='') for part in iter(lambda: c.recv(65536), b'')]"
    )
    command = [sys.executable, "-I", "-S", "-c", program, *collector.http.split(":")]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


@pytest.mark.parametrize(
    ("site", "mode", "dest", "status"),
    [
        ("none", "navigate", "document", 200),
        ("same-origin", "cors", "empty", 200),
        ("cross-site", "navigate", "document", 200),
        ("cross-site", "navigate", "iframe", 403),
        ("cross-site", "no-cors", "image", 403),
        ("cross-site", "no-cors", "script", 403),
        ("same-site", "cors", "empty", 403),
        ("same-site", "navigate", "object", 403),
    ],
)
def test_other_sites_may_link_to_it_and_nothing_else(
    served: RunningCollector, site: str, mode: str, dest: str, status: int
) -> None:
    """What a page of another site, or of another port of this machine, has a browser load is not even made."""
    headers = {"sec-fetch-site": site, "sec-fetch-mode": mode, "sec-fetch-dest": dest}
    assert get(served, **headers).status == status


def test_nothing_is_begun_for_who_may_not_look(place: Place) -> None:
    """Who has no viewers pays for no process. Credentials are the receiver's: nobody reads who may not send."""
    config = with_page("", ", auth: {authenticator: basicauth}").replace(
        "service: {",
        "extensions: {basicauth: {htpasswd: {inline: 'a:{SHA}qUqP5cyxm6YcTAhz05Hph5gvu9M='}}}\n"
        "service: {extensions: [basicauth], ",
    )  # a:test
    collector = place.collect(config)
    refused = get(collector)
    assert refused.status == 401
    assert refused.headers["www-authenticate"].startswith("Basic")
    assert get(collector, "/live/reports/2026-11-20/report.html").status == 401
    known = {"authorization": "Basic YTp0ZXN0"}
    assert get(collector, host="attacker.example", **known).status == 421
    assert renderers(collector) == []
    assert "Nothing runs." in get(collector, **known).text
    assert len(renderers(collector)) == 1


BEYOND = CONFIG.replace('"127.0.0.1:0"', '"0.0.0.0:0", live_page: {}')


def test_beyond_the_loopback_it_is_off() -> None:
    """Unless it is asked for there, with TLS and credentials."""
    served = parse(BEYOND, "c", {}).receivers["otlp"].protocols.http
    assert not served.serves_live_page
    assert parse(CONFIG, "c", {}).receivers["otlp"].protocols.http.serves_live_page
    asked = BEYOND.replace("live_page: {}", "live_page: {beyond_loopback: true}")
    with pytest.raises(ConfigError, match="beyond_loopback needs tls and auth"):
        parse(asked, "c", {})
    safe = asked.replace("live_page", "tls: {cert_file: c, key_file: k}, auth: {authenticator: x}, live_page")
    assert parse(safe, "c", {}).receivers["otlp"].protocols.http.serves_live_page
    alone = asked.replace("live_page", "auth: {authenticator: x}, live_page")
    with pytest.raises(ConfigError, match="needs tls"):
        parse(alone, "c", {})


def test_the_shipped_configuration_opens_nothing_beyond_the_loopback() -> None:
    """Where `STEPSIZE_LISTEN` has it listen to everybody, there is no page."""
    found = parse(default_text(), "c", {"STEPSIZE_LISTEN": "0.0.0.0"}).receivers["otlp"].protocols.http
    assert not found.serves_live_page


def test_who_does_not_read_a_report_does_not_keep_it_in_memory(place: Place) -> None:
    """The connection ends, report and all, once the times of the receiver are over."""
    collector = place.collect(with_page("", ", idle_timeout: 200ms, write_timeout: 200ms"))
    LocalShelf(place.settings.data).put("2026-11-20", "report.html", b"x" * (8 << 20))
    host, port = collector.http.rsplit(":", 1)
    receiver = psutil.Process(collector.process.pid)

    def is_held() -> bool:
        return any(one.raddr and one.laddr.port == int(port) for one in receiver.net_connections("tcp"))

    with socket.socket() as client:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        client.connect((host, int(port)))
        client.sendall(b"GET /live/reports/2026-11-20/report.html HTTP/1.1\r\nhost: localhost\r\n\r\n")
        assert client.recv(15) == b"HTTP/1.1 200 OK"
        wait_for(lambda: not is_held(), "its end")
    assert get(collector).status == 200


def test_a_report_that_is_too_large_is_not_loaded(served: RunningCollector) -> None:
    """It is said where to open it instead."""
    LocalShelf(served.place.settings.data).put("2026-11-19", "report.html", b"x" * ((16 << 20) + 1))
    found = get(served, "/live/reports/2026-11-19/report.html")
    assert found.status == 404
    assert "larger than 16 MiB" in found.text


def test_only_so_many_pages_wait(place: Place) -> None:
    """Eight different ones; who asks for a ninth is told to come again, at once."""
    collector = place.collect(CONFIG)
    get(collector)
    (process,) = renderers(collector)
    os.kill(process.pid, signal.SIGSTOP)
    with ThreadPoolExecutor(MOST_WAITING + 1) as pool:
        asked = [pool.submit(get, collector, f"/live/running/{number + 2}") for number in range(MOST_WAITING + 1)]
        first = next(as_completed(asked)).result()
        assert (first.status, first.headers["retry-after"]) == (503, "2")
        os.kill(process.pid, signal.SIGKILL)
        assert sorted(one.result().status for one in asked) == [200] * MOST_WAITING + [503]
