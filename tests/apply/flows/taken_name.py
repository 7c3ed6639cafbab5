"""Something else is called resources here."""

from importlib import resources

from metaflow import FlowSpec, step

DATA = resources.files("json")


class TakenFlow(FlowSpec):
    @step
    def start(self):
        print(DATA)
        self.next(self.end)

    @step
    def end(self):
        pass


if __name__ == "__main__":
    TakenFlow()
