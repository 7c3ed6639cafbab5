import os, metaflow as mf

class ShortFlow(mf.FlowSpec):
    @mf.kubernetes(image="python:3.11")
    @mf.step
    def start(self): self.next(self.end)
    @mf.batch
    @mf.step
    def end(self): pass

if __name__ == "__main__": ShortFlow()
