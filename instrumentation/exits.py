"""How a command ended, as shells say it and as the agent is told.

What comes in: the exit code of a process as `subprocess` and `os.waitstatus_to_exitcode` give it, below 0 where a
signal ended it. What goes out: a shell's exit code, a message. Pure.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from stepsize.identity import Outcome
from stepsize.instrumentation import messages

if TYPE_CHECKING:
    from stepsize.identity import Identity

NOT_FOUND = 127
NOT_EXECUTABLE = 126


def of_shells(code: int) -> int:
    """The exit code that a shell would give: 128 + N where signal N ended the command."""
    return 128 - code if code < 0 else code


def end_of(identity: Identity, code: int, final: messages.Reading) -> messages.End:
    """What the agent is told of a command that has ended."""
    if code < 0:
        return messages.End(identity.instance_id, Outcome.KILLED, final, exit_signal=-code)
    return messages.End(identity.instance_id, Outcome.FAILED if code else Outcome.OK, final, exit_code=code)
