from metaflow import FlowSpec, resources, step


class NumbersFlow(FlowSpec):
    @resources(cpu=2.5, memory=16 * 1024)
    @step
    def start(self):
        self.next(self.middle)

    @resources(cpu=(4), memory=1_000_000, gpu=None)
    @step
    def middle(self):
        self.next(self.end)

    @resources(cpu=0x10, memory=8e3)
    @step
    def end(self):
        pass


if __name__ == "__main__":
    NumbersFlow()
