"""``stepsize match FLOW`` and ``--fleet``, as people call them, on a lake of their own."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml

from stepsize.testing import write_tasks
from tests.analyzer.in_process import Finished, stepsize
from tests.analyzer.rows import MB, row
from tests.places import short_directory


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three runs of a flow with a small step and a foreach of twenty large tasks of ten minutes each."""
    directory = tmp_path_factory.mktemp("lake")
    rows = []
    for run in ("1", "2", "3"):
        rows.append(row(run=run, step="start", task="0"))
        rows += [
            row(
                run=run,
                step="fit",
                task=str(task),
                duration_s=600.0,
                cores=3.6,
                memory_peak_bytes=9000 * MB,
                requested_cpu=4.0,
                requested_memory_bytes=32_000 * MB,
            )
            for task in range(1, 21)
        ]
    write_tasks(directory, rows)
    return directory


def match(data: Path, *arguments: str, command: str = "match") -> Finished:
    with short_directory() as runtime:
        places = {"HOME": str(data), "STEPSIZE_DATA": str(data), "STEPSIZE_RUNTIME": str(runtime)}
        return stepsize(places | {"PATH": "/usr/bin:/bin"}, command, *arguments)


def test_a_flow_is_planned_from_what_was_measured(data: Path) -> None:
    """Each step with its tasks of a run, on at most so many types of one region."""
    result = match(data, "TrainFlow", "--types", "1", "--vendor", "aws", "--target", "batch", "--format", "json")
    assert result.returncode == 0, result.stderr
    found = json.loads(result.stdout)
    steps = {step["step"]: step for step in found["steps"]}
    assert (steps["start"]["tasks"], steps["fit"]["tasks"]) == (1, 20)
    assert steps["fit"]["duration_s"] == 600
    assert steps["fit"]["memory_mib"] * 2**20 >= 9000 * MB
    assert {step["offer"]["cpu_architecture"] for step in steps.values()} == {"x86_64"}
    assert len(found["types"]) == 1
    assert found["cost_per_run"] == pytest.approx(sum(step["cost_per_run"] for step in steps.values()))


def test_its_node_pool_is_a_fleet_for_the_report(data: Path, tmp_path: Path) -> None:
    """What `--format karpenter` writes, `--fleet` of report and match reads."""
    pool = match(data, "TrainFlow", "--region", "us-east-1", "--format", "karpenter")
    assert pool.returncode == 0, pool.stderr
    types = yaml.safe_load(pool.stdout)["spec"]["template"]["spec"]["requirements"][0]["values"]
    path = tmp_path / "pool.yaml"
    path.write_text(pool.stdout)
    report = match(data, "--fleet", str(path), "--format", "json", command="report")
    assert report.returncode == 0, report.stderr
    servers = {server["server_id"] for step in json.loads(report.stdout) for server in step["servers"]}
    assert servers
    assert servers <= set(types)
    offers = json.loads(match(data, "--fleet", str(path), "--cpu", "0", "--format", "json").stdout)
    assert {offer["server_id"] for offer in offers} == set(types)


def test_the_report_counts_spot_prices_in_a_fleet_of_spot_servers(data: Path, tmp_path: Path) -> None:
    """A NodePool of spot servers alone fits, at their prices, and the report says what they are."""
    path = tmp_path / "spot.yaml"
    requirement = "{key: karpenter.sh/capacity-type, operator: In, values: [spot]}"
    path.write_text(f"kind: NodePool\nspec: {{template: {{spec: {{requirements: [{requirement}]}}}}}}\n")
    steps = json.loads(match(data, "--fleet", str(path), "--format", "json", command="report").stdout)
    assert all(step["cost_per_run"]["now"] > 0 for step in steps)
    assert {server["allocation"] for step in steps for server in step["servers"]} == {"spot"}
    text = match(data, "--fleet", str(path), "--format", "markdown", command="report").stdout
    assert "at spot prices where none fits" in " ".join(text.split())


@pytest.mark.parametrize(("command", "arguments"), [("match", ("TrainFlow",)), ("report", ())])
def test_a_type_without_a_price_is_named(data: Path, tmp_path: Path, command: str, arguments: tuple[str, ...]) -> None:
    """What a fleet names and nobody knows a price of is offered by no command, and each says so in a line."""
    path = tmp_path / "types.yaml"
    path.write_text("[p6-b200.48xlarge, m7i.2xlarge]\n")
    found = match(data, *arguments, "--fleet", str(path), command=command)
    assert found.returncode == 0
    assert found.stderr == "stepsize: types.yaml: no price of p6-b200.48xlarge is known: it is not offered\n"


def test_a_compute_environment_says_its_prices_days_beside_it(data: Path) -> None:
    """AWS's JSON has no room for a comment: what it costs and how old the prices are is on standard error."""
    result = match(data, "TrainFlow", "--vendor", "aws", "--format", "batch")
    assert json.loads(result.stdout)["type"] == "MANAGED"
    (line,) = result.stderr.splitlines()
    assert "days old" in line
    assert "USD a run" in line


def test_prices_have_their_days_in_every_format_of_the_report(data: Path) -> None:
    """Wherever the report names a price it says from when it is."""
    for form in ("table", "json", "csv", "markdown", "html"):
        text = match(data, "--format", form, command="report").stdout
        assert "2025-03-02" in text, form


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("Nowhere",), "TrainFlow"),
        (("TrainFlow", "--cpu", "4"), "--cpu goes with a need"),
        (("TrainFlow", "--gpu-model", "T4"), "--gpu-model goes with a need"),
        (("TrainFlow", "--format", "csv"), "--format csv"),
        (("--types", "2"), "--types goes with a flow"),
        (("--format", "batch"), "--format batch goes with a flow"),
        (("--tasks", "3"), "--duration"),
        (("--duration", "soon"), "20m"),
        (("--duration", "0"), "above 0"),
        (("--full",), "--format json"),
        (("--fleet", "/nowhere"), "nowhere"),
        (("TrainFlow", "--vendor", "gcp", "--format", "karpenter"), "--vendor aws"),
    ],
)
def test_wrong_usage(data: Path, arguments: tuple[str, ...], words: str) -> None:
    """Options that say nothing together end with exit code 2 and a line that says what would."""
    result = match(data, *arguments)
    assert (result.returncode, result.stdout) == (2, "")
    assert words in result.stderr
    assert len(result.stderr.splitlines()) == 1


def test_a_step_that_fits_nowhere_is_told(data: Path) -> None:
    """One line with what would have to give, exit code 1."""
    result = match(data, "TrainFlow", "--vendor", "gcp", "--arch", "arm64", "--region", "us-west4")
    assert result.returncode == 1
    assert "no server fits" in result.stderr


def test_packed_offers_in_every_format(data: Path) -> None:
    """What a task costs, how many share a server and how many servers that is, in text and in records."""
    options = ("--cpu", "2", "--memory", "4GiB", "--tasks", "40", "--duration", "90s", "--at-once", "8", "--limit", "3")
    records = json.loads(match(data, *options, "--format", "json").stdout)
    assert [record["price_per_task"] for record in records] == sorted(record["price_per_task"] for record in records)
    for record in records:
        assert record["price_total"] == pytest.approx(40 * record["price_per_task"])
        assert record["servers"] == -(-8 // record["tasks_per_server"])
    for form in ("table", "markdown"):
        text = match(data, *options, "--format", form).stdout
        assert "USD/task" in text
        assert "days old" in text
    assert "price_per_task" in match(data, *options, "--format", "csv").stdout.splitlines()[0]


def test_where_nothing_fits_records_are_none(data: Path) -> None:
    """An empty list, or a header alone, and exit code 1, whatever was asked to be shown."""
    for more, expected in (((), "vendor_id"), (("--duration", "1h"), "vendor_id"), (("--full",), "")):
        result = match(data, "--cpu", "5000", *more, "--format", "csv")
        assert result.returncode == 1
        assert len(result.stdout.splitlines()) == bool(expected)
        assert result.stdout.startswith(expected)
        assert json.loads(match(data, "--cpu", "5000", *more, "--format", "json").stdout) == []


def test_full_has_every_column_of_the_catalogue(data: Path) -> None:
    """Spare Cores' names; scores are null where nothing was fetched; with tasks what they cost as well."""
    (record,) = json.loads(match(data, "--gpu", "1", "--full", "--format", "json", "--limit", "1").stdout)
    assert {"vendor_id", "cpu_cores", "gpu_memory_total", "storage_type", "region_id", "price", "score"} <= set(record)
    assert (record["score"], record["benchmark_scores"]) == (None, None)
    options = ("--full", "--format", "json", "--limit", "1", "--duration", "1h")
    (record,) = json.loads(match(data, *options).stdout)
    assert record["price_per_task"] == pytest.approx(record["price"])
