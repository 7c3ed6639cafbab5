try:
    from metaflow import FlowSpec, step
except ImportError:
    raise SystemExit("pip install metaflow")

if True:
    class TriedFlow(FlowSpec):
        @step
        def start(self):
            self.next(self.end)

        @step
        def end(self):
            pass

if __name__ == "__main__":
    TriedFlow()
