"""``python -m stepsize.autosize``: a question on standard input, answers on standard output.

Exit code: 0 well, 1 with one line on standard error. Ends by itself when nobody can be waiting any longer.
"""

from __future__ import annotations

import signal
import sys

from stepsize.autosize.history import answers
from stepsize.autosize.question import Question, dump_answers
from stepsize.errors import StepsizeError
from stepsize.settings import Settings


def main() -> int:
    """Answer one question."""
    try:
        settings = Settings.load()
        if hasattr(signal, "setitimer"):
            signal.setitimer(signal.ITIMER_REAL, settings.autosize_wait_s)  # SIGALRM ends the process
        sys.stdout.write(dump_answers(answers(settings, Question.loads(sys.stdin.read()))))
    except StepsizeError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
