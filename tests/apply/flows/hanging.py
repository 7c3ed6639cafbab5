from metaflow import FlowSpec, resources, step

class HangingFlow(FlowSpec):
    @resources(cpu=8,
               memory=32000)
    @step
    def start(self):
        self.next(self.end)

    @resources(memory=32000,
               )
    @step
    def end(self):
        pass

if __name__ == "__main__":
    HangingFlow()
