from metaflow import FlowSpec, resources, step


class BaseFlow(FlowSpec):
    @resources(memory=9000)
    @step
    def start(self):
        self.next(self.end)

    @step
    def end(self):
        pass


class DerivedFlow(BaseFlow):
    @resources(memory=10000)
    @step
    def end(self):
        print("derived")


if __name__ == "__main__":
    DerivedFlow()
