"""A step that fails at first and is tried again: both attempts are measured, each in its own row.

Run it: ``STEPSIZE=1 python examples/retry_flow.py run && stepsize report RetryFlow``
"""

import time

from metaflow import FlowSpec, current, resources, retry, step

MIB = 2**20


class RetryFlow(FlowSpec):
    """Fetch from something that is not always there."""

    @step
    def start(self):
        self.next(self.fetch)

    @retry(times=2, minutes_between_retries=0)
    @resources(cpu=1, memory=1000)
    @step
    def fetch(self):
        page = b"\x01" * ((150 + 100 * current.retry_count) * MIB)
        time.sleep(1)
        if current.retry_count == 0:
            raise ConnectionError("the first connection is refused")
        self.bytes = len(page)
        self.next(self.end)

    @step
    def end(self):
        print(f"{self.bytes} bytes fetched")


if __name__ == "__main__":
    RetryFlow()
