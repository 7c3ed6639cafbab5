"""What boards are made of: panels over a query in a file, with one look for all of them.

What comes in: names of queries or `Asked`, titles, units. What goes out: builders of grafana-foundation-sdk. Never
holds SQL.

A colour means the same everywhere: what is used is blue, what was asked for orange, a limit red, what is recommended
or well green.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from grafana_foundation_sdk.builders import barchart, common, stat, table, timeseries
from grafana_foundation_sdk.builders.dashboard import (
    Dashboard,
    DashboardLink,
    QueryVariable,
    Row,
    TextBoxVariable,
    ThresholdsConfig,
    TimePicker,
)
from grafana_foundation_sdk.cog.variants import Dataquery
from grafana_foundation_sdk.models import common as models
from grafana_foundation_sdk.models.dashboard import (
    DashboardCursorSync,
    DashboardLinkType,
    DataSourceRef,
    DynamicConfigValue,
    Threshold,
    ThresholdsMode,
    VariableOption,
    VariableRefresh,
)
from jinja2 import Environment, FileSystemLoader, StrictUndefined

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from grafana_foundation_sdk.cog.builder import Builder

SQL = Path(__file__).parents[1] / "sql"
SOURCE = "stepsize"
KIND = "grafana-postgresql-datasource"
SOURCE_REF = DataSourceRef(type_val=KIND, uid=SOURCE)
TAG = "stepsize"
USED, ASKED, LIMIT, GOOD, BAD, OTHER = "blue", "orange", "red", "green", "red", "text"
BYTES, CORES, SECONDS, SHARE, NUMBER = "decbytes", "none", "s", "percentunit", "short"
TABLE, SERIES = "table", "time_series"
ALL = "$__all"
_TEMPLATES = Environment(
    loader=FileSystemLoader(SQL),
    undefined=StrictUndefined,
    trim_blocks=True,
    keep_trailing_newline=True,
    autoescape=False,  # noqa: S701 - SQL of our own, not HTML
)


class Query(Dataquery):
    """What Grafana's PostgreSQL data source is asked."""

    def __init__(self, text: str, form: str) -> None:
        self._text = text
        self._form = form

    def to_json(self) -> dict[str, Any]:
        """As the data source reads it."""
        return {
            "refId": "A",
            "datasource": SOURCE_REF,
            "format": self._form,
            "rawQuery": True,
            "editorMode": "code",
            "rawSql": self._text,
        }

    def build(self) -> Query:
        """Itself; panels take builders."""
        return self


@dataclass(frozen=True)
class Asked:
    """What another data source is asked, in place of the name of a query in a file."""

    source: DataSourceRef
    targets: Sequence[Builder[Any]]


class Choice(Protocol):
    """A variable of whichever data source."""

    def build(self) -> QueryVariable | TextBoxVariable:
        """Its builder."""


@dataclass(frozen=True)
class Text:
    """A variable that is written by who looks, or in the address; at first empty."""

    name: str
    label: str
    description: str

    def build(self) -> TextBoxVariable:
        """Its builder."""
        return TextBoxVariable(self.name).label(self.label).description(self.description).default_value("")


@dataclass(frozen=True)
class Variable:
    """A variable over a query; where there is no ``all``, one value of it is always chosen.

    With ``all`` chosen it stands for the column of its own name: ``flow IN (flow)`` is true of every flow, in a text
    that is the same however many there are.
    """

    name: str
    label: str
    query: str
    all: bool = True

    def build(self) -> QueryVariable:
        """Its builder."""
        made = QueryVariable(self.name).label(self.label).datasource(SOURCE_REF).query(sql("variables", self.query))
        made = made.refresh(VariableRefresh.ON_TIME_RANGE_CHANGED).allow_custom_value(False)
        if self.all:
            chosen = VariableOption(selected=True, text="All", value=ALL)
            made = made.multi(True).include_all(True).all_value(self.name).current(chosen)
        return made


@dataclass(frozen=True)
class Board:
    """A dashboard: rows of panels, in the order of their importance."""

    uid: str
    title: str
    description: str
    rows: Mapping[str, Sequence[Builder[Any]]]
    variables: Sequence[Choice] = ()
    window: str = "now-7d"
    refresh: str = "1m"
    is_live: bool = False
    """Whether its queries look at a window of their own up to now, so that there is none to choose."""
    tag: str = TAG
    """Of the set that it is part of: links lead to the others of that."""

    def build(self) -> Any:
        """The dashboard, as the SDK has it."""
        board = (
            Dashboard(self.title)
            .uid(self.uid)
            .description(self.description)
            .tags([self.tag])
            .timezone("browser")
            .tooltip(DashboardCursorSync.CROSSHAIR)
            .time(self.window, "now")
            .refresh(self.refresh)
            .readonly()  # a file of provisioning is what can be changed
            .timepicker(TimePicker().hidden(self.is_live).refresh_intervals(["5s", "10s", "30s", "1m", "5m", "1h"]))
            .links([_to_others(self.tag)])
        )
        for variable in self.variables:
            board = board.with_variable(variable.build())
        for title, panels in self.rows.items():
            board = board.with_row(Row(title))
            for panel in panels:
                board = board.with_panel(panel)
        return board.build()


def sql(folder: str, name: str) -> str:
    """A query's text; what several are made of is in `sql/shared/`."""
    return _TEMPLATES.get_template(f"{folder}/{name}.sql").render()


def numbers(
    query: str | Asked, title: str, description: str, units: Mapping[str, str], *, levels: Mapping[str, Any]
) -> Any:
    """The fields of one row, a number each; ``levels`` are thresholds by field: (from, colour)s."""
    options = common.ReduceDataOptions().calcs(["lastNotNull"]).fields("/.*/").values(False)
    panel = stat.Panel().reduce_options(options).graph_mode(models.BigValueGraphMode.NONE)
    panel = panel.color_mode(models.BigValueColorMode.VALUE).text_mode(models.BigValueTextMode.VALUE_AND_NAME)
    panel = _common(panel, query, title, description, TABLE).span(24).height(4).thresholds(_levels(()))
    return _fields(panel, units, levels).no_value("none")


def lines(
    query: str | Asked,
    title: str,
    description: str,
    unit: str,
    colours: Mapping[str, str],
    *,
    span: int = 12,
    **more: Any,
) -> Any:
    """Values over time; a series that bounds others (red, orange) is a line alone, used ones are filled.

    ``least`` is the shortest interval; ``bars`` stacks bars.
    """
    panel = _common(timeseries.Panel(), query, title, description, SERIES).span(span).height(8).unit(unit).min(0)
    panel = panel.line_width(2).fill_opacity(8).show_points(models.VisibilityMode.AUTO).max_data_points(300)
    panel = panel.legend(
        common.VizLegendOptions()
        .show_legend(True)
        .display_mode(models.LegendDisplayMode.LIST)
        .placement(models.LegendPlacement.BOTTOM)
    ).tooltip(common.VizTooltipOptions().mode(models.TooltipDisplayMode.MULTI).sort(models.SortOrder.DESCENDING))
    if least := more.get("least"):
        panel = panel.interval(least)
    if more.get("bars"):
        stacked = common.StackingConfig().mode(models.StackingMode.NORMAL)
        panel = panel.draw_style(models.GraphDrawStyle.BARS).fill_opacity(70).line_width(0).stacking(stacked)
        panel = panel.max_data_points(60)
    else:
        panel = panel.span_nulls(3_600_000 if more.get("joined") is None else more["joined"])
    for name, colour in colours.items():
        found = [DynamicConfigValue("color", {"mode": "fixed", "fixedColor": colour})]
        if colour in {ASKED, LIMIT} and not more.get("bars"):
            found += [
                DynamicConfigValue("custom.fillOpacity", 0),
                DynamicConfigValue("custom.lineStyle", {"fill": "dash", "dash": [8, 6]}),
            ]
        panel = panel.override_by_name(name, found)
    return panel


def bars(query: str | Asked, title: str, description: str, x: str, *, span: int = 12) -> Any:
    """Counts of parts in their order."""
    panel = _common(barchart.Panel(), query, title, description, TABLE).span(span).height(8).x_field(x)
    panel = panel.legend(
        common.VizLegendOptions()
        .show_legend(False)
        .display_mode(models.LegendDisplayMode.LIST)
        .placement(models.LegendPlacement.BOTTOM)
    )
    panel = panel.x_tick_label_spacing(100).show_value(models.VisibilityMode.NEVER).fill_opacity(70)
    return panel.override_by_regexp("/.*/", [DynamicConfigValue("color", {"mode": "fixed", "fixedColor": USED})])


def rows(
    query: str | Asked,
    title: str,
    description: str,
    units: Mapping[str, str],
    *,
    levels: Mapping[str, Any] | None = None,
    links: Mapping[str, str] | None = None,
    height: int = 10,
    span: int = 24,
    widths: Mapping[str, int] | None = None,
) -> Any:
    """A table; ``levels`` colours cells, ``links`` leads on from a column."""
    panel = _common(table.Panel(), query, title, description, TABLE).span(span).height(height).filterable(True)
    panel = panel.no_value("").thresholds(_levels(()))
    for name, url in (links or {}).items():
        panel = panel.override_by_name(name, [DynamicConfigValue("links", [{"title": "Look at it", "url": url}])])
    for name, width in (widths or {}).items():
        panel = panel.override_by_name(name, [DynamicConfigValue("custom.width", width)])
    return _fields(panel, units, levels or {}, cells=True)


def to_step(flow: str = "Flow", step: str = "Step", *, uid: str = "stepsize-step", more: str = "") -> str:
    """The address of a step's dashboard, from a row with these columns; ``more`` is `RUN`, `RANGE` or both."""
    return f"/d/{uid}/?{_chosen('flow', flow)}&{_chosen('step', step)}{more}"


def to_flow(flow: str = "Flow", *, uid: str = "stepsize-flow", more: str = "") -> str:
    """The address of a flow's dashboard, from a row with this column; ``more`` may be `RANGE`."""
    return f"/d/{uid}/?{_chosen('flow', flow)}{more}"


def _chosen(variable: str, column: str) -> str:
    return f"var-{variable}=${{__data.fields.{column}:percentencode}}"


RUN, RANGE = f"&{_chosen('run', 'Run')}", "&${__url_time_range}"
"""What a link carries besides: the row's run, the range of time that is looked at."""


def _to_others(tag: str) -> DashboardLink:
    made = DashboardLink("stepsize").type(DashboardLinkType.DASHBOARDS).tags([tag]).as_dropdown(True)
    # Each has a range of time that fits it: a quarter of an hour of Live is nothing to see runs in.
    return made.include_vars(True).keep_time(False).icon("external link")


def _common(panel: Any, query: str | Asked, title: str, description: str, form: str) -> Any:
    panel = panel.title(title).description(description)
    if isinstance(query, Asked):
        panel = panel.datasource(query.source)
        for target in query.targets:
            panel = panel.with_target(target)
        return panel
    folder, name = query.split("/")
    panel = panel.datasource(SOURCE_REF)
    return panel.with_target(Query(sql(folder, name), form))


def _fields(panel: Any, units: Mapping[str, str], levels: Mapping[str, Any], *, cells: bool = False) -> Any:
    for name in dict.fromkeys([*units, *levels]):
        found = []
        if name in units:
            found.append(DynamicConfigValue("unit", units[name]))
            if units[name] in {SECONDS, BYTES, SHARE}:  # of what is as small as the price of an hour Grafana shows more
                found.append(DynamicConfigValue("decimals", 1))
        if name in levels:
            found.append(DynamicConfigValue("thresholds", _levels(levels[name]).build()))
            if cells:
                found.append(DynamicConfigValue("custom.cellOptions", {"type": "color-text"}))
        panel = panel.override_by_name(name, found)
    return panel


def _levels(found: Sequence[tuple[float, str]]) -> ThresholdsConfig:
    steps = [Threshold(value=None, color=OTHER), *(Threshold(value=value, color=colour) for value, colour in found)]
    return ThresholdsConfig().mode(ThresholdsMode.ABSOLUTE).steps(steps)
