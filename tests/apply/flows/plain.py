from metaflow import FlowSpec, step


class PlainFlow(FlowSpec):
    """No decorator at all."""

    @step
    def start(self):
        self.next(self.end)

    @step
    def end(self):
        pass


if __name__ == "__main__":
    PlainFlow()
