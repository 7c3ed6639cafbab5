"""Two branches and a join; one branch does its work in child processes.

Run it: ``STEPSIZE=1 python examples/branch_flow.py run && stepsize report BranchFlow``
"""

import subprocess
import sys
import time

from metaflow import FlowSpec, resources, step

BURN = "import time; end = time.process_time() + {seconds}\nwhile time.process_time() < end: pass"


class BranchFlow(FlowSpec):
    """Score and look up at the same time."""

    @step
    def start(self):
        self.next(self.score, self.lookup)

    @resources(cpu=4, memory=2000)
    @step
    def score(self):
        """Works in child processes: two at a time, then one that lives a third of a second."""
        children = [subprocess.Popen([sys.executable, "-c", BURN.format(seconds=1.5)]) for _ in range(2)]
        for child in children:
            child.wait()
        subprocess.run([sys.executable, "-c", BURN.format(seconds=0.3)], check=True)
        self.next(self.join)

    @resources(cpu=2, memory=4000)
    @step
    def lookup(self):
        """Mostly waits, as steps do that talk to a database."""
        time.sleep(2.5)
        self.next(self.join)

    @step
    def join(self, inputs):
        self.branches = len(list(inputs))
        self.next(self.end)

    @step
    def end(self):
        print(f"joined {self.branches} branches")


if __name__ == "__main__":
    BranchFlow()
