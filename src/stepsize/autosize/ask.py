"""Asks the lake, in a process of its own, and waits for the answer so long and no longer.

What comes in: settings and a `Question`. What goes out: the answers, or an error that says why there are none. A lake
that hangs, or is huge, costs a launch `Settings.autosize_wait_s`; the process that reads it then ends, and where its
system does not let it, it is left behind. Standard library only.
"""

from __future__ import annotations

import contextlib
import os
import subprocess
from typing import TYPE_CHECKING

from stepsize import interpreter
from stepsize.autosize.question import load_answers
from stepsize.errors import LakeError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from stepsize.autosize.question import Question, StepAnswer
    from stepsize.settings import Settings

MODULE = "stepsize.autosize"
_REAPING_S = 0.2


def ask(settings: Settings, question: Question, environ: Mapping[str, str]) -> Mapping[str, StepAnswer]:
    """The answers by the names of the steps.

    Raises:
        LakeError: the lake could not be read, or not in time.
    """
    wait_s = settings.autosize_wait_s
    late = LakeError(f"the lake {settings.lake} gave no answer within {wait_s:g} s (STEPSIZE_AUTOSIZE_WAIT)")
    # That process is ours: it does not register itself.
    python = interpreter.for_modules(settings._replace(autostart=False).environment(environ))
    try:
        process = subprocess.Popen(
            [python.executable, "-m", MODULE],
            env=python.environment,
            cwd=os.sep,  # a module in the user's directory is not to stand for one of the standard library's
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            encoding="utf-8",
            errors="replace",
        )
    except OSError as error:
        raise LakeError(f"{python.executable} cannot be started: {error.strerror}") from None
    try:
        told, said = process.communicate(question.dumps(), timeout=wait_s)
    except subprocess.TimeoutExpired:
        raise late from None
    finally:
        _end(process)
    if process.returncode < 0:  # its own alarm was the faster one
        raise late
    if process.returncode:
        raise LakeError((said.strip().splitlines() or ["the lake could not be read"])[-1])
    try:
        answers = load_answers(told)
    except (ValueError, TypeError, KeyError):
        answers = {}
    if answers.keys() != {each.step for each in question.steps}:
        raise LakeError(f"{python.executable} has another stepsize, whose answer is none")
    return answers


def _end(process: subprocess.Popen[str]) -> None:
    """Without waiting for one that is stuck in a read, which a signal does not end."""
    if process.poll() is None:
        process.kill()
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(_REAPING_S)
    for pipe in (process.stdin, process.stdout, process.stderr):
        if pipe is not None:
            with contextlib.suppress(OSError):
                pipe.close()
