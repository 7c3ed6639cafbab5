"""What a step's earlier attempts used, from the lake.

What comes in: settings, which name the lake, and the attempt that is not to count. What goes out: a frozen `History`.
Reads the view `tasks` alone; a lake that is not there is no error, it is no history.
"""

from __future__ import annotations

from dataclasses import dataclass
from importlib import resources
from typing import TYPE_CHECKING

from stepsize.store.lake import Lake
from stepsize.store.layout import DATABASE

if TYPE_CHECKING:
    from stepsize.model import Identity
    from stepsize.settings import Settings


@dataclass(frozen=True, slots=True)
class History:
    """Means over time and highest values of the attempts that are over; ``None`` where it was never read.

    ``disk_rate_mean`` is in bytes a second, read and written.
    """

    attempts: int
    runs: int
    cpu_mean: float | None = None
    cpu_max: float | None = None
    memory_mean_bytes: float | None = None
    memory_peak_bytes: float | None = None
    gpu_mean: float | None = None
    gpu_max: float | None = None
    vram_mean_bytes: float | None = None
    vram_peak_bytes: float | None = None
    disk_rate_mean: float | None = None


def of_step(settings: Settings, identity: Identity, *, production: bool) -> History | None:
    """The history of the attempt's step without the attempt; ``None`` where there is no lake here.

    Raises:
        LakeError: the lake cannot be read.
    """
    if not (settings.data / DATABASE).is_file():
        return None
    query = resources.files("stepsize.card.sql").joinpath("history.sql").read_text(encoding="utf-8")
    parameters = {
        "flow": identity.flow,
        "step": identity.step,
        "project": identity.project,
        "production": production,
        "run": identity.run,
        "task": identity.task,
        "attempt": identity.attempt,
    }
    with Lake(settings.data).reading() as connection:
        row = connection.execute(query, parameters).fetchone()
    assert row is not None, "an aggregate has one row"
    return History(*row)
