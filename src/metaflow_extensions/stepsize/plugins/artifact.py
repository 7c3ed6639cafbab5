"""What an attempt used, as a value that its task can keep.

What comes in: the attempt's identity. What goes out: a dict of names, numbers and None, which can be read back where
none of our packages is. Asks the agent once and waits for it at most 50 ms.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from stepsize.instrumentation.wire import Reading
    from stepsize.model import Identity
    from stepsize.settings import Settings

_PATIENCE_S = 0.05


def keep_from_merging(name: str) -> None:
    """Have ``merge_artifacts`` pass over the artifact: it differs between branches by its nature.

    Metaflow's own set, to which its ``@checkpoint`` adds for the same reason; each process has to.
    """
    from metaflow.flowspec import INTERNAL_ARTIFACTS_SET  # noqa: PLC0415 - a flow's module: at import time it is loading

    INTERNAL_ARTIFACTS_SET.add(name)


@dataclass(frozen=True)  # without slots: a task may run Python 3.7, which imports this
class Beginning:
    """What this process had used when its step began."""

    reading: Reading

    @classmethod
    def now(cls) -> Beginning:
        """At this moment."""
        from stepsize.instrumentation.readings import own_reading  # noqa: PLC0415 - absent in isolated interpreters

        return cls(own_reading())

    def used(self, identity: Identity, settings: Settings | None) -> dict[str, Any]:
        """What has been used since: the agent's figures, and this process's own where they are newer.

        Figures that nobody could read are None; without settings there is no agent to ask.
        """
        from stepsize.instrumentation.readings import own_reading  # noqa: PLC0415 - absent in isolated interpreters

        now = own_reading(last=True)
        figures = {} if settings is None else _asked(identity, settings)
        cpu_s = now.cpu_user_s + now.cpu_system_s - self.reading.cpu_user_s - self.reading.cpu_system_s
        figures["duration_s"] = (now.time_unix_nano - self.reading.time_unix_nano) / 1e9
        figures["cpu_seconds"] = max(cpu_s, figures.get("cpu_seconds", 0.0))
        peaks = (now.memory_peak_bytes, figures.get("memory_peak_bytes"))
        figures["memory_peak_bytes"] = max((peak for peak in peaks if peak is not None), default=None)
        return {"pathspec": identity.pathspec, "attempt": identity.attempt, **figures}


def _asked(identity: Identity, settings: Settings) -> dict[str, Any]:
    from stepsize.instrumentation import client, wire  # noqa: PLC0415 - absent in isolated interpreters
    from stepsize.instrumentation.quiet import quietly  # noqa: PLC0415 - as above

    with quietly():
        answer = client.ask(settings, wire.Summarize(identity.instance_id), _PATIENCE_S)
        if isinstance(answer, wire.Summary):
            return {name: value for name, value in answer._asdict().items() if name != "outcome"}  # not known yet
    return {}
