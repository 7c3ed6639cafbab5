from metaflow.flowspec import FlowSpec
from metaflow.decorators import step


class SubmoduleFlow(FlowSpec):
    @step
    def start(self):
        self.next(self.end)

    @step
    def end(self):
        pass


if __name__ == "__main__":
    SubmoduleFlow()
