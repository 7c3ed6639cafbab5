"""The dashboards for those who keep these metrics in Prometheus, over `grafana/prometheus/rules.yaml`."""

from boards.prometheus import collector, fleet, flow, live, step

BOARDS = (live.BOARD, flow.BOARD, step.BOARD, fleet.BOARD, collector.BOARD)
