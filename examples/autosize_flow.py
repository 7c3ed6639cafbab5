"""Steps that ask for what their runs before used.

Run it four times: ``python examples/autosize_flow.py run``. It is tracked without ``STEPSIZE=1``; in the fourth run
``load`` asks for less than its 8 GB. Here that is recorded alone; ``--with kubernetes`` or ``--with batch`` it holds.
"""

import time

from metaflow import FlowSpec, autosize, resources, retry, step

MIB = 2**20


@autosize(pin={"load": {"memory": 500}})
class AutosizeFlow(FlowSpec):
    """Load something, and be given what that takes."""

    @step
    def start(self):
        self.next(self.load)

    @retry(times=2)
    @resources(cpu=4, memory=8000)
    @step
    def load(self):
        table = b"\x01" * (200 * MIB)
        time.sleep(1)
        self.bytes = len(table)
        self.next(self.end)

    @step
    def end(self):
        print(f"{self.bytes} bytes loaded")


if __name__ == "__main__":
    AutosizeFlow()
