"""The same roll-up on Spark: a cluster of two worker processes on this machine, with PySpark as it is published."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

from stepsize.collector.recount.on_duckdb import DuckDBEngine
from stepsize.collector.recount.recount import recount
from tests.recount import lakes

pytestmark = [
    pytest.mark.peers,
    pytest.mark.xdist_group("spark"),  # a cluster at a time
    pytest.mark.skipif(shutil.which("java") is None, reason="no Java here"),
    pytest.mark.skipif(find_spec("pyspark") is None, reason="no PySpark here: pip install 'stepsize[spark]'"),
]
CLUSTER = """
spark.master local-cluster[2,1,1024]
spark.ui.enabled false
spark.ui.showConsoleProgress false
spark.driver.bindAddress 127.0.0.1
spark.driver.host 127.0.0.1
spark.sql.shuffle.partitions 4
spark.eventLog.enabled true
spark.eventLog.compress false
"""
ASK = """
import sys, time
from pathlib import Path
from stepsize.collector.recount.on_spark import SparkEngine
from stepsize.collector.recount.recount import recount
recount(Path(sys.argv[1]), Path(sys.argv[2]), SparkEngine(), int(sys.argv[3]))
"""


def on_cluster(home: Path, *command: str) -> subprocess.CompletedProcess[str]:
    """What a user who has configured a cluster starts; Java and the workers end with it."""
    configuration, events = home / "conf", home / "events"
    configuration.mkdir(exist_ok=True)
    events.mkdir(exist_ok=True)
    (configuration / "spark-defaults.conf").write_text(f"{CLUSTER}spark.eventLog.dir {events.as_uri()}\n")
    environment = {name: os.environ[name] for name in ("PATH", "JAVA_HOME") if name in os.environ}
    environment |= {"HOME": str(home), "SPARK_CONF_DIR": str(configuration), "SPARK_LOCAL_IP": "127.0.0.1"}
    environment["SPARK_LOCAL_DIRS"] = str(home / "spark")
    return subprocess.run(command, env=environment, cwd=home, capture_output=True, text=True, check=False, timeout=900)


def test_spark_and_duckdb_give_the_same_rows(tmp_path: Path) -> None:
    """Every column of every attempt, by two executors; what the collector had made of the same points, too."""
    log, until_ns = lakes.write(tmp_path / "from")
    ran = on_cluster(
        tmp_path, sys.executable, "-c", ASK, str(log.lake.data), str(tmp_path / "spark-out"), str(until_ns)
    )
    assert ran.returncode == 0, ran.stderr
    recount(log.lake.data, tmp_path / "out", DuckDBEngine(1 << 30), until_ns)
    assert lakes.differences(lakes.rows(tmp_path / "out"), lakes.rows(tmp_path / "spark-out")) == []
    assert lakes.differences(lakes.rows(log.lake.data), lakes.rows(tmp_path / "spark-out")) == []
    told = "".join(path.read_text() for path in (tmp_path / "events").rglob("events_*") if path.is_file())
    assert re.findall(r'"SparkListenerExecutorAdded".*?"Executor ID":"(\d+)"', told) in (["0", "1"], ["1", "0"])


def test_what_is_wrong_is_one_line(tmp_path: Path) -> None:
    """`--engine spark` takes Spark's own configuration, and says which file it misses."""
    log, _ = lakes.write(tmp_path / "from")
    (log.lake.data / "points").rename(log.lake.data / "gone")
    command = [sys.executable, "-m", "stepsize", "rollup", "--engine", "spark", "--out", "out", "--data"]
    failed = on_cluster(tmp_path, *command, str(log.lake.data))
    assert failed.returncode == 1
    assert "stepsize: the roll-up ended: " in failed.stderr
    assert "Traceback" not in failed.stderr
