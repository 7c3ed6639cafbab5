"""A linear flow: one step asks for far too much, one for too little.

Run it: ``STEPSIZE=1 python examples/pipeline_flow.py run && stepsize report PipelineFlow``
"""

import hashlib
import time

from metaflow import FlowSpec, resources, step

MIB = 2**20


class PipelineFlow(FlowSpec):
    """Extract, train, publish."""

    @step
    def start(self):
        self.rows = 200_000
        self.next(self.extract)

    @resources(cpu=8, memory=16000)
    @step
    def extract(self):
        """Asks for 8 cores and 16 GB; uses one core and about 200 MB."""
        table = bytearray(150 * MIB)
        table[:: 4 * 1024] = b"\x01" * len(table[:: 4 * 1024])  # touch every page
        end = time.monotonic() + 2
        digest = hashlib.sha256()
        while time.monotonic() < end:
            digest.update(table[: 8 * MIB])
        self.digest = digest.hexdigest()
        self.next(self.train)

    @resources(cpu=1, memory=256)
    @step
    def train(self):
        """Asks for 256 MB; a spike shorter than the sampling interval takes 600 MiB."""
        weights = b"\x01" * (600 * MIB)
        self.size = len(weights)
        del weights
        time.sleep(1)
        self.next(self.end)

    @step
    def end(self):
        print(f"trained on {self.rows} rows, {self.size} bytes of weights")


if __name__ == "__main__":
    PipelineFlow()
