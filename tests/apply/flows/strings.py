from metaflow import FlowSpec, resources, step


class StringsFlow(FlowSpec):
    @resources(cpu="4", memory='16000')
    @step
    def start(self):
        self.next(self.end)

    @resources(memory="""8000""", cpu="1.5")
    @step
    def end(self):
        pass


if __name__ == "__main__":
    StringsFlow()
