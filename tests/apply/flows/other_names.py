from metaflow import FlowSpec as Flow, step as node, resources as needs


class RenamedFlow(Flow):
    @needs(cpu=2, memory=9000)
    @node
    def start(self):
        self.next(self.end)

    @node
    def end(self):
        pass


if __name__ == "__main__":
    RenamedFlow()
