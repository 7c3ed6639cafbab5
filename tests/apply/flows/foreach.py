from metaflow import FlowSpec, Parameter, conda_base, project, resources, retry, step, timeout


@project(name="forecast")
class ForeachFlow(FlowSpec):
    n = Parameter("n", default=3)

    @step
    def start(self):
        self.items = list(range(self.n))
        self.next(self.work, foreach="items")

    @timeout(hours=1, minutes=30)
    @retry(times=3)
    @resources(cpu=2, memory=12000)
    @step
    def work(self):
        self.next(self.join)

    @step
    def join(self, inputs):
        self.next(self.end)

    @step
    def end(self):
        pass


if __name__ == "__main__":
    ForeachFlow()
