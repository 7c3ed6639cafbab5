from metaflow import FlowSpec, batch, step


class NamesakeFlow(FlowSpec):
    @step
    def start(self):
        self.next(self.resources)

    @step
    def resources(self):
        self.next(self.end)

    @step
    def end(self):
        pass


if __name__ == "__main__":
    NamesakeFlow()
