"""What a step asks for, given its history: within the user's bounds, in sizes that its platform takes."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from stepsize.analyzer.sizing.policy import Advice, Recommendation
from stepsize.analyzer.sizing.targets import TARGETS, Need, round_to
from stepsize.analyzer.usage import Attempt, StepEvidence
from stepsize.autosize.decision import decide, raised, unsized
from stepsize.autosize.question import Bounds, Question, StepAnswer, StepQuestion, dump_answers, load_answers

MB, MIB = 10**6, 2**20
NOTHING = Advice(None)
PLATFORMS = st.sampled_from([None, "kubernetes", "batch", "fargate"])
CORES = st.sampled_from([0.25, 0.5, 1.0, 2.0, 3.0, 8.0, 16.0])
MEMORY = st.integers(100, 120_000).map(lambda amount: amount * MB)
MAYBE_CORES, MAYBE_MEMORY = st.none() | CORES, st.none() | MEMORY
BOUNDS = st.builds(
    Bounds, min_cpu=MAYBE_CORES, max_cpu=MAYBE_CORES, min_memory_bytes=MAYBE_MEMORY, max_memory_bytes=MAYBE_MEMORY
)


def evidence(target: str | None = None) -> StepEvidence:
    attempts = [Attempt(run=str(run), task="1", started_at_s=float(run), target=target) for run in range(3)]
    return StepEvidence(flow="F", step="train", attempts=tuple(attempts))


def advice(cpu: int | None, memory_mb: int | None, held: str = "") -> Recommendation:
    memory = Advice(memory_mb, (held,), held=held) if held else Advice(memory_mb)
    return Recommendation(cpu=Advice(cpu), memory_mb=memory, gpu=NOTHING, vram_mb=NOTHING, disk_mb=NOTHING)


def question(
    cpu: float | None, memory_bytes: int | None, target: str | None = None, bounds: Bounds | None = None
) -> StepQuestion:
    return StepQuestion(
        step="train",
        policy="safe",
        cpu=cpu,
        memory_bytes=memory_bytes,
        target=target,
        bounds=bounds or Bounds(),
    )


def test_history_is_followed_both_ways() -> None:
    """It lowers and raises, and says on how much it stands."""
    found = decide(question(4.0, 8000 * MB, "kubernetes"), evidence(), advice(1, 850))
    assert (found.cpu, found.memory_bytes, found.tasks, found.runs) == (1.0, 850 * MB, 3, 3)
    found = decide(question(1.0, 500 * MB, "kubernetes"), evidence(), advice(2, 850))
    assert (found.cpu, found.memory_bytes, found.why) == (2.0, 850 * MB, "")


def test_what_the_policy_would_keep_is_the_flows_own() -> None:
    """With its reason."""
    found = decide(question(4.0, 8000 * MB), evidence(), advice(None, None, held="2 more needed."))
    assert (found.cpu, found.memory_bytes, found.why) == (4.0, 8000 * MB, "2 more needed.")


def test_bounds_hold() -> None:
    """A least wins over a most; what the flow asks for itself is not lowered by a most."""
    most = Bounds(max_cpu=2, max_memory_bytes=700 * MB)
    found = decide(question(1.0, 500 * MB, "kubernetes", most), evidence(), advice(4, 850))
    assert (found.cpu, found.memory_bytes) == (2.0, 700 * MB)
    both = replace(most, min_cpu=3, min_memory_bytes=900 * MB)
    found = decide(question(1.0, 500 * MB, "kubernetes", both), evidence(), advice(4, 850))
    assert (found.cpu, found.memory_bytes) == (3.0, 900 * MB)
    kept = decide(question(4.0, 9000 * MB, "kubernetes", most), evidence(), advice(None, None))
    assert (kept.cpu, kept.memory_bytes) == (4.0, 9000 * MB)


def test_a_most_bounds_what_raises_a_request_and_no_fall() -> None:
    """Of 8000 MB in the flow, of which history needs 6000, a most of 4000 makes neither 4000 nor 8000."""
    most = Bounds(max_cpu=2, max_memory_bytes=4000 * MB)
    found = decide(question(8.0, 8000 * MB, "kubernetes", most), evidence(), advice(6, 6000))
    assert (found.cpu, found.memory_bytes) == (6.0, 6000 * MB)
    found = decide(question(4.0, 8000 * MB, "kubernetes", most), evidence(), advice(6, 9000))
    assert (found.cpu, found.memory_bytes) == (4.0, 8000 * MB)


def test_what_ran_on_fargate_gets_one_of_its_pairs() -> None:
    """`@batch` does not say which of the two it is; its history does."""
    found = decide(question(1.0, 2048 * MIB, "batch"), evidence("fargate"), advice(1, 3000))
    assert (found.target, found.cpu, found.memory_bytes) == ("fargate", 1.0, 3072 * MIB)
    found = decide(question(1.0, 2048 * MIB, "batch"), evidence("batch"), advice(1, 3000))
    assert found.target == "batch"


def test_what_the_platform_has_nothing_for_stays() -> None:
    """And says so."""
    found = decide(question(1.0, 2048 * MIB, "fargate"), evidence(), advice(1, 500_000))
    assert (found.cpu, found.memory_bytes) == (1.0, 2048 * MIB)
    assert found.why == "AWS Fargate has nothing that covers 1 cores with 500,000 MB."


@given(CORES, MEMORY, PLATFORMS, BOUNDS, st.none() | st.integers(1, 16), st.none() | st.integers(10, 100_000))
def test_never_below_what_the_user_pins(
    cpu: float, memory: int, target: str | None, bounds: Bounds, cores: int | None, memory_mb: int | None
) -> None:
    """Nor above the user's most, where the flow's own request and the user's least are not."""
    asked = question(cpu, memory, target, bounds)
    found = decide(asked, evidence(), advice(cores, memory_mb))
    assert found.cpu is not None
    assert found.memory_bytes is not None
    assert found.cpu >= (bounds.min_cpu or 0)
    assert found.memory_bytes >= (bounds.min_memory_bytes or 0)
    most = bounds.max_memory_bytes
    if most is not None and target != "fargate":
        most = max(most, memory)
        assert found.memory_bytes <= most or (bounds.min_memory_bytes or 0) > most
    if (
        target is None and cores is not None and memory_mb is not None
    ):  # where any amount can be had, no fall goes further
        assert found.cpu >= min(cores, cpu)
        assert found.memory_bytes >= min(memory_mb * MB, memory)


@given(CORES, MEMORY, PLATFORMS)
def test_without_history_and_pins_nothing_changes(cpu: float, memory: int, target: str | None) -> None:
    """Not even to a size that a person would write."""
    found = unsized(question(cpu, memory, target))
    assert (found.cpu, found.memory_bytes, found.tasks) == (cpu, memory, 0)


def answer(memory_bytes: int | None, cpu: float = 1.0, target: str | None = "kubernetes") -> StepAnswer:
    return StepAnswer(step="train", cpu=cpu, memory_bytes=memory_bytes, target=target)


def test_a_kill_doubles_and_history_yields_to_the_flow() -> None:
    """The flow's own request comes first where history had lowered it."""
    assert raised(answer(1000 * MB), 1000 * MB, Bounds(), 1) == 2000 * MB
    assert raised(answer(1000 * MB), 8000 * MB, Bounds(), 1) == 8000 * MB
    assert raised(answer(1000 * MB), 8000 * MB, Bounds(), 2) == 16_000 * MB
    assert raised(answer(1000 * MB), None, Bounds(), 0) is None
    assert raised(answer(None), 8000 * MB, Bounds(), 1) is None


def test_a_raise_stops_at_the_users_most_and_the_platforms() -> None:
    """None says that there is no more."""
    assert raised(answer(1000 * MB), None, Bounds(max_memory_bytes=1500 * MB), 3) == 1500 * MB
    assert raised(answer(1500 * MB), None, Bounds(max_memory_bytes=1500 * MB), 1) is None
    assert raised(answer(1000 * MB), 8000 * MB, Bounds(max_memory_bytes=1500 * MB), 1) == 8000 * MB
    assert raised(answer(8000 * MB), 8000 * MB, Bounds(max_memory_bytes=1500 * MB), 2) is None
    assert raised(answer(4096 * MIB, 1.0, "fargate"), None, Bounds(), 1) == 8192 * MIB
    assert raised(answer(6144 * MIB, 1.0, "fargate"), None, Bounds(), 1) == 8192 * MIB
    assert raised(answer(8192 * MIB, 1.0, "fargate"), None, Bounds(), 1) is None


@given(MEMORY, MAYBE_MEMORY, PLATFORMS.filter(lambda target: target != "fargate"), MAYBE_MEMORY, st.integers(1, 5))
def test_a_raise_is_one_and_grows_with_the_kills(
    memory: int, own: int | None, target: str | None, most: int | None, kills: int
) -> None:
    """More than the step had, no more than the user's most and the flow's own, and with each kill no less."""
    bounds = Bounds(max_memory_bytes=most)
    first, next_one = (raised(answer(memory, target=target), own, bounds, times) for times in (kills, kills + 1))
    if first is None:
        assert most is not None
        assert max(most, own or 0) <= memory
    else:
        assert memory < first
        assert next_one is not None
        assert next_one >= first
        assert first >= (own or 0)
        assert most is None or first <= max(most, own or 0)


@given(CORES, MEMORY, st.integers(1, 16), st.integers(10, 100_000), st.sampled_from(["kubernetes", "batch", "fargate"]))
def test_what_changes_is_a_size_of_the_platform(
    cpu: float, memory: int, cores: int, memory_mb: int, target: str
) -> None:
    """One that it takes as it is."""
    found = decide(question(cpu, memory, target), evidence(), advice(cores, memory_mb))
    if (found.cpu, found.memory_bytes) == (cpu, memory):
        return
    assert found.cpu is not None
    assert found.memory_bytes is not None
    unit = TARGETS[target].memory_unit_bytes
    need = Need(cpu=found.cpu, memory_bytes=found.memory_bytes, keeps_cpu=True, keeps_memory=True)
    sizes = round_to(TARGETS[target], need)
    assert sizes is not None
    assert (sizes.cpu, sizes.memory * unit) == (found.cpu, found.memory_bytes)


@given(st.builds(question, MAYBE_CORES, MAYBE_MEMORY, PLATFORMS, BOUNDS), st.text())
def test_questions_and_answers_travel_as_text(asked: StepQuestion, why: str) -> None:
    """As they were."""
    whole = Question(flow="F", project="p", production=True, steps=(asked, replace(asked, step="other")))
    assert Question.loads(whole.dumps()) == whole
    found = replace(unsized(asked), why=why)
    assert load_answers(dump_answers((found,))) == {"train": found}
