"""What a board asks Prometheus: expressions as targets of panels, tables of several, variables over labels.

What comes in: expressions. What goes out: `Asked`, and builders of grafana-foundation-sdk.

A table has a column an expression, joined by their labels: each of its expressions gives the same labels, which are
bounded by `topk`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from grafana_foundation_sdk.builders import bargauge, common
from grafana_foundation_sdk.builders.dashboard import FieldColor, QueryVariable
from grafana_foundation_sdk.builders.prometheus import Dataquery
from grafana_foundation_sdk.models.common import BarGaugeDisplayMode, VizOrientation
from grafana_foundation_sdk.models.dashboard import (
    DataSourceRef,
    DataTransformerConfig,
    FieldColorModeId,
    VariableOption,
    VariableRefresh,
    VariableSort,
)
from grafana_foundation_sdk.models.prometheus import PromQueryFormat, QueryEditorMode

from boards.parts import ALL, USED, Asked, numbers, rows

if TYPE_CHECKING:
    from collections.abc import Mapping

    from boards.parts import Choice

SOURCE = DataSourceRef(type_val="prometheus", uid="stepsize-prometheus")
TAG = "stepsize-prometheus"
TASK = ("stepsize_flow_name", "stepsize_run_id", "stepsize_step_name", "stepsize_task_id", "stepsize_task_attempt")
COLUMNS = {
    "stepsize_flow_name": "Flow",
    "stepsize_run_id": "Run",
    "stepsize_step_name": "Step",
    "stepsize_task_id": "Task",
    "stepsize_task_attempt": "Attempt",
    "stepsize_outcome": "Outcome",
    "stepsize_loss_reason": "Why",
    "process_exit_code": "Exit code",
    "process_exit_signal": "Signal",
    "host_name": "Host",
    "hw_name": "GPU",
    "hw_id": "Device",
}
"""Labels as columns, in this order before those of values; but for `host_name`, which comes last."""
BY_TASK = f"by ({', '.join(TASK)})"
ON_TASK = f"on ({', '.join(TASK)})"
BY_STEP = "by (stepsize_flow_name, stepsize_step_name)"
_FIRST, _EVERY_15_S = "A", "15s"


def over_time(expressions: Mapping[str, str], *, least: str = _EVERY_15_S) -> Asked:
    """A line an expression, by its name, which may hold ``{{label}}``; ``least`` is the shortest step."""
    return _asked(expressions, lambda made, name: made.range().interval(least).legend_format(name))


def figures(title: str, description: str, expressions: Mapping[str, str], units: Mapping[str, str], **more: Any) -> Any:
    """A number an expression, at the end of the time range."""
    found = _asked(expressions, lambda made, name: made.instant().legend_format(name))
    panel = numbers(found, title, description, units, levels=more.get("levels", {}))
    return panel.reduce_options(common.ReduceDataOptions().calcs(["lastNotNull"]).fields("").values(False))


def levels(title: str, description: str, expressions: Mapping[str, str], unit: str) -> Any:
    """A bar an expression, at the end of the time range."""
    found = _asked(expressions, lambda made, name: made.instant().legend_format(name))
    options = common.ReduceDataOptions().calcs(["lastNotNull"]).fields("").values(False)
    panel = bargauge.Panel().title(title).description(description).datasource(found.source)
    for target in found.targets:
        panel = panel.with_target(target)
    panel = panel.span(12).height(8).unit(unit).min(0).reduce_options(options)
    panel = panel.orientation(VizOrientation.HORIZONTAL).display_mode(BarGaugeDisplayMode.BASIC)
    return panel.color_scheme(FieldColor().mode(FieldColorModeId.FIXED).fixed_color(USED))


def table(title: str, description: str, expressions: Mapping[str, str], units: Mapping[str, str], **more: Any) -> Any:
    """A column an expression, at the end of the time range; the rows are in the order of column ``by``.

    ``labels`` are those that all expressions give; ``also`` are expressions for a label more each, whose values are not
    shown; ``rising`` has the least first.
    """
    labels, by, also = more.pop("labels"), more.pop("by"), more.pop("also", {})
    falls = not more.pop("rising", False)
    found = _asked({**expressions, **also}, lambda made, _: made.instant().format(PromQueryFormat.TABLE))
    values = {f"Value #{_name(number)}": name for number, name in enumerate(expressions)}
    values["Value"] = next(iter(expressions))  # as Grafana names it where one expression alone has an answer
    hidden = ["Time", *(f"Value #{_name(len(expressions) + number)}" for number in range(len(also)))]
    first = [*(one for one in labels if one != "host_name"), *also]
    order = [*first, *values, *(["host_name"] if "host_name" in labels else [])]
    columns = {
        "renameByName": {**{one: COLUMNS[one] for one in (*labels, *also)}, **values},
        "indexByName": {name: number for number, name in enumerate(order)},
        "excludeByName": dict.fromkeys(hidden, True),
    }
    panel = rows(found, title, description, units, **more)
    panel = panel.with_transformation(DataTransformerConfig(id_val="merge", options={}))
    panel = panel.with_transformation(DataTransformerConfig(id_val="organize", options=columns))
    sort = {"fields": {}, "sort": [{"field": by, "desc": falls}]}
    return panel.with_transformation(DataTransformerConfig(id_val="sortBy", options=sort))


def _asked(expressions: Mapping[str, str], form: Any) -> Asked:
    made = []
    for number, (name, expression) in enumerate(expressions.items()):
        query = Dataquery().ref_id(_name(number)).expr(expression).editor_mode(QueryEditorMode.CODE).datasource(SOURCE)
        made.append(form(query, name))
    return Asked(SOURCE, made)


def _name(number: int) -> str:
    return chr(ord(_FIRST) + number)


@dataclass(frozen=True)
class LabelVariable:
    """A variable over a label of ``series``; where there is no ``all``, one value of it is always chosen."""

    name: str
    label: str
    series: str
    values: str
    all: bool = True

    def build(self) -> QueryVariable:
        """Its builder."""
        asked = f"label_values({self.series}, {self.values})"
        made = QueryVariable(self.name).label(self.label).datasource(SOURCE)
        made = made.query({"qryType": 1, "query": asked, "refId": "PrometheusVariableQueryEditor-VariableQuery"})
        made = made.refresh(VariableRefresh.ON_TIME_RANGE_CHANGED).allow_custom_value(False)
        made = made.sort(VariableSort.ALPHABETICAL_CASE_INSENSITIVE_ASC)
        if self.all:
            chosen = VariableOption(selected=True, text="All", value=ALL)
            # Every value in one pattern would be a text as long as there are flows.
            made = made.multi(True).include_all(True).all_value(".*").current(chosen)
        return made


FLOW: Choice = LabelVariable("flow", "Flow", "stepsize:step_memory_peak_bytes:max", "stepsize_flow_name")


def of_flow(more: str = "") -> str:
    """The selector of what belongs to the chosen flows."""
    return f"{{stepsize_flow_name=~{among('flow')}{', ' if more else ''}{more}}}"


def among(variable: str) -> str:
    """The values of a variable with several as a pattern: between backquotes, where names may hold what they will.

    By itself Grafana escapes for double quotes, and leaves those that are part of a name as they are.
    """
    return f"`${{{variable}:regex}}`"


def exactly(variable: str) -> str:
    """The value of a variable with one, as `among`."""
    return f"`${{{variable}:raw}}`"
