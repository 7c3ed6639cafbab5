"""What a launch gives its steps, decided once, in the launcher.

What comes in: the flow's steps with all their decorators, the launcher's environment and command line. What goes out:
amounts in those decorators, variables, lines for the user. Waits for the lake no longer than `STEPSIZE_AUTOSIZE_WAIT`.
A program that merely looks at the flow (``show``, ``check``, ``card``) is no launch.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from metaflow import current
from metaflow.cli import echo_always

from metaflow_extensions.stepsize.plugins.amounts import Amounts, amounts_of
from metaflow_extensions.stepsize.plugins.remote import give
from metaflow_extensions.stepsize.plugins.request import is_remote
from metaflow_extensions.stepsize.plugins.sized import VARIABLE, Sized, to_text

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from stepsize.autosize.question import StepAnswer
    from stepsize.settings import Settings

_LAUNCHING = frozenset({"run", "resume", "create"})
_DEPLOYING = frozenset({"create"})


class Asked(NamedTuple):
    """A step that is to be sized: its decorators, what they say, and the policy for it."""

    name: str
    decorators: list[Any]
    amounts: Amounts
    policy: str


class Step(NamedTuple):
    """What came of it."""

    asked: Asked
    answer: StepAnswer

    def sized(self, memory_bytes: int | None) -> Sized:
        """For an attempt with so much memory."""
        return Sized(self.asked.policy, self.answer.cpu, memory_bytes)


class Launch:
    """The steps of a launch that are sized."""

    def __init__(self, flow: str, steps: Mapping[str, Step]) -> None:
        self._flow = flow
        self._steps = steps

    def give(self, cli_args: Any, flow_datastore: Any, retry_count: int) -> None:
        """Have an attempt that a run is about to start get its amounts: more memory after each kill for want of it."""
        task = cli_args.task
        step = self._steps.get(task.step)
        if step is None:
            return
        amounts, memory_bytes = step.asked.amounts, step.answer.memory_bytes
        if retry_count and amounts.target is not None:
            from metaflow_extensions.stepsize.plugins.killed import killed_before  # noqa: PLC0415 - hardly ever needed

            memory_bytes = _after(step, killed_before(flow_datastore, task, retry_count), f"{task.step}/{task.task_id}")
        amounts.write_attempt(step.asked.decorators, cli_args.command_options, memory_bytes)
        cli_args.env[VARIABLE] = to_text(self._flow, task.step, step.sized(memory_bytes))


def _after(step: Step, killed: Sequence[bool], task: str) -> int | None:
    """Memory for a task of the step of whose attempts these ran out of it; told where the last one did."""
    had, gets = (_memory_after(step, sum(attempts)) for attempts in (killed[:-1], killed))
    if killed[-1]:
        written = step.asked.amounts.written
        what = f"more than {written(had)} there is not for it" if gets == had else f"its retry gets {written(gets)}"
        _say(f"{task} ran out of memory; {what}.")
    return gets


def _memory_after(step: Step, kills: int) -> int | None:
    from stepsize.autosize.decision import raised  # noqa: PLC0415 - absent in isolated interpreters

    amounts = step.asked.amounts
    return raised(step.answer, amounts.memory_bytes, amounts.bounds(), kills) or step.answer.memory_bytes


def size(flow: Any, environ: Mapping[str, str], argv: Sequence[str]) -> Launch | None:
    """Size the steps that ask for it; None where this is no launch, or where all is switched off."""
    from stepsize.errors import ConfigError  # noqa: PLC0415 - absent in isolated interpreters
    from stepsize.settings import Settings  # noqa: PLC0415 - as above

    if _LAUNCHING.isdisjoint(argv):
        return None
    try:
        settings = Settings.load(environ)
    except ConfigError:
        return None  # which is said where the launcher says that nothing is tracked
    if settings.sdk_disabled:
        return None
    deploying = not _DEPLOYING.isdisjoint(argv)
    asked = tuple(_asked(flow, deploying=deploying))
    answers, heard = _answers(settings, flow.name, asked, environ)
    steps = {each.name: Step(each, answers[each.name]) for each in asked}
    for name, step in steps.items():
        decorators = step.asked.decorators
        step.asked.amounts.write(decorators, step.answer)
        if deploying and is_remote(decorators, argv):
            give(decorators, {VARIABLE: to_text(flow.name, name, step.sized(step.answer.memory_bytes))}, argv)
    for line in _lines(tuple(steps.values()), heard=heard):
        _say(line)
    return Launch(flow.name, steps)


def _asked(flow: Any, *, deploying: bool) -> Iterator[Asked]:
    for step in flow:
        options = next((one.attributes for one in step.decorators if one.name == "autosize"), None)
        if options is None:
            continue
        try:
            amounts = amounts_of(step.decorators, options)
        except ValueError as error:
            _say(f"{step.__name__}: {error}; what the flow says holds.")
            continue
        policy = options["policy"] or _policy(step.decorators, amounts, deploying=deploying)
        yield Asked(step.__name__, step.decorators, amounts, str(policy))


def _policy(decorators: Sequence[Any], amounts: Amounts, *, deploying: bool) -> str:
    """The one for a step whose retries can be given more memory, else the one that has to hold without."""
    from stepsize.autosize.question import BALANCED, SAFE  # noqa: PLC0415 - absent in isolated interpreters

    retries = max((one.step_task_retry_count()[0] or 0 for one in decorators), default=0)
    return BALANCED if retries and amounts.target is not None and not deploying and _hears_of_kills() else SAFE


def _hears_of_kills() -> bool:
    """With metadata in files Metaflow fails at a job's, before it can say how the job ended (its ``batch_cli.py`` and
    ``kubernetes_cli.py``, ``_sync_metadata``).
    """
    try:
        from metaflow.system_context import system_context  # noqa: PLC0415 - older Metaflows have none
    except ImportError:
        return False
    kind: str = system_context.metadata.TYPE
    return kind != "local"


def _answers(
    settings: Settings, flow: str, asked: Sequence[Asked], environ: Mapping[str, str]
) -> tuple[Mapping[str, StepAnswer], bool]:
    """By the names of the steps, and whether a lake gave them: else they are the flow's own requests and its pins."""
    from stepsize.autosize.ask import ask  # noqa: PLC0415 - absent in isolated interpreters
    from stepsize.autosize.decision import unsized  # noqa: PLC0415 - as above
    from stepsize.autosize.question import Question  # noqa: PLC0415 - as above
    from stepsize.errors import LakeError  # noqa: PLC0415 - as above

    branch = current.get("branch_name") or ("prod" if current.get("is_production") else "")
    production = branch == "prod" or branch.startswith("prod.")  # as the lake has it
    steps = tuple(each.amounts.question(each.name, each.policy) for each in asked)
    question = Question(flow=flow, project=current.get("project_name"), production=production, steps=steps)
    try:
        if steps and settings.autosize_wait_s:
            return ask(settings, question, environ), True
    except LakeError as error:
        _say(f"{str(error).rstrip('.')}; what the flow says holds.")
    return {each.step: unsized(each) for each in steps}, False


def _lines(steps: Sequence[Step], *, heard: bool) -> Iterator[str]:
    """One for each step that has a history or gets something else, and one for all others, where a lake was heard."""
    told = [step for step in steps if step.answer.tasks or step.answer.why or _changed(step)]
    left = [step.asked.name for step in steps if step not in told]
    if left and heard:
        yield f"no history of {', '.join(left)}: what the flow says holds."
    for step in told:
        (name, _, amounts, policy), answer = step
        own = amounts.described(amounts.cpu, amounts.memory_bytes)
        gets = amounts.described(answer.cpu, answer.memory_bytes)
        gets = f"keeps {own}" if gets == own else f"gets {gets} in place of {own}"
        seen = ""
        if answer.tasks:
            seen = f" ({policy}, {_plural(answer.tasks, 'task')} in {_plural(answer.runs, 'run')})"
        elif _changed(step):
            seen = " (pinned)"
        yield f"{name} {gets}{seen}. {answer.why}".rstrip()
    if any(_changed(step) and step.asked.amounts.target is None for step in told):
        yield "on this machine nothing holds a step to its size: it is recorded, and holds on @kubernetes and @batch."


def _changed(step: Step) -> bool:
    amounts = step.asked.amounts
    return (step.answer.cpu, step.answer.memory_bytes) != (amounts.cpu, amounts.memory_bytes)


def _plural(count: int, what: str) -> str:
    return f"{count:,} {what}" + ("" if count == 1 else "s")


def _say(line: str) -> None:
    echo_always(f"stepsize: @autosize: {line}")
