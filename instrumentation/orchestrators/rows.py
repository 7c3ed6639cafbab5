"""What a row of the table is made of: readers of evidence, and what they find.

What comes in: `Evidence`. What goes out: a `Found`. Pure but for what the evidence reads.
"""

import re
from collections.abc import Callable
from typing import TYPE_CHECKING, NamedTuple

from stepsize.identity import Request

if TYPE_CHECKING:
    from stepsize.instrumentation.orchestrators.evidence import Evidence

Reader = Callable[["Evidence"], str | None]


class Found(NamedTuple):
    """What an orchestrator calls what it runs; ``None`` where it does not tell.

    ``attempt`` counts from 0, as ours do.
    """

    orchestrator: str
    flow: str | None = None
    run: str | None = None
    step: str | None = None
    task: str | None = None
    attempt: int = 0
    item: str | None = None
    project: str | None = None
    branch: str | None = None
    user: str | None = None
    code_version: str | None = None
    run_origin: str | None = None
    target: str | None = None
    request: Request = Request()


def nothing(_evidence: "Evidence") -> str | None:
    """The reader of what a row's orchestrator does not tell."""
    return None


def no_request(_evidence: "Evidence") -> Request:
    """The request of an orchestrator that does not tell what was asked for."""
    return Request()


class Orchestrator(NamedTuple):
    """One row: where to look for what.

    Attributes:
        name: as people write it.
        source: where it says so.
        present: a reader that finds anything where this process is the orchestrator's.
        target: reader of one of `Platform`; nothing where a task shares what was given to its worker.
        flow, run, step, task, item, project, branch, user, code_version, run_origin: readers of these.
        attempt: reader of a number, and ``first_attempt`` what it calls the first.
        request: what was asked for.
    """

    name: str
    source: str
    present: Reader
    flow: Reader = nothing
    run: Reader = nothing
    step: Reader = nothing
    task: Reader = nothing
    attempt: Reader = nothing
    first_attempt: int = 0
    item: Reader = nothing
    project: Reader = nothing
    branch: Reader = nothing
    user: Reader = nothing
    code_version: Reader = nothing
    run_origin: Reader = nothing
    target: Reader = nothing
    request: Callable[["Evidence"], Request] = no_request

    def find(self, evidence: "Evidence") -> Found | None:
        """What it says of this process; ``None`` where the process is not of this orchestrator."""
        if not self.present(evidence):
            return None
        return Found(
            orchestrator=self.name,
            flow=self.flow(evidence),
            run=self.run(evidence),
            step=self.step(evidence),
            task=self.task(evidence),
            attempt=max(0, (integer(self.attempt(evidence)) or self.first_attempt) - self.first_attempt),
            item=self.item(evidence),
            project=self.project(evidence),
            branch=self.branch(evidence),
            user=self.user(evidence),
            code_version=self.code_version(evidence),
            run_origin=self.run_origin(evidence),
            target=self.target(evidence),
            request=self.request(evidence),
        )


def env(*names: str) -> Reader:
    """The first of these variables that holds anything."""
    return lambda evidence: evidence.env(*names)


def last_part(reader: Reader, separator: str) -> Reader:
    """What is behind the last separator."""

    def read(evidence: "Evidence") -> str | None:
        text = reader(evidence)
        return text and text.rpartition(separator)[2]

    return read


def one_of(*readers: Reader) -> Reader:
    """What the first of these finds."""
    return lambda evidence: next((found for reader in readers if (found := reader(evidence))), None)


def by_prefix(reader: Reader, table: dict[str, str]) -> Reader:
    """The value of the first prefix in ``table`` that the text has."""

    def read(evidence: "Evidence") -> str | None:
        text = reader(evidence) or ""
        return next((value for prefix, value in table.items() if text and text.startswith(prefix)), None)

    return read


def integer(text: str | None) -> int | None:
    """A whole number, or ``None`` where the text is none."""
    return int(text) if text is not None and re.fullmatch(r"[+-]?\d{1,18}", text) else None


def number(text: str | None) -> float | None:
    """A number, or ``None`` where the text is none."""
    return float(text) if text is not None and re.fullmatch(r"\d{1,18}(\.\d+)?", text) else None
