"""Cards of real flows: found by Metaflow's own commands, for every way in which an attempt ends."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from typing import TYPE_CHECKING, Any

from tests.instrumentation.conftest import wait_until

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.e2e.conftest import Workplace

FLOW = """
import os, signal, time
from metaflow import FlowSpec, card, catch, current, retry, step
from metaflow.cards import Markdown

class CardFlow(FlowSpec):
    @card
    @step
    def start(self):
        current.card.append(Markdown("the user's own"))
        held = bytearray(200_000_000)
        until = time.monotonic() + 1.5
        while time.monotonic() < until:
            held[0] += 0
        self.next(self.broken)

    @catch(var="error")
    @retry(times=1, minutes_between_retries=0)
    @step
    def broken(self):
        if current.retry_count == 0:
            raise ValueError("the first attempt fails")
        time.sleep(1)
        os.kill(os.getpid(), signal.SIGKILL)
        self.next(self.end)

    @step
    def end(self):
        assert not hasattr(current, "card")

if __name__ == "__main__":
    CardFlow()
"""
PATIENCE_S = 30
LAST = 'METAFLOW_RELOAD_TOKEN = "final"'


def last_state(workplace: Workplace, step: str, attempt: int = 0) -> str:
    """The card's page once it is the last one, by Metaflow's own command."""
    file = f"mf.cards/CardFlow/runs/*/steps/{step}/tasks/*/cards/stepsize-attempt_{attempt}-*.html"
    wait_until(lambda: any(LAST in page.read_text() for page in workplace.directory.rglob(file)), PATIENCE_S)
    which = ("--type", "stepsize", "--id", f"attempt_{attempt}")
    got = workplace.flow(workplace.directory / "flow.py", "card", "get", step, *which)
    assert got.returncode == 0, got.stderr
    return got.stdout


def runtime_data(workplace: Workplace, step: str) -> list[dict[str, Any]]:
    found = workplace.directory.rglob(f"steps/{step}/tasks/*/runtime/stepsize-*.data.json")
    return [json.loads(path.read_text()) for path in found]


def written(workplace: Workplace, said: Callable[[str], bool]) -> list[str]:
    pages = [path.read_text() for path in workplace.directory.rglob("cards/stepsize-*.html")]
    return [page for page in pages if said(page)]


def test_every_attempt_has_a_card_beside_the_users_own(workplace: Workplace) -> None:
    """One that went well, one that raised, one that was killed; `current.card` is the user's, and only where it was."""
    script = workplace.directory / "flow.py"
    script.write_text(FLOW)
    finished = workplace.flow(script, STEPSIZE_CARD="1")
    assert finished.returncode == 0, finished.stdout + finished.stderr

    page = last_state(workplace, "start")
    assert "succeeded" in page
    assert re.search(r"@resources\(cpu=\d+, memory=4096\)", page)  # how many cores a busy machine let it have varies
    assert '<svg viewBox="0 0 600 120"' in page
    assert "this task at most" in page
    assert "USD an hour" in page
    own = workplace.flow(script, "card", "get", "start", "--type", "default")
    assert own.returncode == 0, own.stderr
    assert "succeeded" not in own.stdout
    listed = workplace.flow(script, "card", "list", "start", "--as-json")
    assert {each["type"] for each in json.loads(listed.stdout)["cards"]} == {"default", "stepsize"}

    assert ">failed<" in last_state(workplace, "broken", 0)
    assert ">killed<" in last_state(workplace, "broken", 1)
    assert "succeeded" in last_state(workplace, "end")
    assert {data["reload_token"] for data in runtime_data(workplace, "start")} == {"final"}
    # What Metaflow runs in place of the step that died is no attempt.
    assert len(written(workplace, lambda page: "CardFlow/broken" in page)) == 2


LONG = """
import os, time
from metaflow import FlowSpec, step, stepsize

class CardFlow(FlowSpec):
    @stepsize(card=True, refresh_interval=0.5, interval=0.2)
    @step
    def start(self):
        deadline = time.monotonic() + 30
        while not os.path.exists("seen") and time.monotonic() < deadline:
            time.sleep(0.1)
        self.next(self.end)

    @step
    def end(self):
        pass

if __name__ == "__main__":
    CardFlow()
"""


def test_a_card_is_live_while_its_step_runs(workplace: Workplace) -> None:
    """Each state has a name of its own, by which a viewer knows to load it; a step without a card has none."""
    script = workplace.directory / "flow.py"
    script.write_text(LONG)
    environment = {name: text for name, text in workplace.environment.items() if name != "STEPSIZE"}
    running = subprocess.Popen(
        [sys.executable, str(script), "--no-pylint", "run"],
        env=environment,
        cwd=workplace.directory,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        wait_until(lambda: written(workplace, lambda page: ">running<" in page and "<svg" in page), PATIENCE_S)
        first = wait_until(lambda: runtime_data(workplace, "start"), PATIENCE_S)
        wait_until(lambda: runtime_data(workplace, "start") != first, PATIENCE_S)
        states = [data["reload_token"] for data in (*first, *runtime_data(workplace, "start"))]
        assert len(set(states)) == 2
        assert "final" not in states
    finally:
        (workplace.directory / "seen").touch()
        assert running.wait(60) == 0
    assert "succeeded" in last_state(workplace, "start")
    assert not runtime_data(workplace, "end")
