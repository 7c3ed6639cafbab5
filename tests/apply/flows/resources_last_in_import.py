from metaflow import FlowSpec, step, resources, Parameter

class LastFlow(FlowSpec):

    alpha = Parameter('alpha', default=0.1)

    @resources(memory=16000, cpu=4)
    @step
    def start(self):
        self.next(self.end)

    @step
    def end(self):
        pass

if __name__ == '__main__':
    LastFlow()
