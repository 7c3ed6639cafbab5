"""``python -m stepsize.card ORDER``: the writer of one card, started by the task that the card is of."""

from __future__ import annotations

import sys

from stepsize.card.writer import main

if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
