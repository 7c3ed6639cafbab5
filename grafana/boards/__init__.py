"""The dashboards, a module each: which questions they answer, in what order. Their SQL is in `sql/`."""

from boards import collector, fleet, flow, live, rightsizing, step

BOARDS = (live.BOARD, flow.BOARD, step.BOARD, rightsizing.BOARD, fleet.BOARD, collector.BOARD)
