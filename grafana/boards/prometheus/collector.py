"""Collectors that Prometheus scrapes, stepsize's and OpenTelemetry's, and what agents could not bring them."""

from boards.parts import ASKED, BAD, BYTES, NUMBER, SECONDS, USED, Board, lines
from boards.prometheus.asking import TAG, figures, over_time, table

_BEHIND = ((60, ASKED), (300, BAD))


def _counter(name: str) -> str:
    """A counter of either collector: a reader may be told to end names in `_total`."""
    return f'{{__name__=~"{name}(_total)?"}}'


def _rate(name: str) -> str:
    return f"sum(rate({_counter(name)}[$__rate_interval]))"


def _more(name: str, by: str) -> str:
    return f"sum by ({by}) (increase({_counter(name)}[$__rate_interval])) > 0"


BOARD = Board(
    uid="stepsize-prometheus-collector",
    title="stepsize on Prometheus / Collector",
    description="Collectors that Prometheus scrapes (docs/grafana.md says how).",
    window="now-6h",
    refresh="30s",
    tag=TAG,
    rows={
        "Health": (
            figures(
                "At the end of the time range",
                "Behind: age of the oldest points that are not in the lake. Queue: what waits to be sent of what fits, "
                "in an OpenTelemetry Collector.",
                {
                    "Collectors": "count(otelcol_process_uptime)",
                    "Sinks up": "min(stepsize_sink_up)",
                    "Up for": "min(otelcol_process_uptime)",
                    "Behind": "max(stepsize_sink_lag)",
                    "In the log": "sum(stepsize_wal_stored_bytes)",
                    "Queue": "max(otelcol_exporter_queue_size / otelcol_exporter_queue_capacity)",
                    "Memory": "sum(otelcol_process_memory_rss) + (sum(stepsize_sink_memory_rss) or vector(0))",
                },
                {
                    "Collectors": NUMBER,
                    "Sinks up": NUMBER,
                    "Up for": SECONDS,
                    "Behind": SECONDS,
                    "In the log": BYTES,
                    "Queue": "percentunit",
                    "Memory": BYTES,
                },
                levels={"Behind": _BEHIND, "Queue": ((0.5, ASKED), (0.9, BAD))},
            ),
            lines(
                over_time(
                    {
                        "taken": _rate("otelcol_receiver_accepted_metric_points"),
                        "refused": _rate("otelcol_receiver_refused_metric_points"),
                    }
                ),
                "Points a second",
                "Taken and refused, of all collectors.",
                NUMBER,
                {"taken": USED, "refused": BAD},
            ),
            lines(
                over_time(
                    {
                        "sent by {{instance}}, {{exporter}}": "sum by (instance, exporter) (rate("
                        f"{_counter('otelcol_exporter_sent_metric_points')}[$__rate_interval]))",
                        "given up by {{instance}}, {{exporter}}": "sum by (instance, exporter) (rate("
                        f"{_counter('otelcol_exporter_send_failed_metric_points')}[$__rate_interval]))",
                    }
                ),
                "Points handed on, a second",
                "By exporters, to Prometheus among others. What is given up is lost: the agents were told that it was "
                "taken.",
                NUMBER,
                {},
            ),
            lines(
                over_time(
                    {
                        "{{bound}}": _more("stepsize_receiver_refused_requests", "bound"),
                        "points, {{bound}}": _more("stepsize_receiver_rejected_metric_points", "bound"),
                        "no room in the log": f"sum(increase({_counter('stepsize_wal_refused_requests')}"
                        "[$__rate_interval])) > 0",
                    }
                ),
                "Refused, by the bound that was broken",
                "Requests that stepsize's collectors turned away, points that they left out.",
                NUMBER,
                {},
                bars=True,
            ),
            lines(
                over_time({"lake": "max(stepsize_sink_lag)", "object store": "max(stepsize_upload_lag)"}),
                "Behind",
                "The age of the oldest points that are on disk and not in the lake, or not in the object store.",
                SECONDS,
                {"lake": USED, "object store": "light-blue"},
            ),
            lines(
                over_time({"receivers": "max(otelcol_process_memory_rss)", "sink": "max(stepsize_sink_memory_rss)"}),
                "Memory",
                "Resident, of the largest collector.",
                BYTES,
                {"receivers": USED, "sink": "light-blue"},
            ),
        ),
        "Agents": (
            lines(
                over_time(
                    {
                        "{{stepsize_waiting_place}}": "max by (stepsize_waiting_place) "
                        "(last_over_time(stepsize_agent_points_waiting[2m]))"
                    }
                ),
                "Points that wait at agents",
                "By where they wait: of the agent with the most.",
                NUMBER,
                {"spool": USED, "memory": "light-blue"},
            ),
            table(
                "Points that agents gave up",
                "By host and reason, those of agents that told in the time range.",
                {
                    "Points": "topk(200, sum by (host_name, stepsize_loss_reason) "
                    "(max_over_time(stepsize_agent_points_lost_total[$__range])) > 0)"
                },
                {"Points": NUMBER},
                labels=("stepsize_loss_reason", "host_name"),
                by="Points",
                span=12,
                height=8,
            ),
        ),
    },
)
