from metaflow import FlowSpec, batch, kubernetes, resources, step


class BothFlow(FlowSpec):
    @batch(memory=8000)
    @resources(cpu=4)
    @step
    def start(self):
        self.next(self.middle)

    @resources(memory=8000, gpu=2)
    @kubernetes(gpu=1)
    @step
    def middle(self):
        self.next(self.end)

    @kubernetes(disk=50000, cpu=8)
    @resources(disk=60000)
    @step
    def end(self):
        pass


if __name__ == "__main__":
    BothFlow()
