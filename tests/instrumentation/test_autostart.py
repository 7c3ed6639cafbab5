"""``STEPSIZE_AUTOSTART=1``: a real environment with the start-up files' wheel, and programs that know nothing of us."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import sysconfig
import textwrap
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from stepsize.instrumentation import client
from tests.instrumentation.receiver import TIMEOUT_S

if TYPE_CHECKING:
    from stepsize.settings import Settings
    from tests.instrumentation.conftest import Place
    from tests.instrumentation.receiver import Receiver

ROOT = Path(__file__).parents[2]
SPIN = "import time; e = time.process_time() + 0.2\nwhile time.process_time() < e: pass\n"


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel of stepsize-autostart, built from a copy."""
    copy = tmp_path_factory.mktemp("autostart") / "source"
    shutil.copytree(ROOT / "autostart", copy, ignore=shutil.ignore_patterns("build", "*.egg-info"))
    build = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(copy / "dist"), str(copy)]
    subprocess.run(build, check=True, capture_output=True)
    (built,) = (copy / "dist").glob("*.whl")
    return built


@pytest.fixture(scope="module")
def python(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> str:
    """The interpreter of an environment with that wheel; everything else it takes from this one."""
    venv = tmp_path_factory.mktemp("environment") / "venv"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(venv)], check=True)
    (site,) = (venv / "lib").glob("python*/site-packages")
    install = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-index", "--target"]
    subprocess.run([*install, str(site), str(wheel)], check=True, capture_output=True)
    # Before the start-up file, as an installed package would be.
    (site / "others.pth").write_text(f"{ROOT / 'src'}\n{sysconfig.get_path('purelib')}\n")
    return str(venv / "bin/python")


def _run(
    place: Place, settings: Settings, command: list[str], *, task: str = "auto", **environ: str
) -> subprocess.CompletedProcess[str]:
    environment = place.environment(settings, **{"STEPSIZE_AUTOSTART": "1", "STEPSIZE_TASK": task, **environ})
    return subprocess.run(
        command, env=environment, cwd=place.home, capture_output=True, text=True, check=False, timeout=TIMEOUT_S
    )


def _script(place: Place, body: str, name: str = "train.py") -> str:
    path = place.home / name
    path.write_text(textwrap.dedent(body))
    return str(path)


def _attempts(settings: Settings, receiver: Receiver) -> set[str]:
    """Programs of which points have come, once everything has."""
    assert client.flush(settings, TIMEOUT_S)
    found = {p.resource.get("stepsize.flow.name") for p in receiver.points}
    return {name for name in found if name is not None}


def test_the_wheel_holds_the_module_and_what_has_it_called(wheel: Path) -> None:
    """One file for Python up to 3.14, one of PEP 829, both recorded, so that uninstalling takes them away."""
    with zipfile.ZipFile(wheel) as archive:
        names = {name for name in archive.namelist() if ".dist-info/" not in name}
        (record,) = [name for name in archive.namelist() if name.endswith("/RECORD")]
        recorded = archive.read(record).decode()
    assert names == {"stepsize_autostart.py", "stepsize_autostart.pth", "stepsize_autostart.start"}
    assert all(f"{name}," in recorded for name in names)


def test_a_program_is_tracked_from_its_first_moment_to_its_end(
    place: Place, settings: Settings, receiver: Receiver, python: str
) -> None:
    """It prints what it prints; CPU time, end and names are there."""
    script = _script(place, SPIN + "import sys; print('hi', len(sys.argv))")
    done = _run(place, settings, [python, script, "--lr", "1"])
    assert (done.returncode, done.stdout, done.stderr) == (0, "hi 3\n", "")
    end = receiver.end("auto")
    assert end.attributes == {"stepsize.outcome": "ok", "process.exit.code": 0}
    assert end.resource["stepsize.flow.name"] == "train.py"
    assert receiver.cpu_s("auto") == pytest.approx(0.25, abs=0.1)


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ("import sys; sys.exit(3)", {"stepsize.outcome": "failed", "process.exit.code": 3}),
        ("raise SystemExit(4)", {"stepsize.outcome": "failed", "process.exit.code": 4}),
        ("1 / 0", {"stepsize.outcome": "failed", "process.exit.code": 1}),
        ("import os; os._exit(5)", {"stepsize.outcome": "failed", "process.exit.code": 5}),
        ("import os; os.kill(os.getpid(), 9)", {"stepsize.outcome": "killed", "process.exit.signal": signal.SIGKILL}),
        (
            "import os, sys\ntry: sys.exit(3)\nexcept SystemExit: pass",
            {"stepsize.outcome": "ok", "process.exit.code": 0},
        ),
    ],
)
def test_how_a_program_ended_is_what_the_system_says(
    place: Place, settings: Settings, receiver: Receiver, python: str, body: str, expected: dict[str, object]
) -> None:
    """Not what the program thought when its exit functions ran. The parent here leaves the evidence for a moment."""
    environment = place.environment(settings, STEPSIZE_AUTOSTART="1", STEPSIZE_TASK="auto")
    process = subprocess.Popen([python, _script(place, body)], env=environment, stderr=subprocess.DEVNULL)
    try:
        assert receiver.end("auto").attributes == expected
    finally:
        process.wait()


def test_programs_below_a_tracked_one_do_not_register_themselves(
    place: Place, settings: Settings, receiver: Receiver, python: str
) -> None:
    """They are in its tree: one attempt, with what all of them used, however they were started."""
    _script(place, SPIN.replace("0.2", "0.4"), "part.py")
    body = """
        import multiprocessing, os, subprocess, sys
        if __name__ == "__main__":
            subprocess.run([sys.executable, "part.py"], check=True)
            with multiprocessing.get_context("spawn").Pool(1) as pool:
                pool.map(len, ["x"])
            os.execv(sys.executable, [sys.executable, "part.py"])
    """
    assert _run(place, settings, [python, _script(place, body)]).returncode == 0
    assert receiver.end("auto").resource["stepsize.flow.name"] == "train.py"
    assert _attempts(settings, receiver) == {"train.py"}
    assert receiver.cpu_s("auto") > 0.55  # twice 0.4, less what the last one did since the last sample, 0.2 at most


def test_a_command_of_stepsize_run_is_registered_by_its_launcher_alone(
    place: Place, settings: Settings, receiver: Receiver, python: str
) -> None:
    """Neither the launcher nor the program registers itself."""
    command = [python, "-m", "stepsize", "run", "-q", "--flow", "cmd", "--", python, _script(place, SPIN)]
    assert _run(place, settings, command).returncode == 0
    receiver.end("auto")
    assert _attempts(settings, receiver) == {"cmd"}


@pytest.mark.parametrize("arguments", [("-m", "pip", "--version"), ("-m", "stepsize", "--version")])
def test_installers_and_our_own_commands_are_not_tracked(
    place: Place, settings: Settings, python: str, arguments: tuple[str, ...]
) -> None:
    """No agent is started for them."""
    assert _run(place, settings, [python, *arguments]).returncode == 0
    assert not list(place.runtime.iterdir())


@pytest.mark.parametrize("arguments", [(), ("-X", "dev"), ("-q", "-W", "ignore"), ("-",)])
def test_an_interpreter_at_a_terminal_is_not_tracked(
    place: Place, settings: Settings, python: str, arguments: tuple[str, ...]
) -> None:
    """Somebody types; a word that belongs to one of the interpreter's options is no program."""
    assert _at_terminal(place, settings, [python, *arguments]) == 0
    assert not list(place.runtime.iterdir())


def test_a_program_at_a_terminal_is_tracked(place: Place, settings: Settings, receiver: Receiver, python: str) -> None:
    """Most are started by hand."""
    assert _at_terminal(place, settings, [python, "-X", "dev", _script(place, "pass")]) == 0
    assert receiver.end("auto").resource["stepsize.flow.name"] == "train.py"


def _at_terminal(place: Place, settings: Settings, command: list[str]) -> int:
    """The exit code of a command to which somebody at a terminal says goodbye."""
    environment = place.environment(settings, STEPSIZE_AUTOSTART="1", STEPSIZE_TASK="auto")
    keyboard, terminal = os.openpty()
    try:
        os.write(keyboard, b"exit()\n")
        done = subprocess.run(
            command, env=environment, stdin=terminal, capture_output=True, check=False, timeout=TIMEOUT_S
        )
        return done.returncode
    finally:
        os.close(terminal)
        os.close(keyboard)


def test_a_flow_whose_steps_are_tracked_is_not_tracked_as_a_whole(
    place: Place, settings: Settings, python: str
) -> None:
    """With `STEPSIZE=1` each of its steps says who it is."""
    script = _script(place, "try: import metaflow\nexcept ImportError: pass", "flow.py")
    assert _run(place, settings, [python, script, "run"], STEPSIZE="1").returncode == 0
    assert not list(place.runtime.iterdir())


@pytest.mark.parametrize("value", ["", "0", "perhaps"])
def test_a_program_that_is_not_to_be_tracked_imports_nothing_of_ours(
    place: Place, settings: Settings, python: str, value: str
) -> None:
    """Not even the module of the start-up files, where the variable is not set at all."""
    names = "import sys; print(*sorted(name for name in sys.modules if name.startswith('stepsize')))"
    done = _run(place, settings, [python, "-c", names], STEPSIZE_AUTOSTART=value)
    assert (done.stdout, done.stderr) == ("stepsize_autostart\n" if value else "\n", "")
    assert not list(place.runtime.iterdir())


def test_the_entry_point_of_pep_829_does_the_same(
    place: Place, settings: Settings, receiver: Receiver, python: str
) -> None:
    """Resolved and called as Python 3.15's site module does, in an interpreter whose site module did not run."""
    site = next(Path(python).parents[1].glob("lib/python*/site-packages"))
    (entry,) = (site / "stepsize_autostart.start").read_text().splitlines()
    paths = [str(site), *(site / "others.pth").read_text().split()]
    body = f"import pkgutil, sys; sys.path += {paths!r}; pkgutil.resolve_name({entry!r})()"
    assert _run(place, settings, [python, "-S", _script(place, body, "new.py")]).returncode == 0
    assert receiver.end("auto").resource["stepsize.flow.name"] == "new.py"


def test_a_program_is_not_harmed_where_nothing_works(place: Place, python: str) -> None:
    """No place for sockets: it runs all the same, and nothing is said."""
    (place.home / "file").touch()
    environ = {"STEPSIZE_RUNTIME": str(place.home / "file" / "x"), "STEPSIZE_INTERVAL": "soon"}
    done = _run(place, place.settings(), [python, _script(place, "print('hi')")], **environ)
    assert (done.returncode, done.stdout, done.stderr) == (0, "hi\n", "")


def test_exit_functions_of_the_program_still_run(
    place: Place, settings: Settings, receiver: Receiver, python: str
) -> None:
    """`sys.exit` ends with its argument, after what the program has asked for; what they use is counted."""
    body = f"import atexit, sys\natexit.register(lambda: print('bye'))\natexit.register(exec, {SPIN!r}, {{}})\n"
    done = _run(place, settings, [python, _script(place, body + "sys.exit('no')")])
    assert (done.returncode, done.stdout, done.stderr) == (1, "bye\n", "no\n")
    receiver.end("auto")
    assert receiver.cpu_s("auto") > 0.19
    assert os.environ.get("STEPSIZE_TRACKED") is None
