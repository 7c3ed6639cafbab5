"""One attempt while the agent watches it: samples in, observations out.

What comes in: a registration, probes, the ending. What goes out: observations with their time, and a summary. Never
exports, never waits. Sums count from the registration: what the process had used by then is its baseline. What the
client itself said last is exact and replaces what was sampled of its process.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from stepsize import model
from stepsize.instrumentation.agent.probes.observation import Observation, Rest, Used
from stepsize.instrumentation.agent.progress import Progress
from stepsize.instrumentation.wire import Measured, Summary

if TYPE_CHECKING:
    from stepsize.instrumentation.agent.ending import Ending
    from stepsize.instrumentation.agent.probes.container import ContainerProbe
    from stepsize.instrumentation.agent.probes.observation import Attributes, Probe, TreeProbe, TreeSample
    from stepsize.instrumentation.wire import Reading, Register
    from stepsize.model import AttributeValue, Identity

_USER, _SYSTEM = ((("cpu.mode", mode),) for mode in ("user", "system"))
_READ, _WRITE = ((("disk.io.direction", direction),) for direction in ("read", "write"))
MIN_WINDOW_S = 0.1
"""Rates over less than this would be mostly the clock tick."""


class Attempt:
    """An attempt that is being sampled.

    Args:
        register: what the client said.
        pid: the attempt's process.
        tree: samples its process tree; ``None`` where the process had ended before it could be looked at.
        container: its control groups.
        others: further probes.
    """

    def __init__(
        self,
        register: Register,
        pid: int,
        tree: TreeProbe | None,
        container: ContainerProbe | None,
        others: tuple[Probe, ...] = (),
    ) -> None:
        self.identity: Identity = register.identity
        self.instance_id = register.identity.instance_id
        """Which attempt this is."""
        self.pid = pid
        self.interval_s = register.interval_s
        self.waited_for = register.waited_for
        self.is_sent = register.measured != Measured.HOST
        self._within = register.within
        self.start_unix_nano = register.baseline.time_unix_nano
        self.container = container
        self._baseline = register.baseline
        self._tree = tree
        self._others = others
        self._previous: TreeSample | None = None
        self._cpu_before = (self.start_unix_nano, 0.0)
        self._disk_before: tuple[int, int, int] | None = None
        self._usage_told = False
        self._resumed = False
        self._totals = _Totals()
        self._source: Attributes = ((model.Attr.MEMORY_SOURCE, self._totals.source),)
        self._children_apart = False
        self._last_unix_nano = self.start_unix_nano

    def annotate(self, values: dict[str, AttributeValue]) -> None:
        """Take what the user says of the attempt into its resource."""
        self.identity = self.identity._replace(annotations={**self.identity.annotations, **values})

    def oom_kills(self) -> int:
        """How often the attempt's container was short of memory."""
        return 0 if self.container is None else self.container.oom_kills()

    def sample(self) -> tuple[int, list[Observation]]:
        """When, and what can be seen now. A process that is gone yields nothing."""
        sample = None if self._tree is None else self._tree.sample()
        if sample is None:
            return time.time_ns(), []
        found = self._of_tree(sample)
        found += self._of_others()
        return sample.time_unix_nano, found

    def finish(self, ending: Ending, final: Reading | None, ended_unix_nano: int) -> tuple[int, list[Observation]]:
        """The last observations, and when. ``final`` is what the process said it had used."""
        sample = None if self._tree is None else self._tree.sample()
        # The control groups outlive the process, and only now tell of a kill for memory.
        found = [*([] if sample is None else self._of_memory(sample)), *self._of_others(last=True)]
        exact = final is not None
        if sample is not None:
            # By now the process may have gone on, to its next attempt even: its own word is of the right moment.
            self._add_tree(sample, cpu=not exact or not sample.processes)
        told_s = None if final is None else self._add_final(final)
        ended = final.time_unix_nano if final is not None else ended_unix_nano
        # A sample may be younger than a last word that was on its way meanwhile: no series has two points of one time.
        ended = max(ended, self.start_unix_nano, self._previous.time_unix_nano + 1 if self._previous else 0)
        if exact or sample is not None:
            found += self._of_sums(ended, last=True, told_s=told_s)
        elif self._previous is not None and not self._usage_told:
            # Nothing could be read any more: what the last sample saw is all there is, up to its time.
            found += self._cpu_usage(self._previous.time_unix_nano, last=True)
        peak = self._final_peak(final)
        if peak is not None:
            found.append(self._peak())
        attributes: list[tuple[str, AttributeValue]] = [(model.Attr.OUTCOME, ending.outcome.value)]
        if ending.exit_code is not None:
            attributes.append(("process.exit.code", ending.exit_code))
        if ending.exit_signal is not None:
            attributes.append(("process.exit.signal", ending.exit_signal))
        found.append(Observation(model.TASK_END, 1, tuple(attributes)))
        self._last_unix_nano = ended
        return ended, found

    def summary(self) -> Summary:
        """What the attempt has used so far."""
        totals = self._totals
        return Summary(
            duration_s=(self._last_unix_nano - self.start_unix_nano) / 1e9,
            cpu_seconds=totals.user_s + totals.system_s,
            cpu_max=totals.cores_max or None,
            memory_peak_bytes=totals.peak_bytes or None,
            memory_source=totals.source if totals.peak_bytes else None,
            disk_read_bytes=totals.read_bytes,
            disk_write_bytes=totals.write_bytes,
            processes_max=totals.processes_max or None,
            samples=totals.samples,
        )

    def pids(self) -> list[int]:
        """Its processes, as the last sample saw them."""
        return [] if self._tree is None else self._tree.pids()

    def used(self) -> Used:
        """What is known of its use since it was registered."""
        totals = self._totals
        return Used(totals.user_s, totals.system_s, totals.read_bytes or 0, totals.write_bytes or 0)

    def progress(self) -> Progress:
        """How far it has come, for an agent that has to go on from here."""
        totals = self._totals
        known = totals.cpu_known
        return Progress(
            time_unix_nano=self._last_unix_nano,
            user_s=totals.user_s if known else None,
            system_s=totals.system_s if known else None,
            read_bytes=totals.read_bytes,
            write_bytes=totals.write_bytes,
            peak_bytes=totals.peak_bytes,
            peak_source=totals.source,
            cores_max=totals.cores_max,
            processes_max=totals.processes_max,
            samples=totals.samples,
        )

    def resume(self, progress: Progress) -> None:
        """Go on from where an agent that was killed had come; before the first sample."""
        totals = self._totals
        if progress.user_s is not None and progress.system_s is not None:
            totals.add_cpu(progress.user_s, progress.system_s)
        if progress.read_bytes is not None and progress.write_bytes is not None:
            totals.add_disk(progress.read_bytes, progress.write_bytes)
        totals.peak_bytes, totals.source = progress.peak_bytes, progress.peak_source
        totals.cores_max, totals.processes_max = progress.cores_max, progress.processes_max
        totals.samples = progress.samples
        self._last_unix_nano = progress.time_unix_nano
        self._cpu_before = progress.time_unix_nano, totals.user_s + totals.system_s
        self._disk_before = progress.time_unix_nano, totals.read_bytes or 0, totals.write_bytes or 0
        self._usage_told = True
        self._resumed = True

    def _carry(self, sample: TreeSample) -> None:
        """Keep what only the killed agent knew of: processes that had gone and that nobody had waited for.

        Whatever the tree shows less of now than was known then is theirs; sums go on from there.
        """
        totals, base = self._totals, self._baseline
        self._baseline = base._replace(
            cpu_user_s=base.cpu_user_s - max(0.0, totals.user_s - (sample.cpu_user_s - base.cpu_user_s)),
            cpu_system_s=base.cpu_system_s - max(0.0, totals.system_s - (sample.cpu_system_s - base.cpu_system_s)),
            disk_read_bytes=_carried(base.disk_read_bytes, totals.read_bytes, sample.disk_read_bytes),
            disk_write_bytes=_carried(base.disk_write_bytes, totals.write_bytes, sample.disk_write_bytes),
        )
        self._resumed = False

    def _of_tree(self, sample: TreeSample) -> list[Observation]:
        self._add_tree(sample)
        self._previous = sample
        found = self._of_memory(sample)
        found += self._of_sums(sample.time_unix_nano)
        if self._totals.peak_bytes:
            found.append(self._peak())
        self._last_unix_nano = sample.time_unix_nano
        return found

    def _of_memory(self, sample: TreeSample) -> list[Observation]:
        if sample.processes == 0:
            return []  # what ends holds nothing any more, which is not what the attempt used
        if sample.memory_peak_bytes > self._totals.peak_bytes:
            self._totals.peak_bytes, self._totals.source = sample.memory_peak_bytes, sample.memory_source
        self._totals.processes_max = max(self._totals.processes_max, sample.processes)
        self._totals.samples += 1
        return [
            Observation(model.TASK_MEMORY_USAGE, sample.memory_usage_bytes),
            Observation(model.TASK_PROCESS_COUNT, sample.processes),
            Observation(model.TASK_THREAD_COUNT, sample.threads),
        ]

    def _of_sums(self, time_unix_nano: int, *, last: bool = False, told_s: float | None = None) -> list[Observation]:
        totals = self._totals
        found: list[Observation] = []
        if totals.cpu_known:
            found.append(Observation(model.TASK_CPU_TIME, totals.user_s, _USER))
            found.append(Observation(model.TASK_CPU_TIME, totals.system_s, _SYSTEM))
            found += self._cpu_usage(time_unix_nano, last=last, told_s=told_s)
        if totals.read_bytes is not None and totals.write_bytes is not None:
            found.append(Observation(model.TASK_DISK_IO, totals.read_bytes, _READ))
            found.append(Observation(model.TASK_DISK_IO, totals.write_bytes, _WRITE))
            found += self._disk_rates(time_unix_nano, totals.read_bytes, totals.write_bytes)
        return found

    def _cpu_usage(self, time_unix_nano: int, *, last: bool, told_s: float | None = None) -> list[Observation]:
        """Cores in use since the last time, over half an interval at least, so that early samples do not count ticks.

        An attempt that is over sooner has one value all the same, where its process told the time to the microsecond.
        """
        since, before = self._cpu_before
        elapsed_s = (time_unix_nano - since) / 1e9
        total = self._totals.user_s + self._totals.system_s
        if elapsed_s <= 0:
            self._cpu_before = time_unix_nano, total  # the clock was set back: begin anew
            return []
        if elapsed_s < (MIN_WINDOW_S if last else max(MIN_WINDOW_S, self.interval_s / 2)):
            if self._usage_told or told_s is None or told_s <= before:
                return []
            total = told_s  # what was sampled may be of a later moment, when the process had gone on
        cores = max(0.0, total - before) / elapsed_s
        self._cpu_before, self._usage_told = (time_unix_nano, total), True
        self._totals.cores_max = max(self._totals.cores_max, cores)
        return [Observation(model.TASK_CPU_USAGE, cores)]

    def _disk_rates(self, time_unix_nano: int, read_bytes: int, write_bytes: int) -> list[Observation]:
        since, read_before, write_before = self._disk_before or (self.start_unix_nano, 0, 0)
        elapsed_s = (time_unix_nano - since) / 1e9
        if 0 <= elapsed_s < MIN_WINDOW_S:
            return []
        self._disk_before = time_unix_nano, read_bytes, write_bytes
        if elapsed_s < 0:
            return []  # the clock was set back: begin anew
        return [
            Observation(model.TASK_DISK_IO_RATE, (read_bytes - read_before) / elapsed_s, _READ),
            Observation(model.TASK_DISK_IO_RATE, (write_bytes - write_before) / elapsed_s, _WRITE),
        ]

    def _of_others(self, *, last: bool = False) -> list[Observation]:
        now = time.monotonic()
        found = [] if self.container is None else self.container.sample(now, last=last)
        for probe in self._others:
            found += probe.sample(now)
        return found

    def _add_tree(self, sample: TreeSample, *, cpu: bool = True) -> None:
        if self._resumed:
            self._carry(sample)
        base = self._baseline
        if cpu:
            self._totals.add_cpu(sample.cpu_user_s - base.cpu_user_s, sample.cpu_system_s - base.cpu_system_s)
        if sample.disk_read_bytes is not None and sample.disk_write_bytes is not None:
            self._totals.add_disk(
                sample.disk_read_bytes - (base.disk_read_bytes or 0),
                sample.disk_write_bytes - (base.disk_write_bytes or 0),
            )

    def _add_final(self, final: Reading) -> float:
        """The root's totals as it told them, which its waited-for children are in, and those of the rest.

        Returns:
            CPU seconds by its word.
        """
        base = self._baseline
        rest = Rest() if self._tree is None else self._tree.rest(with_orphans=final.with_orphans)
        self._children_apart = rest.children_apart
        user_s = final.cpu_user_s - base.cpu_user_s + rest.cpu_user_s
        system_s = final.cpu_system_s - base.cpu_system_s + rest.cpu_system_s
        self._totals.add_cpu(user_s, system_s)
        if final.disk_read_bytes is not None and final.disk_write_bytes is not None:
            self._totals.add_disk(
                final.disk_read_bytes - (base.disk_read_bytes or 0) + rest.disk_read_bytes,
                final.disk_write_bytes - (base.disk_write_bytes or 0) + rest.disk_write_bytes,
            )
        return user_s + system_s

    def _peak(self) -> Observation:
        if self._source[0][1] != self._totals.source:
            self._source = ((model.Attr.MEMORY_SOURCE, self._totals.source),)
        return Observation(model.TASK_MEMORY_PEAK, self._totals.peak_bytes, self._source)

    def _final_peak(self, final: Reading | None) -> int | None:
        totals, base = self._totals, self._baseline
        if final is not None and final.memory_peak_bytes is not None and self._is_own(final.memory_peak_bytes):
            peak = final.memory_peak_bytes
            if self._tree is not None:
                peak = self._tree.final_peak(peak)
            if peak > totals.peak_bytes:
                totals.peak_bytes, totals.source = peak, "vmhwm"
        children = None if final is None or self._children_apart else final.children_peak_bytes
        # What was forked off is charged with the memory of whose copy it was: only more than that is its own.
        floor = max(final.memory_peak_bytes or 0, base.children_peak_bytes or 0) if final is not None else 0
        if children is not None and children > max(totals.peak_bytes, floor):
            totals.peak_bytes, totals.source = children, "rusage"
        return totals.peak_bytes or None

    def _is_own(self, peak_bytes: int) -> bool:
        """Whether a peak of the process is one of the attempt's."""
        return not self._within or peak_bytes > (self._baseline.memory_peak_bytes or 0)


def _carried(base: int | None, known: int | None, seen: int | None) -> int | None:
    return base if known is None or seen is None else (base or 0) - max(0, known - (seen - (base or 0)))


class _Totals:
    """What an attempt has used since it was registered; nothing of it ever falls."""

    def __init__(self) -> None:
        self.cpu_known = False
        self.user_s = self.system_s = 0.0
        self.read_bytes: int | None = None
        self.write_bytes: int | None = None
        self.peak_bytes = 0
        self.source = "samples"
        self.cores_max = 0.0
        self.processes_max = 0
        self.samples = 0

    def add_cpu(self, user_s: float, system_s: float) -> None:
        self.cpu_known = True
        self.user_s, self.system_s = max(self.user_s, user_s), max(self.system_s, system_s)

    def add_disk(self, read_bytes: int, write_bytes: int) -> None:
        self.read_bytes = max(self.read_bytes or 0, read_bytes)
        self.write_bytes = max(self.write_bytes or 0, write_bytes)
