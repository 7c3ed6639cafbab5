"""What a launcher finds in Metaflow's own datastore of how a task's attempts ended."""

from __future__ import annotations

from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest
from metaflow.datastore import FlowDataStore
from metaflow.mflog import RUNTIME_LOG_SOURCE, TASK_LOG_SOURCE
from metaflow.plugins.datastores.local_storage import LocalStorage

from metaflow_extensions.stepsize.plugins.killed import killed_before

if TYPE_CHECKING:
    from pathlib import Path

TASK = SimpleNamespace(run_id="1", step="train", task_id="7")
OF_A_POD = (
    b"    Kubernetes error:\n    Task ran out of memory. Increase the available memory by specifying "
    b"@resource(memory=...) for the step. \n"
)
OF_A_JOB = b"    OutOfMemoryError: Container killed due to memory usage This could be a transient error.\n"


@pytest.fixture
def datastore(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.setattr(LocalStorage, "datastore_root", str(tmp_path))
    return FlowDataStore("F", None, storage_impl=LocalStorage)


def left(datastore: Any, attempt: int, said: bytes, source: str = RUNTIME_LOG_SOURCE) -> None:
    """An attempt as one leaves it that did not end well."""
    kept = datastore.get_task_datastore(TASK.run_id, TASK.step, TASK.task_id, attempt=attempt, mode="w")
    kept.init_task()
    kept.save_logs(source, {"stderr": said})


def test_attempts_that_ran_out_of_memory_are_told_apart(datastore: Any) -> None:
    """Of those before this one, as Metaflow and AWS say it."""
    left(datastore, 0, OF_A_POD)
    left(
        datastore,
        1,
        b"    Kubernetes error:\n    Error: Setup failed (exit code 1). This could be a transient error.\n",
    )
    left(datastore, 2, OF_A_JOB)
    assert killed_before(datastore, TASK, 0) == ()
    assert killed_before(datastore, TASK, 3) == (True, False, True)


def test_what_a_task_prints_is_not_what_becomes_of_it(datastore: Any) -> None:
    """Its own part of the log is not read."""
    left(datastore, 0, OF_A_POD, TASK_LOG_SOURCE)
    assert killed_before(datastore, TASK, 1) == (False,)


def test_an_attempt_of_which_nothing_is_known_did_not(datastore: Any) -> None:
    """A retry then gets what it would have got."""
    assert killed_before(datastore, TASK, 2) == (False, False)
    assert killed_before(None, TASK, 1) == (False,)
