"""What a command that `stepsize run` has just tracked should be given next time.

What comes in: its identity and settings. What goes out: a line or a few, from its whole history in the lake; None
where the points went to an endpoint, whose lake is elsewhere. Never an amount that nothing stands behind.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from stepsize.analyzer.lessons import lessons
from stepsize.analyzer.sizing import policy as policies
from stepsize.analyzer.usage import Query, histories
from stepsize.commands.settle import settle
from stepsize.errors import LakeError
from stepsize.store.lake import Lake

if TYPE_CHECKING:
    from stepsize.analyzer.sizing.lessons import Lessons
    from stepsize.analyzer.sizing.policy import Recommendation
    from stepsize.analyzer.usage import StepEvidence
    from stepsize.model import Identity
    from stepsize.settings import Settings

SETTLE_S = 5.0


def advise(identity: Identity, settings: Settings) -> str | None:
    """What to ask for, with the number of runs it stands on.

    Raises:
        StepsizeError: the lake cannot be read.
    """
    if settings.has_endpoint:
        return None
    late = settle(settings, SETTLE_S)
    try:
        with Lake(settings.data).reading() as connection:
            query = Query(flow=identity.flow, step=identity.step)
            taught = lessons(connection, query)
            evidence = next(iter(histories(connection, query)), None)
    except LakeError:
        if late:
            return late[0]  # why nothing has arrived says more than that nothing has
        raise
    if evidence is None or not evidence.ended:
        return late[0] if late else None
    return "\n".join([_advice(evidence, taught, identity.flow), *late])


def _advice(evidence: StepEvidence, taught: Lessons, flow: str) -> str:
    recommendation = policies.load().recommend(evidence, taught.beside(evidence))
    seen = len(evidence.ended)
    grounds = f"(from {seen} {'run' if seen == 1 else 'runs'}; why: stepsize report {flow})"
    if recommendation.confidence is policies.Confidence.NONE:
        missing = "the memory of none could be read" if evidence.succeeded else "none has succeeded"
        return f"nothing to ask for yet: {missing} {grounds}"
    return f"ask for {_amounts(recommendation)} {grounds}"


def _amounts(recommendation: Recommendation) -> str:
    pairs = (
        ("cpu", recommendation.cpu),
        ("memory", recommendation.memory_mb),
        ("gpu", recommendation.gpu),
        ("disk", recommendation.disk_mb),
    )
    units = {"memory": " MB", "disk": " MB"}
    known = [f"{name} {advice.value:,}{units.get(name, '')}" for name, advice in pairs if advice.value is not None]
    return ", ".join(known) or "what it was given: nothing to change yet"
