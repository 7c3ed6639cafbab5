"""A job in a process of its own, which ends with its job, its limit or whoever waits for it, whichever is first.

What comes in: a :class:`~stepsize.commands.night.jobs.Job` and a limit. What goes out: what it has done, or an error
with one line. What the process prints is kept for the line, never shown whole: libraries print what they like.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import threading
from dataclasses import asdict
from typing import IO, TYPE_CHECKING, Any

from stepsize.commands.night.jobs import Done, Tell, as_fields, job_of
from stepsize.commands.night.state import Message
from stepsize.commands.night.targets import VARIABLE
from stepsize.errors import StepsizeError, UnavailableError
from stepsize.interpreter import environment_for_python

if TYPE_CHECKING:
    from stepsize.commands.night.jobs import Job

_TAIL_BYTES = 2000
_END_S = 10.0
_ERROR = re.compile(r"[\w.]+(Error|Exception): ")


def do(job: Job, limit_s: float) -> Done:
    """Have ``job`` done within ``limit_s``; what the process of one that knows a secret prints is said to nobody.

    Raises:
        UnavailableError: it failed, or was not done in time; a later try may go on from where it was.
    """
    with _printed() as printed, _process(printed) as process:
        content = json.dumps(as_fields(job)).encode() + b"\n"
        assert process.stdin
        try:
            with contextlib.suppress(BrokenPipeError):  # it could not start: what it printed says why
                process.stdin.write(content)
                process.stdin.flush()
            answer = _answer(process, limit_s)
        except subprocess.TimeoutExpired:
            raise UnavailableError(f"not done within {limit_s:g} s; it was stopped") from None
        finally:
            _end(process)
        if answer is None:
            raise UnavailableError(_last_words(process, None if isinstance(job, Tell) else printed))
    return _done(answer)


def _printed() -> IO[bytes]:
    try:
        return tempfile.TemporaryFile()
    except OSError as error:
        raise UnavailableError(f"no temporary file can be made ({error.strerror}); make room, or set TMPDIR") from None


def _process(printed: IO[bytes]) -> subprocess.Popen[bytes]:
    try:
        return subprocess.Popen(
            [sys.executable, "-m", "stepsize.commands.night.child"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=printed,
            env={name: text for name, text in environment_for_python(os.environ).items() if name != VARIABLE},
            start_new_session=True,  # so that what it starts (Spark's JVM) can be ended with it
        )
    except OSError as error:
        raise UnavailableError(f"no process of its own could be started: {error.strerror}") from None


def _answer(process: subprocess.Popen[bytes], limit_s: float) -> bytes | None:
    """The line that it ends with, None where it ended without."""
    assert process.stdout
    lines: list[bytes] = []
    reader = threading.Thread(target=lambda: lines.extend(process.stdout or ()), daemon=True)
    reader.start()
    reader.join(
        min(limit_s, threading.TIMEOUT_MAX)
    )  # its input stays open meanwhile: the end of it is the end of the process
    if reader.is_alive():
        raise subprocess.TimeoutExpired(process.args, limit_s)
    if not lines:
        process.wait(_END_S)  # so that it says itself how it ended
    return lines[-1] if lines else None


def _end(process: subprocess.Popen[bytes]) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        if hasattr(os, "killpg"):
            os.killpg(process.pid, signal.SIGKILL)
        else:
            process.kill()


def _last_words(process: subprocess.Popen[bytes], printed: IO[bytes] | None) -> str:
    code = process.wait()
    how = f"its process was killed (signal {-code})" if code < 0 else f"its process ended with {code}"
    if printed is None:
        return how
    printed.seek(max(0, printed.seek(0, os.SEEK_END) - _TAIL_BYTES))
    lines = [line.strip() for line in printed.read().decode(errors="replace").splitlines() if line.strip()]
    errors = [line for line in lines if _ERROR.match(line)]  # DuckDB's go on below, with where in a query they are
    said = (errors or lines)[-1:]
    return ": ".join((how, *said))


def _done(answer: bytes) -> Done:
    found: dict[str, Any] = json.loads(answer)
    if "error" in found:
        raise UnavailableError(found["error"])
    message = found["message"]
    return Done(
        said=tuple(found["said"]),
        warned=tuple(found["warned"]),
        message=None if message is None else Message(**message),
    )


def main() -> None:
    """Entry point of the process: one job on standard input, one line on standard output, and the end."""
    fields = json.loads(sys.stdin.buffer.readline())
    threading.Thread(target=_end_with_parent, daemon=True).start()
    answer = os.dup(sys.stdout.fileno())
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())  # what libraries print is no answer
    try:
        content = asdict(job_of(fields).do())
    except StepsizeError as error:
        content = {"error": str(error)}
    os.write(answer, json.dumps(content).encode() + b"\n")


def _end_with_parent() -> None:
    while os.read(sys.stdin.fileno(), 1 << 12):
        pass
    os._exit(1)


if __name__ == "__main__":
    main()
