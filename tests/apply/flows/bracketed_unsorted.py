from metaflow import (step,
                      FlowSpec, catch)


class UnsortedFlow(FlowSpec):
    @catch(var="why")
    @step
    def start(self):
        self.next(self.end)

    @step
    def end(self):
        pass


if __name__ == "__main__":
    UnsortedFlow()
