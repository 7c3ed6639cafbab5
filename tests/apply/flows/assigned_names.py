import metaflow

step = metaflow.step
needs = metaflow.resources


class AssignedFlow(metaflow.FlowSpec):
    @needs(memory=9000)
    @step
    def start(self):
        self.next(self.end)

    @step
    def end(self):
        pass


if __name__ == "__main__":
    AssignedFlow()
