"""Whatever a lake may hold of a step: an answer, in whole sentences, that does not depend on the order of its rows."""

from __future__ import annotations

import math
import re
from dataclasses import replace
from itertools import pairwise

from hypothesis import given, settings
from hypothesis import strategies as st

from stepsize.analyzer.sizing.cpu import PRESETS, CpuSettings, size, stretch
from stepsize.analyzer.usage import Attempt, StepEvidence
from stepsize.model import Outcome
from tests.analyzer.rows import attempt, evidence

cores = st.sampled_from([None, 0.0, 0.02, 0.5, 1.0, 1.04, 2.0, 7.9, 8.0, 64.0])
THREADS = (None, "x", '{"OMP_NUM_THREADS":"4,2"}', '{"OMP_NUM_THREADS":"16","OMP_THREAD_LIMIT":"3","GOMAXPROCS":"1"}')
NONSENSE = re.compile(r"\bnan\b|\binf\b|None|(?<![\d.,])1 cores|(?<![\d.,])[2-9] core(?! sec)\b|e\+|  ")
BUDGETS = tuple(CpuSettings(name="budget", waiting_cores=0, budget=budget) for budget in (1, 1.5, 10))


@st.composite
def attempts(draw: st.DrawFn) -> Attempt:
    """One of a step's, of which anything may be unknown."""
    used, duration_s = draw(cores), draw(st.sampled_from([None, 0.0, 0.001, 0.5, 1.0, 60.0, 1e5]))
    known = used is not None and duration_s is not None
    return attempt(
        task=str(draw(st.integers(0, 50))),
        duration_s=duration_s,
        cpu_seconds=(used or 0.0) * (duration_s or 0.0) if known else None,
        cpu_max=draw(cores),
        outcome=draw(st.sampled_from([Outcome.OK, Outcome.OK, *Outcome, None])),
        host_cpus=draw(st.sampled_from([None, 1, 2, 8, 64])),
        requested_cpu=draw(st.sampled_from([None, 0.5, 1.5, 2.0, 8.0])),
        throttled_s=draw(st.sampled_from([None, None, 0.0, 30.0, 1e9])),
        cpu_limit=draw(st.sampled_from([None, 0.5, 2.0])),
        thread_limits=draw(st.sampled_from(THREADS)),
        memory_peak_bytes=draw(st.sampled_from([None, 0, 10**9, 10**11])),
        gpu_count=draw(st.sampled_from([None, 0.0, 1.0, 8.0])),
        requested_gpu=draw(st.sampled_from([None, 1.0])),
        code_version=draw(st.sampled_from([None, "a", "b"])),
        started_at_s=draw(st.sampled_from([None, 1e9, 2e9])),
    )


steps = st.builds(
    lambda found, levels: evidence(*found, cores=levels),
    st.lists(attempts(), max_size=12, unique_by=lambda one: one.task),
    st.dictionaries(st.sampled_from([0.01, 0.5, 1.0, 2.0, 8.0, 64.0]), st.sampled_from([0.0, 0.5, 60.0, 1e6])),
)


@settings(max_examples=200, deadline=None)
@given(steps, st.randoms())
def test_there_is_an_answer_to_anything(found: StepEvidence, chance: object) -> None:
    """Finite figures, sentences that can be read, more cores for a higher price or budget."""
    for several in (tuple(PRESETS.values()), BUDGETS):
        sized = [size(found, each) for each in several]
        for one in sized:
            assert not NONSENSE.search(" ".join(one.advice.reasons))
            assert one.advice.value is None or one.advice.value >= 1
            figures = (one.run_time_s, one.requested_run_time_s, one.held_back_share, one.throttled_share)
            assert all(figure is None or (figure >= 0 and math.isfinite(figure)) for figure in figures)
        assert all((low.cores or 0) <= (high.cores or 0) for low, high in pairwise(sized))
    shuffled = list(found.attempts)
    chance.shuffle(shuffled)  # type: ignore[attr-defined] # a random.Random
    again = size(replace(found, attempts=tuple(shuffled)))
    assert (again.cores, again.advice) == (size(found).cores, size(found).advice)
    assert stretch(found, 1) >= stretch(found, 2) * (1 - 1e-9)
