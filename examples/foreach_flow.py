"""A foreach of eight items of very different size: one request has to fit them all.

Run it: ``STEPSIZE=1 python examples/foreach_flow.py run && stepsize report ForeachFlow``
"""

import time

from metaflow import FlowSpec, resources, step

MIB = 2**20


class ForeachFlow(FlowSpec):
    """Eight shards, from 20 MiB to 400 MiB."""

    @step
    def start(self):
        self.sizes = [20, 35, 50, 80, 120, 180, 260, 400]
        self.next(self.shard, foreach="sizes")

    @resources(cpu=1, memory=8000)
    @step
    def shard(self):
        data = b"\x01" * (self.input * MIB)
        time.sleep(1.2)
        self.bytes = len(data)
        self.next(self.join)

    @step
    def join(self, inputs):
        self.total = sum(shard.bytes for shard in inputs)
        self.next(self.end)

    @step
    def end(self):
        print(f"{self.total / MIB:.0f} MiB in all")


if __name__ == "__main__":
    ForeachFlow()
