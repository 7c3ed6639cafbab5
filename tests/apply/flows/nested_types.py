from __future__ import annotations

from typing import Any

from metaflow import FlowSpec, environment, resources, secrets, step

GB = 1000


class TypedFlow(FlowSpec):
    """@resources(memory=1) in a text is none."""

    table: dict[str, Any] = {"resources": "memory=8000"}

    @environment(vars={"A": "@resources(memory=1)", "B": "2"})
    @resources(cpu=4, memory=20000, shared_memory=2 * GB)
    @step
    def start(self) -> None:
        text = """
        @resources(memory=8000)
        @step
        def fake(self): ...
        """
        print(text, f"{self.table!r:>{10}}")
        self.next(self.end)

    @step
    def end(self):
        pass


if __name__ == "__main__":
    TypedFlow()
