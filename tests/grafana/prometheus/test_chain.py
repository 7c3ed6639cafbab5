"""What agents send in Prometheus, by each way there: every panel over it, the rules, the alerts, the variables."""

from __future__ import annotations

import re
import subprocess
import sys
import time
from collections.abc import Iterator
from typing import Any

import pytest

from tests.collector.running import wait_for
from tests.grafana.prometheus.asking import Prometheus
from tests.grafana.prometheus.boards import BOARDS, Target, panels, targets
from tests.grafana.prometheus.chain import ODD, WAYS, Site, site
from tests.grafana.prometheus.expanding import All, Window
from tests.interop.peers import OTELCOL, PROMETHEUS, PROMETHEUS_3

pytestmark = [
    pytest.mark.peers,
    pytest.mark.needs(PROMETHEUS, OTELCOL),
    pytest.mark.xdist_group("prometheus"),
]
each_way = pytest.mark.parametrize(
    "way", [pytest.param(way, marks=pytest.mark.needs(peer)) for way, peer in WAYS.items()]
)
EVERYTHING = {"flow": All(".*"), "run": All(".*")}
ONE_STEP = {"flow": "Train", "step": "fit", "run": All(".*")}
BY_REMOTE_WRITE = "stepsize_task_(request|duration)_"
NOT_HERE = {
    "stepsize-prometheus-collector/Points handed on, a second/given up by {{instance}}, {{exporter}}",
    "stepsize-prometheus-collector/Refused, by the bound that was broken/points, {{bound}}",
    "stepsize-prometheus-collector/Refused, by the bound that was broken/no room in the log",
    "stepsize-prometheus-collector/Behind/object store",
    "stepsize-prometheus-step/Memory of all that ran/limit",
}
"""Nothing was given up, left out or uploaded; the chosen step has no limit."""


@pytest.fixture(scope="module")
def here(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """Two attempts of `Train/fit` ended, one of it runs, another step's too, and one near its limit; three failed."""
    with site(tmp_path_factory.mktemp("site")) as found:
        yield found


def answer(where: Prometheus, target: Target) -> list[dict[str, Any]]:
    """What a panel's expression gives, asked as Grafana does, with everything chosen that can be."""
    variables = ONE_STEP if target.board.endswith("-step") else EVERYTHING
    now = time.time()
    if target.is_instant:
        return where.asked(target.expand(Window(now - 900, now), variables), now)
    # To the end of the step that has begun: a site has more than half a minute to show.
    window = Window(now - 3600, now + 300)
    step_s = window.step_s(target.found.get("interval"))
    expression = target.expand(window, variables)
    return where.over(expression, window.begin_s // step_s * step_s, window.end_s // step_s * step_s, step_s)


@each_way
def test_every_expression_of_every_panel_has_an_answer(here: Site, way: str) -> None:
    """But for what did not happen, and for what the shipped Collector alone makes of resources, where it is not."""
    empty: set[str] = set()
    made_by_collector = {target.name: target.needs_transform for target in targets()}
    for target in targets():
        if way != "written" and target.board == "stepsize-prometheus-collector" and "agent" not in target.found["expr"]:
            continue  # that Prometheus scrapes no collector
        series = answer(here.ways[way], target)
        if not series:
            empty.add(target.name)
            continue
        for label in re.findall(r"{{(\w+)}}", target.found.get("legendFormat", "")):
            assert all(one["metric"].get(label) for one in series), target.name
    allowed = NOT_HERE if here.has_limit else NOT_HERE | {"stepsize-prometheus-live/Memory/limit"}
    if way != "written":
        empty = {name for name in empty if not made_by_collector[name]}
    assert empty <= allowed


def test_columns_of_a_table_can_be_joined(here: Site) -> None:
    """Each expression of a table gives the labels that become columns, the same for all; the order is one of them."""
    for uid, panel in panels():
        if panel["type"] != "table":
            continue
        _, organized, sorted_ = panel["transformations"]
        names = organized["options"]["renameByName"]
        found = [answer(here.ways["written"], Target(uid, panel, one)) for one in panel["targets"]]
        labels = [set(one["metric"]) - {"__name__"} for series in found for one in series]
        shared = set.intersection(*labels)
        assert shared
        for one in labels:
            assert one <= names.keys(), panel["title"]
            assert one - shared <= {"stepsize_outcome", "process_exit_code"}, panel["title"]
        assert len({tuple(sorted(one["metric"].items())) for one in found[0]}) == len(found[0])
        (field,) = sorted_["options"]["sort"]
        assert field["field"] in names.values()
        shown = set(names.values())
        assert {change["matcher"]["options"] for change in panel["fieldConfig"]["overrides"]} <= shown


@each_way
def test_variables_have_values(here: Site, way: str) -> None:
    """By `label_values`, the ones that depend on others with those chosen."""
    found = {}
    window = Window(0, 900)
    for uid, board in BOARDS.items():
        for variable in board["templating"].get("list", []):
            asked = re.fullmatch(r"label_values\((.*), (\w+)\)", variable["query"]["query"])
            assert asked
            series = window.expand(asked[1], ONE_STEP)
            found[uid, variable["name"]] = here.ways[way].label_values(asked[2], series)
    flows = [ODD["stepsize.flow.name"], "Train"]
    flow, step, run = ("flow", flows), ("step", ["big", "fit", "load"]), ("run", ["7", "8"])
    assert {(name, tuple(values)) for (_, name), values in found.items()} == {
        (name, tuple(values)) for name, values in (flow, step, run)
    }


@each_way
def test_what_has_ended_runs_no_longer(here: Site, way: str) -> None:
    """Prometheus shows its series for minutes more; the rules count those that run, and each end once."""
    where = here.ways[way]
    found = where.asked('stepsize:step_running:count{stepsize_flow_name="Train"}')
    running = {one["metric"]["stepsize_step_name"]: one["value"][1] for one in found}
    assert running == {"fit": "1", "load": "1", **({"big": "1"} if here.has_limit else {})}
    (told,) = where.asked('count(stepsize_task_memory_usage_bytes{stepsize_step_name="fit"})')
    assert told["value"][1] == "3"
    ended = where.asked('sum_over_time(stepsize:step_ended:count1m{stepsize_flow_name="Train"}[15m])')
    counts = {
        (one["metric"]["stepsize_step_name"], one["metric"]["stepsize_outcome"]): one["value"][1] for one in ended
    }
    assert counts == {
        ("fit", "ok"): "1",
        ("fit", "failed"): "1",
        ("big", "killed"): "1",
        **({("big", "oom"): "1"} if here.has_limit else {}),
    }


@each_way
def test_cpu_time_of_short_attempts_is_counted(here: Site, way: str) -> None:
    """All of it, from nothing on: what the rules added up is what the counters say, of a step that is over or idle."""
    where = here.ways[way]
    counted = 'sum(sum_over_time(stepsize:step_cpu_seconds:increase1m{stepsize_step_name="big"}[15m]))'
    told = 'sum(last_over_time(stepsize_task_cpu_time_seconds_total{stepsize_step_name="big"}[15m]))'

    def is_all() -> bool:
        one, other = (float(where.asked(asked)[0]["value"][1]) for asked in (counted, told))
        return one == pytest.approx(other, rel=0.02) and one > 0

    wait_for(is_all, "the minutes hold what the counters do")


def test_names_are_the_same_by_every_way(here: Site) -> None:
    """But for metrics that the shipped Collector makes; labels of attempts are those that boards and rules ask for."""
    told = '{__name__=~"stepsize_task_.*|system_.*|hw_.*|container_.*"}'
    names = {way: set(where.label_values("__name__", told)) for way, where in here.ways.items()}
    made = {name for name in names["written"] if re.match(BY_REMOTE_WRITE, name)}
    assert made == {
        f"stepsize_task_{one}" for one in ("request_cpu", "request_memory_bytes", "request_gpu", "duration_seconds")
    }
    assert {way: found - made for way, found in names.items()} == dict.fromkeys(here.ways, names["scraped"])
    attempt = {
        "stepsize_flow_name": "Train",
        "stepsize_run_id": "8",
        "stepsize_step_name": "fit",
        "stepsize_task_id": "3",
    }
    asked = 'stepsize_task_memory_usage_bytes{stepsize_step_name="fit", stepsize_run_id="8"}'
    for where in here.ways.values():
        (one,) = where.asked(asked)
        assert one["metric"].items() >= {**attempt, "stepsize_task_attempt": "0"}.items()
        assert one["metric"]["host_name"]
    (one,) = here.ways["written"].asked(asked)
    assert not here.ways["written"].asked('target_info{stepsize_task_id!=""}')
    assert set(one["metric"]) == {*attempt, "stepsize_task_attempt", "__name__", "host_name", "job", "instance"}
    (samples,) = here.ways["written"].asked(f"{asked}[10s]")
    assert len(samples["values"]) >= 8, "one a second, at their own times"


def test_requests_are_told_as_they_were_asked(here: Site) -> None:
    """By the Collector, of attempts that asked: amounts and since when, a point of each a moment."""
    where = here.ways["written"]
    for name, amount in (("request_cpu", 2), ("request_memory_bytes", 500_000_000), ("request_gpu", 1)):
        found = where.asked(f"stepsize_task_{name}")
        assert {one["metric"]["stepsize_step_name"] for one in found} == {"fit", "load"}
        assert {float(one["value"][1]) for one in found} == {amount}
    (duration,) = where.asked('stepsize_task_duration_seconds{stepsize_run_id="7", stepsize_task_id="1"}')
    assert 1.9 < float(duration["value"][1]) < 6


def test_names_may_hold_anything(here: Site) -> None:
    """Quotes, backslashes and what means something in a pattern: what is chosen is shown, and nothing else."""
    flow, step, run = (ODD[f"stepsize.{one}"] for one in ("flow.name", "step.name", "run.id"))
    by_name = {target.name: target for target in targets()}

    def number(name: str, **variables: object) -> float:
        now = time.time()
        (one,) = here.ways["written"].asked(by_name[name].expand(Window(now - 900, now), variables))
        return float(one["value"][1])

    alone, ended = "stepsize-prometheus-step/$flow / $step/Attempts", "stepsize-prometheus-flow/In all/Ended"
    assert number(alone, flow=flow, step=step, run=[run]) == 1
    assert number(alone, flow=flow, step=step, run=All(".*")) == 1
    train = number(ended, flow=["Train"])
    wait_for(lambda: number(ended, flow=[flow, "Train"]) == train + 1, "its end is counted")
    assert number(ended, flow=[flow]) == 1


def test_alerts_fire(here: Site) -> None:
    """Of an attempt near its limit, of one that was killed there, of points that an agent lost."""
    wanted = {"StepsizePointsLost"} | (
        {"StepsizeNearMemoryLimit", "StepsizeKilledForMemory"} if here.has_limit else set()
    )
    for way in here.ways.values():
        found = wait_for(lambda way=way: wanted <= way.firing().keys() and way.firing(), f"{wanted} fire")
        if here.has_limit:
            near = found["StepsizeNearMemoryLimit"]["labels"]
            assert (near["stepsize_step_name"], near["stepsize_task_id"]) == ("big", "6")
            assert found["StepsizeKilledForMemory"]["labels"]["stepsize_step_name"] == "big"


@pytest.mark.needs(PROMETHEUS_3)
def test_an_agent_may_send_to_prometheus_itself(here: Site) -> None:
    """With nothing in between: to its OTLP receiver, by the address that is used as it is."""
    where = here.ways["otlp"]
    told = {
        **here.environment,
        "OTEL_EXPORTER_OTLP_METRICS_ENDPOINT": f"http://{where.address}/api/v1/otlp/v1/metrics",
        "STEPSIZE_EXPORT_INTERVAL": "1",
    }
    names = ["--flow", "Direct", "--run", "1", "--step", "alone", "--task", "1", "--quiet"]
    command = [
        sys.executable,
        "-m",
        "stepsize",
        "run",
        *names,
        "--",
        sys.executable,
        "-c",
        "import time; time.sleep(1)",
    ]
    subprocess.run(command, env=told, check=True, timeout=60)
    (end,) = wait_for(lambda: where.asked('stepsize_task_end_ratio{stepsize_flow_name="Direct"}'), "its end is there")
    assert end["metric"]["stepsize_outcome"] == "ok"
    assert end["metric"]["stepsize_step_name"] == "alone"
    told = '{stepsize_flow_name="Direct", __name__=~"stepsize_task_.*"}'
    wanted = {"stepsize_task_memory_peak_bytes", "stepsize_task_cpu_time_seconds_total"}
    # With a window for late points Prometheus shows a request while it is being written.
    wait_for(lambda: wanted <= {one["metric"]["__name__"] for one in where.asked(told)}, f"{wanted} are there, too")
