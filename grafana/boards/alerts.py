"""Alert rules over the same endpoint, in Grafana's file of provisioning.

A query's rows are a series each: its one number is compared, its texts are labels.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import yaml

from boards.parts import KIND, SOURCE, TABLE, sql

HEAD = "# Written by `make dashboards` from grafana/boards/alerts.py.\n"


@dataclass(frozen=True)
class Rule:
    """Fires where the number of ``query`` has been above ``above`` for ``lasts``."""

    uid: str
    title: str
    query: str
    above: float
    lasts: str
    summary: str
    board: str

    def build(self) -> dict[str, Any]:
        """As Grafana reads it."""
        window = {"from": 3600, "to": 0}
        asked = {
            "refId": "A",
            "format": TABLE,
            "rawQuery": True,
            "editorMode": "code",
            "rawSql": sql("alerts", self.query),
        }
        source = {"type": KIND, "uid": SOURCE}
        condition = {"evaluator": {"type": "gt", "params": [self.above]}}
        compared = {"refId": "B", "type": "threshold", "expression": "A", "conditions": [condition]}
        return {
            "uid": self.uid,
            "title": self.title,
            "condition": "B",
            "data": [
                {
                    "refId": "A",
                    "relativeTimeRange": window,
                    "datasourceUid": SOURCE,
                    "model": {**asked, "datasource": source},
                },
                {
                    "refId": "B",
                    "relativeTimeRange": window,
                    "datasourceUid": "__expr__",
                    "model": {**compared, "datasource": {"type": "__expr__", "uid": "__expr__"}},
                },
            ],
            "noDataState": "OK",  # nothing runs, refuses, or wastes
            "execErrState": "Error",
            "for": self.lasts,
            "annotations": {"summary": self.summary, "__dashboardUid__": self.board},
            "labels": {"source": "stepsize"},
            "isPaused": False,
        }


RULES = (
    Rule(
        uid="stepsize-memory",
        title="A step is near its memory limit",
        query="memory",
        above=0.9,
        lasts="0s",
        summary="{{ $labels.flow }}/{{ $labels.step }} held {{ humanizePercentage $values.A.Value }} of what it may "
        "hold within the last hour",
        board="stepsize-step",
    ),
    Rule(
        uid="stepsize-refused",
        title="A collector refuses",
        query="refused",
        above=0,
        lasts="0s",
        summary='The collector {{ $labels.collector }} refused {{ printf "%.0f" $values.A.Value }} points or requests '
        "in ten minutes ({{ $labels.what }})",
        board="stepsize-collector",
    ),
    Rule(
        uid="stepsize-waste",
        title="A flow wastes",
        query="waste",
        above=100,
        lasts="0s",
        summary='{{ $labels.flow }} could save {{ printf "%.0f" $values.A.Value }} {{ $labels.currency }} a month '
        "(reports/latest/report.html in the lake)",
        board="stepsize-rightsizing",
    ),
)


def text() -> str:
    """The file."""
    group = {"orgId": 1, "name": "stepsize", "folder": "stepsize", "interval": "1m"}
    found = {"apiVersion": 1, "groups": [{**group, "rules": [rule.build() for rule in RULES]}]}
    return HEAD + yaml.dump(found, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=120)


class _Dumper(yaml.SafeDumper):
    """Texts of several lines as blocks, nothing by reference."""

    def ignore_aliases(self, data: object) -> bool:  # noqa: ARG002 - as PyYAML calls it
        """Whether it is written where it is used, however often."""
        return True


def _as_text(dumper: yaml.SafeDumper, value: str) -> yaml.ScalarNode:
    # Grafana replaces $NAME in files of provisioning by the environment; $$ is a dollar.
    return dumper.represent_scalar("tag:yaml.org,2002:str", value.replace("$", "$$"), "|" if "\n" in value else None)


_Dumper.add_representer(str, _as_text)
