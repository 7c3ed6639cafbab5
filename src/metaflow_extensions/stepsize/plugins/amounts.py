"""Cores and memory of a step as its decorators have them: read, said and written.

What comes in: a step's decorators, once Metaflow has merged them. What goes out: `Amounts`, and other values in those
decorators. Knows nothing of history.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, NamedTuple

from metaflow_extensions.stepsize.plugins.request import REMOTE, requested

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from stepsize.autosize.question import Bounds, StepAnswer, StepQuestion

_LOCAL_MB = 10**6


class Amounts(NamedTuple):
    """What a step asks for in its flow, and within what the user will have it. Memory in bytes.

    ``target`` is the compute decorator that runs it, None on this machine; ``megabyte`` what it takes for a MB.
    """

    target: str | None
    megabyte: int
    cpu: float | None
    memory_bytes: int | None
    gpu: float
    min_cpu: float | None
    max_cpu: float | None
    min_memory_bytes: int | None
    max_memory_bytes: int | None

    def bounds(self) -> Bounds:
        """What the user will have it within."""
        from stepsize.autosize.question import Bounds  # noqa: PLC0415 - absent in isolated interpreters

        return Bounds(
            min_cpu=self.min_cpu,
            max_cpu=self.max_cpu,
            min_memory_bytes=self.min_memory_bytes,
            max_memory_bytes=self.max_memory_bytes,
        )

    def question(self, step: str, policy: str) -> StepQuestion:
        """The step, for the lake."""
        from stepsize.autosize.question import StepQuestion  # noqa: PLC0415 - as above

        return StepQuestion(
            step=step,
            policy=policy,
            cpu=self.cpu,
            memory_bytes=self.memory_bytes,
            gpu=self.gpu,
            target=self.target,
            bounds=self.bounds(),
        )

    def written(self, memory_bytes: int | None) -> str:
        """Memory as the decorators say it, and its unit."""
        return "unknown memory" if memory_bytes is None else f"{self._megabytes(memory_bytes)} MB"

    def described(self, cpu: float | None, memory_bytes: int | None) -> str:
        """Both, for people."""
        return f"{'unknown' if cpu is None else format(cpu, 'g')} cpu, {self.written(memory_bytes)}"

    def write(self, decorators: Sequence[Any], answer: StepAnswer) -> None:
        """Have the step ask for the answer; what stays is left as it is written."""
        for decorator in decorators:
            if decorator.name not in (self.target, "resources"):
                continue
            if answer.cpu is not None and answer.cpu != self.cpu:
                decorator.attributes["cpu"] = format(answer.cpu, "g")
            if answer.memory_bytes is not None and answer.memory_bytes != self.memory_bytes:
                self._keep_tmpfs(decorator)
                decorator.attributes["memory"] = str(self._megabytes(answer.memory_bytes))

    def write_attempt(
        self, decorators: Sequence[Any], command_options: dict[str, Any], memory_bytes: int | None
    ) -> None:
        """Have the attempt that is about to start get this memory.

        The compute decorator copies its attributes onto the command line, before or after this: so both are written,
        for each attempt, since its attributes are those of all tasks of the step.
        """
        if self.target is None or memory_bytes is None:
            return
        memory = str(self._megabytes(memory_bytes))
        for decorator in decorators:
            if decorator.name == self.target:
                decorator.attributes["memory"] = memory
        if "memory" in command_options:
            command_options["memory"] = memory

    def _keep_tmpfs(self, decorator: Any) -> None:
        """With less memory less would fit into Batch's tmpfs.

        Where the flow says no size it is half of the memory (Metaflow's ``batch_client.py``); on Kubernetes that is
        settled before ours.
        """
        attributes = decorator.attributes
        if attributes.get("use_tmpfs") and not attributes.get("tmpfs_size") and self.memory_bytes is not None:
            attributes["tmpfs_size"] = self.memory_bytes // self.megabyte // 2

    def _megabytes(self, memory_bytes: int) -> int:
        return math.ceil(memory_bytes / self.megabyte)


def amounts_of(decorators: Sequence[Any], options: Mapping[str, Any]) -> Amounts:
    """Of a step with these decorators and these options of ``@autosize``.

    Raises:
        ValueError: an option is no amount.
    """
    target = next((one.name for one in decorators if one.name in REMOTE), None)
    megabyte = REMOTE[target] if target else _LOCAL_MB
    asked = requested(decorators, {})

    def in_bytes(megabytes: float | None) -> int | None:
        return None if megabytes is None else round(megabytes * megabyte)

    return Amounts(
        target=target,
        megabyte=megabyte,
        cpu=asked.cpu,
        memory_bytes=asked.memory_bytes,
        gpu=asked.gpu or 0.0,
        min_cpu=_most(_option(options, "min_cpu"), *_of_command_line(decorators, "cpu")),
        max_cpu=_option(options, "max_cpu"),
        min_memory_bytes=in_bytes(_most(_option(options, "min_memory"), *_of_command_line(decorators, "memory"))),
        max_memory_bytes=in_bytes(_option(options, "max_memory")),
    )


def _option(options: Mapping[str, Any], name: str) -> float | None:
    value = options[name]
    if value is None:
        return None
    if not is_amount(value):
        raise ValueError(f"{name}={value!r} is no amount above 0")
    return float(value)


def is_amount(value: Any) -> bool:
    """Whether that is a number above 0, or text that says one; True and False are none."""
    try:
        return not isinstance(value, bool) and 0 < float(value) < math.inf
    except (TypeError, ValueError, OverflowError):
        return False


def _of_command_line(decorators: Sequence[Any], what: str) -> Iterator[float]:
    """What ``--with`` says of it: who gives an amount for this very run means it."""
    for decorator in decorators:
        if decorator.name not in (*REMOTE, "resources") or decorator.statically_defined:
            continue
        if getattr(decorator, "inserted_by", None) is None and what in getattr(
            decorator, "_user_defined_attributes", ()
        ):
            try:
                yield float(decorator.attributes[what])
            except (TypeError, ValueError):
                continue


def _most(*amounts: float | None) -> float | None:
    return max((amount for amount in amounts if amount is not None), default=None)
