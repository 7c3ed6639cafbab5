from metaflow import FlowSpec, kubernetes, resources, step


class ManyLinesFlow(FlowSpec):
    # Loads everything at once.
    @kubernetes(
        image="python:3.11",  # slim is enough
        memory=16_000,        # measured by hand, once
        cpu=4,
    )
    # Why two: history.
    @resources(
        cpu=2
    )

    # The first one.
    @step
    def start(self):
        self.next(self.end)

    @resources(
        memory=64000,
        # the rest is guessed
        cpu=16  # as many as there are
        ,
    )
    @step
    def end(self):
        pass


if __name__ == "__main__":
    ManyLinesFlow()
