"""The writer beside a task that is this process: a real agent, Metaflow's own local datastore."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from stepsize.card.order import Order
from stepsize.card.start import CardWriter
from stepsize.card.watching import Watched
from stepsize.instrumentation import client
from stepsize.model import Identity, Outcome
from stepsize.settings import Settings
from tests.places import short_directory

PATIENCE_S = 30
LAST = 'METAFLOW_RELOAD_TOKEN = "final"'


@pytest.fixture
def place(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    with short_directory() as directory:
        for name in [name for name in os.environ if name.startswith(("OTEL_", "STEPSIZE", "METAFLOW_"))]:
            monkeypatch.delenv(name)
        monkeypatch.setenv("HOME", str(directory))
        monkeypatch.setenv("STEPSIZE_DATA", str(directory / "lake"))
        monkeypatch.setenv("STEPSIZE_RUNTIME", str(directory / "run"))
        (directory / ".metaflow").mkdir()
        yield directory


def order_of(place: Path, pid: int) -> Order:
    return Order(
        identity=Identity("WriterFlow", "1", "start", "2"),
        pid=pid,
        started_s=time.time(),
        interval_s=0.2,
        refresh_s=0.5,
        datastore="local",
        metadata="none@",
        directory=str(place),
    )


def written(order: Order) -> int:
    """Run the writer to its end; its exit status."""
    return subprocess.run(
        [sys.executable, "-m", "stepsize.card", order.dumps()], check=False, timeout=PATIENCE_S
    ).returncode


def pages(place: Path) -> list[str]:
    return [page.read_text() for page in place.rglob("mf.cards/WriterFlow/runs/1/steps/start/tasks/2/cards/*.html")]


def test_an_attempt_that_is_over_before_its_writer_is_up_has_a_card(place: Path) -> None:
    """With what the agent knows of it; the writer ends although the attempt's process lives on."""
    order = order_of(place, os.getpid())
    client.register(order.identity, Settings.load()).end(Outcome.FAILED)
    assert written(order) == 0
    (page,) = pages(place)
    assert LAST in page
    assert ">failed<" in page


def test_an_attempt_that_nobody_knows_has_a_card_that_says_so(place: Path) -> None:
    """No agent, and a process that has ended: nothing is invented, and the writer ends."""
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    assert written(order_of(place, ended.pid)) == 0
    (page,) = pages(place)
    assert "nobody saw how" in page
    assert "<svg" not in page


def test_a_datastore_that_there_is_not_keeps_nobody(place: Path) -> None:
    """The writer ends at once, and the attempt is not its business."""
    order = replace(order_of(place, os.getpid()), datastore="nowhere")
    registration = client.register(order.identity, Settings.load())
    assert written(order) != 0
    registration.end(Outcome.OK)
    assert not pages(place)


def test_a_task_whose_host_ends_with_it_waits_for_the_last_state(place: Path) -> None:
    """Until the writer has ended, which it does soon after the attempt; elsewhere the task does not wait at all."""
    settings = Settings.load()
    order = order_of(place, os.getpid())
    writer = CardWriter(order, settings, waited_for=True)
    client.register(order.identity, settings).end(Outcome.OK)
    writer.wait(PATIENCE_S)
    (page,) = pages(place)
    assert LAST in page

    began_s = time.monotonic()
    CardWriter(replace(order, datastore="nowhere"), settings, waited_for=False).wait()
    assert time.monotonic() - began_s < 1


def test_what_is_no_order_is_refused(place: Path) -> None:
    """Wrong usage, as any command's."""
    refused = subprocess.run([sys.executable, "-m", "stepsize.card", "{}"], check=False, timeout=PATIENCE_S)
    assert refused.returncode == 2


def test_the_task_s_threads_are_known_to_its_card(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The writer inherits the environment of the task; what is no count stays there."""
    monkeypatch.setenv("OMP_NUM_THREADS", "16")
    monkeypatch.setenv("MKL_NUM_THREADS", "hunter2")
    threads = Watched(order_of(place, os.getpid()), Settings.load()).seen().threads
    assert (threads.get("OMP_NUM_THREADS"), threads.get("MKL_NUM_THREADS")) == ("16", None)
