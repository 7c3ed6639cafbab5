"""What OpenTelemetry's own tools find of us by entry points."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from stepsize.instrumentation import client
from tests.instrumentation.receiver import TIMEOUT_S

if TYPE_CHECKING:
    from stepsize.settings import Settings
    from tests.instrumentation.conftest import Place
    from tests.instrumentation.receiver import Receiver

INSTRUMENT = str(Path(sys.executable).with_name("opentelemetry-instrument"))
RESOURCE = """
import json
from opentelemetry.sdk.resources import Resource
print(json.dumps({k: v for k, v in Resource.create().attributes.items() if k.startswith(("stepsize", "service.name"))}))
"""


def _run(place: Place, settings: Settings, *command: str, **environ: str) -> str:
    script = place.home / "program.py"
    script.write_text(RESOURCE)
    environment = place.environment(settings, STEPSIZE_TASK="otel", **environ)
    done = subprocess.run(
        [*command, sys.executable, str(script)],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=TIMEOUT_S,
    )
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout


def test_opentelemetry_instrument_tracks_a_program(place: Place, settings: Settings, receiver: Receiver) -> None:
    """The real command loads the instrumentor; the program has its identity, and its end is seen."""
    _run(place, settings, INSTRUMENT)
    end = receiver.end("otel")
    assert end.attributes == {"stepsize.outcome": "ok", "process.exit.code": 0}
    assert end.resource["stepsize.flow.name"] == "program.py"


@pytest.mark.parametrize(
    "environ", [{"OTEL_METRICS_EXPORTER": "none"}, {"OTEL_PYTHON_DISABLED_INSTRUMENTATIONS": "stepsize"}]
)
def test_a_program_that_is_to_send_no_metrics_is_not_tracked(
    place: Place, settings: Settings, environ: dict[str, str]
) -> None:
    """Nor one for which the instrumentor was switched off, as any of OpenTelemetry's."""
    _run(place, settings, INSTRUMENT, **environ)
    assert not list(place.runtime.iterdir())


def test_a_programs_own_telemetry_says_which_attempt_it_belongs_to(
    place: Place, settings: Settings, receiver: Receiver
) -> None:
    """The resource detector gives the attempt of whoever tracks the program; the service stays the program's."""
    detect = {"OTEL_EXPERIMENTAL_RESOURCE_DETECTORS": "stepsize", "OTEL_SERVICE_NAME": "mine"}
    tracked = (sys.executable, "-m", "stepsize", "run", "-q", "--flow", "F", "--run", "R", "--step", "S", "--")
    told = json.loads(_run(place, settings, *tracked, **detect))
    names = ("stepsize.flow.name", "stepsize.run.id", "stepsize.step.name", "stepsize.task.id")
    assert [told[name] for name in names] == ["F", "R", "S", "otel"]
    assert told["stepsize.task.attempt"] == 0
    assert told["service.name"] == "mine"
    receiver.end("otel")


def test_a_program_of_its_own_tells_the_attempt_that_it_is(
    place: Place, settings: Settings, receiver: Receiver
) -> None:
    """The same run that its points carry."""
    told = json.loads(_run(place, settings, INSTRUMENT, OTEL_EXPERIMENTAL_RESOURCE_DETECTORS="stepsize"))
    end = receiver.end("otel")
    assert told["stepsize.run.id"] == end.resource["stepsize.run.id"]
    assert client.flush(settings, TIMEOUT_S)
