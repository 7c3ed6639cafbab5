"""Local steps that run an interpreter of their own, as ``@pypi`` and ``@conda`` have them do."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.bare import bare_python

if TYPE_CHECKING:
    from tests.e2e.conftest import Workplace

FLOW = """
import sys
from metaflow import FlowSpec, step, isolated
class IsolatedFlow(FlowSpec):
    @step
    def start(self):
        self.next(self.alone)
    @isolated
    @step
    def alone(self):
        self.python = sys.executable
        try:
            import stepsize
            self.found = stepsize.__file__
        except ImportError:
            self.found = ""
        self.packages = [name for name in ("opentelemetry", "psutil", "duckdb") if name in sys.modules]
        total = sum(range(40_000_000))
        self.next(self.end)
    @step
    def end(self):
        print("isolated:", self.python, self.found, self.packages)
if __name__ == "__main__":
    IsolatedFlow()
"""
PLUGINS = 'STEP_DECORATORS_DESC = [("isolated", ".isolated.IsolatedDecorator")]\n'
DECORATOR = """
import os
from metaflow.plugins.pypi.conda_decorator import CondaStepDecorator
class IsolatedDecorator(CondaStepDecorator):
    # All that Metaflow's own decorator does to a step, but for the solving of an environment, which needs a network.
    name = "isolated"
    def step_init(self, flow, graph, step, decos, environment, flow_datastore, logger):
        self.flow, self.step, self.environment, self.disabled = flow, step, environment, False
    def runtime_task_created(self, *_):
        self.interpreter = os.environ["ISOLATED_PYTHON"]
"""


def _run(workplace: Workplace, python: Path) -> str:
    """The flow's own output; its decorator is an extension of the test's."""
    extension = workplace.directory / "extension" / "metaflow_extensions" / "isolating" / "plugins"
    extension.mkdir(parents=True)
    (extension / "mfextinit_isolating.py").write_text(PLUGINS)
    (extension / "isolated.py").write_text(DECORATOR)
    script = workplace.directory / "isolated_flow.py"
    script.write_text(FLOW)
    finished = workplace.flow(script, PYTHONPATH=str(workplace.directory / "extension"), ISOLATED_PYTHON=str(python))
    assert finished.returncode == 0, finished.stdout + finished.stderr
    assert finished.stderr.count("Traceback") == 0
    workplace.report("IsolatedFlow")
    return finished.stdout


def test_a_step_whose_python_has_nothing_of_ours_is_tracked(workplace: Workplace) -> None:
    """It finds what travelled with the flow's code, its points reach the launcher's agent and lake, and no agent of
    its own is started.
    """
    python = bare_python(workplace.directory / "venv", distributions=("requests",))
    said = _run(workplace, python)
    assert f"isolated: {python} " in said
    assert "shipped/stepsize/__init__.py []" in said
    rows = workplace.query("SELECT step, outcome, cpu_seconds > 0.1 FROM tasks WHERE step = 'alone'")
    assert rows == [("alone", "ok", True)]
    assert workplace.query("SELECT count(*) FROM tasks") == [(3,)]
    agents = list((workplace.directory / "run").glob("agent-*.sock"))
    assert len(agents) <= 1  # none where the one has left meanwhile, for want of tasks


def test_a_step_whose_python_is_too_old_is_left_alone(workplace: Workplace) -> None:
    """With a Python that Metaflow takes and we do not, it runs as it would without us, beside tracked ones."""
    old = _old_python()
    if old is None:
        pytest.skip("no Python before 3.10 here")
    python = bare_python(workplace.directory / "venv", executable=old)
    (site,) = (workplace.directory / "venv" / "lib").glob("python*/site-packages")
    # Metaflow sets up a session of it when it is imported, and in local runs asks nothing of it.
    (site / "requests.py").write_text("import sys, unittest.mock; sys.modules[__name__] = unittest.mock.MagicMock()")
    assert f"isolated: {python}  []" in _run(workplace, python)
    assert workplace.query("SELECT step FROM tasks ORDER BY step") == [("end",), ("start",)]


def _old_python() -> str | None:
    """The oldest one that is here: of the system, or one that pyenv has built."""
    for version in ("3.7", "3.8", "3.9"):
        built = sorted(Path("~/.pyenv/versions").expanduser().glob(f"{version}.*/bin/python{version}"))
        found = str(built[-1]) if built else shutil.which(f"python{version}", path="/usr/bin:/usr/local/bin")
        if found:
            return found
    return None
