"""Tracks a Python program from its first moment, without a change of it: ``STEPSIZE_AUTOSTART=1``.

What comes in: the environment and the interpreter's own command line (``sys.argv`` is not there yet when the site
module runs). What goes out: one registration of this process, and its last word when it ends. Called by the start-up
files of the distribution ``stepsize-autostart`` (a ``.pth``, and a ``.start`` of PEP 829) and by
``opentelemetry-instrument``. Never raises, prints or blocks; standard library only.

Not tracked are: what already belongs to an attempt (`lineage`), our own processes, installers, an interpreter at a
terminal, and flows whose steps ``STEPSIZE=1`` tracks. Beside the registration the program gets a function to call at
its exit and a ``sys.exit`` that notes its argument: nothing else tells a function at exit how the program ends. What
the program says of its end is as far as it knows; where the system knows better, that counts.
"""

from __future__ import annotations

import atexit
import contextlib
import functools
import os
import sys
import threading
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

from stepsize.instrumentation import lineage

if TYPE_CHECKING:
    from collections.abc import Sequence

    from stepsize.identity import Identity
    from stepsize.instrumentation.client import Registration
    from stepsize.settings import Settings

_INSTALLERS = frozenset({"pip", "pip3", "pipx", "poetry", "conda", "mamba", "virtualenv", "venv", "ensurepip"})
_WRAPPERS = frozenset({"opentelemetry-instrument"})
"""Become the program that they are asked to run, which is the one to track."""
_SCRIPT_BYTES = 1 << 16


def start() -> None:
    """Register this process, unless it is not to be tracked. Safe to call again."""
    with contextlib.suppress(Exception):  # the user's program goes on whatever happens
        _start(sys.orig_argv)


@functools.cache
def own_identity() -> Identity:
    """Which attempt this process is or, below a tracked one, would be: the same whenever it is asked."""
    from stepsize.instrumentation.identity import of_settings  # noqa: PLC0415 - only where something is tracked
    from stepsize.settings import Settings  # noqa: PLC0415 - as above

    return of_settings(sys.orig_argv, os.environ, Settings.load())


def _start(argv: Sequence[str]) -> None:
    if lineage.is_tracked(os.environ) or _has_no_program(argv):
        return
    program = _program(argv)
    if program in _WRAPPERS or _is_tracked_flow(argv):
        return
    if program in _INSTALLERS or program.split(".")[0] == "stepsize":
        os.environ[lineage.MARK] = lineage.mark_of(os.getpid())
        return
    from stepsize.instrumentation import client  # noqa: PLC0415 - only where something is tracked
    from stepsize.settings import Settings  # noqa: PLC0415 - as above

    settings: Settings = Settings.load()
    if settings.sdk_disabled:
        return
    identity = own_identity()
    lineage.enter(os.environ, identity)
    exits = _Exits()
    exits.install()
    atexit.register(_end, client.register(identity, settings), exits)


def _has_no_program(argv: Sequence[str]) -> bool:
    """Whether somebody sits at this interpreter."""
    if not os.isatty(0):
        return False
    from stepsize.instrumentation.identity import told_python  # noqa: PLC0415 - only where something may be tracked

    return told_python(argv) == ("", [])


def _program(argv: Sequence[str]) -> str:
    from stepsize.instrumentation.identity import program_of  # noqa: PLC0415 - only where something may be tracked

    return program_of(argv)


def _is_tracked_flow(argv: Sequence[str]) -> bool:
    """Whether this runs a Metaflow flow whose steps are tracked each by itself."""
    if not lineage.is_on(os.environ.get("STEPSIZE", "")):
        return False
    script = next((word for word in argv[1:] if word.endswith(".py")), None)
    try:
        if script is None:
            return False
        with Path(script).open("rb") as file:
            return b"metaflow" in file.read(_SCRIPT_BYTES)
    except OSError:
        return False


class _Exits:
    """What the program asked ``sys.exit`` for."""

    def __init__(self) -> None:
        self.failed = False

    def install(self) -> None:
        """Note the argument of ``sys.exit`` from now on."""
        exit_ = sys.exit

        @functools.wraps(exit_)
        def noting(status: str | int | None = None, /) -> NoReturn:
            if threading.current_thread() is threading.main_thread():
                self.failed = status not in (None, 0)
            exit_(status)

        sys.exit = noting


def _end(registration: Registration, exits: _Exits) -> None:
    """The last word: it counts where nobody can tell any more how the process ended."""
    from stepsize.identity import Outcome  # noqa: PLC0415 - as above
    from stepsize.instrumentation import messages, readings  # noqa: PLC0415 - has been imported by now

    outcome, code = Outcome.OK, 0 if not exits.failed else None
    if hasattr(sys, "last_value"):  # an exception that nobody caught has been printed
        outcome, code = Outcome.FAILED, 1
    elif exits.failed:
        outcome = Outcome.UNKNOWN  # it may have been caught
    final = readings.own_reading(last=True)
    end = messages.End(registration.identity.instance_id, outcome, final, code, tentative=True)
    registration.end_with(end)
