"""The nightly job as a Metaflow flow, for sites whose scheduler is Metaflow's (docs/nightly.md).

    python deploy/metaflow/nightly_flow.py run --lake s3://BUCKET/PREFIX                    # once, here
    python deploy/metaflow/nightly_flow.py --with kubernetes:image=IMAGE argo-workflows create
    python deploy/metaflow/nightly_flow.py --with batch:image=IMAGE step-functions create

Deployed, it runs at midnight UTC. IMAGE has stepsize[notify,s3] (the Dockerfile's); a lake in an object store is
reached with the task's own role. Addresses to tell come from STEPSIZE_NOTIFY, which a secret of the platform sets
(@secrets, @kubernetes(secrets=...)): never a parameter, which Metaflow shows to everybody.
"""

import subprocess
import sys

from metaflow import FlowSpec, Parameter, retry, schedule, step

BUSY = 75  # another one is at it: nothing is wrong


@schedule(daily=True)
class StepsizeNightlyFlow(FlowSpec):
    """Reports on all flows of a lake, and says what changed."""

    lake = Parameter("lake", default="", help="s3://BUCKET/PREFIX, or a directory; else STEPSIZE_DATA")
    options = Parameter("options", default="", help="of stepsize nightly, apart by space")

    # A second attempt goes on where the first one ended.
    @retry(times=2, minutes_between_retries=5)
    @step
    def start(self):
        """Do the night's work."""
        where = ["--data", self.lake] if self.lake else []
        command = [sys.executable, "-m", "stepsize", "nightly", *where, *self.options.split()]
        done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=False)
        print(done.stdout, end="")  # noqa: T201 - the task's log
        if done.returncode not in (0, BUSY):
            raise RuntimeError(f"stepsize nightly ended with {done.returncode}; its log says why")
        self.said = done.stdout.strip()
        self.next(self.end)

    @step
    def end(self):
        """Every flow has one."""


if __name__ == "__main__":
    StepsizeNightlyFlow()
