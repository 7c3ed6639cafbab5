"""The dashboards, a module each: which questions they answer, in what order. Their SQL is in `sql/`."""

from boards import live, rightsizing, step

BOARDS = (live.BOARD, step.BOARD, rightsizing.BOARD)
