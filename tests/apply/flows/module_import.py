import metaflow


class ModuleFlow(metaflow.FlowSpec):
    @metaflow.step
    def start(self):
        self.next(self.end)

    @metaflow.resources(cpu=8)
    @metaflow.step
    def end(self):
        pass


if __name__ == "__main__":
    ModuleFlow()
