#!/usr/bin/env python
"""An import in brackets, one name a line."""

from __future__ import annotations

from metaflow import (
    FlowSpec,
    Parameter,  # for the size
    current,
    retry,
    step,
)


class BracketedFlow(FlowSpec):
    size = Parameter("size", default=1)

    @retry(times=2)
    @step
    def start(self) -> None:
        print(current.run_id)  # é ü 漢字
        self.next(self.end)

    @retry
    @step
    def end(self) -> None:
        ...


if __name__ == "__main__":
    BracketedFlow()
