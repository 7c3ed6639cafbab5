"""``stepsize apply``: the report's advice as edits of a flow's source, or in what another system reads.

What comes in: a flow's file (or, for other systems, a flow's name) and options. What goes out: a diff, the edited file,
JSON or a snippet; what was not written, and why, on standard error. Never changes the lake, never runs the flow.
"""

from __future__ import annotations

import json
import sys
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import click

from stepsize import discovery
from stepsize.analyzer.catalog import place
from stepsize.analyzer.edits import snippets
from stepsize.analyzer.edits.diff import unified
from stepsize.analyzer.edits.snippets.sizes import keeps_gpus, sizes_of
from stepsize.analyzer.edits.wanted import NEVER_USED, platform, project_of, wanted
from stepsize.analyzer.matching import Catalog
from stepsize.commands import flow_file
from stepsize.commands.evidence import Evidence, options
from stepsize.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from stepsize.analyzer.edits.flows import Lineage
    from stepsize.analyzer.edits.plan import Edited
    from stepsize.analyzer.edits.source import Source
    from stepsize.analyzer.edits.wanted import Wanted
    from stepsize.analyzer.report import StepReport
    from stepsize.commands.flow_file import FlowFile

_SOURCE_FORMATS = ("diff", "json")
_COLOURS = {"+": "green", "-": "red", "@": "cyan"}


@dataclass(frozen=True, slots=True)
class _Choice:
    """The options that are apply's own."""

    flow: str | None
    steps: tuple[str, ...]
    project: str | None
    timeout: bool
    drop_gpus: bool
    trusted: frozenset[str]


@dataclass(frozen=True, slots=True)
class _Output:
    """What to do with the edits."""

    write: bool
    check: bool
    format_name: str
    out: Path | None


@click.command(
    epilog="Exit code: 0 well, 1 a lake that cannot be read, a file that changed meanwhile, or --check and edits to "
    "make, 2 wrong usage."
)
@click.argument("target", metavar="FLOW.py")
@click.option("--write", is_flag=True, help="Edit the file rather than show the diff.")
@click.option("--check", is_flag=True, help="Change nothing; exit with 1 where there are edits to make.")
@click.option("--flow", metavar="NAME", help="Only this flow of the file.")
@click.option("--step", "steps", multiple=True, metavar="NAME", help="Only this step. May be repeated.")
@click.option("--project", metavar="NAME", help="The @project whose history counts, where the file does not tell.")
@click.option("--timeout", is_flag=True, help="Advise @timeout too.")
@click.option("--drop-gpus", is_flag=True, help="Ask for no GPU where none was ever used; else that is only said.")
@click.option(
    "--trust",
    "trusted",
    multiple=True,
    metavar="NAME",
    help="A decorator or base class that leaves resources alone. May be repeated.",
)
@click.option(
    "--format",
    "format_name",
    type=click.Choice([*_SOURCE_FORMATS, *snippets.FORMATS]),
    default=_SOURCE_FORMATS[0],
    show_default=True,
    help="json: each edit and each refusal. The others are for other files, and take a flow's name too.",
)
@click.option(
    "--out",
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="FILE",
    help="Write what is printed to a file.",
)
@options
def command(
    *,
    target: str,
    write: bool,
    check: bool,
    flow: str | None,
    steps: tuple[str, ...],
    project: str | None,
    timeout: bool,
    drop_gpus: bool,
    trusted: tuple[str, ...],
    format_name: str,
    out: Path | None,
    evidence: Evidence,
) -> int:
    """Write into a flow's source what each step should ask for; show the diff unless --write."""
    if out is not None and out.exists() and Path(target).exists() and out.samefile(target):
        raise UsageError(f"--out {out} is the source itself, which would be lost; give another one, or --write")
    choice = _Choice(flow, steps, project, timeout, drop_gpus, frozenset(trusted))
    if write and check:
        raise UsageError("--write and --check exclude each other; give one")
    if write and out is not None and format_name == "diff":
        raise UsageError("--out is for what is printed, and --write prints no diff; leave out one of the two")
    if format_name in _SOURCE_FORMATS:
        return _apply(_read(Path(target)), choice, evidence, _Output(write, check, format_name, out))
    if write or check:
        raise UsageError(f"--write and --check are for the flow's source; leave them out with --format {format_name}")
    _emit(_snippet(target, format_name, choice, evidence).encode(), out)
    return 0


@dataclass(frozen=True, slots=True)
class _Read:
    """A flow's file, what is in it, and its flows."""

    file: FlowFile
    source: Source
    flows: Sequence[Lineage]


def _read(path: Path) -> _Read:
    try:
        from stepsize.analyzer.edits.flows import lineages  # noqa: PLC0415 - libcst is an extra, and takes its time
        from stepsize.analyzer.edits.source import read  # noqa: PLC0415 - as above
    except ModuleNotFoundError as error:
        if error.name != "libcst":
            raise
        raise UsageError("reading a flow's source takes libcst: pip install 'stepsize[apply]'") from None
    if path.suffix == ".ipynb":
        raise UsageError(f"{path} is a notebook; give the file of the flow, or its name with --format config")
    if not path.exists():
        names = ", ".join(snippets.FORMATS)
        raise UsageError(f"cannot read {path}: No such file; a flow's name alone goes with --format {names}")
    file = flow_file.read(path)
    try:
        source = read(file.text)
        flows = lineages(source)
    except UsageError as error:
        raise UsageError(f"{path}: {error}") from None
    if not flows:
        raise UsageError(f"{path} holds no Metaflow flow (a class with methods that are @step)")
    return _Read(file, source, flows)


def _apply(read: _Read, choice: _Choice, evidence: Evidence, output: _Output) -> int:
    from stepsize.analyzer.edits.plan import Options, edit  # noqa: PLC0415 - as above

    advice = _advice(_related(read.flows, choice.flow), choice, evidence)
    chosen = Options(
        timeout=choice.timeout,
        drop_gpus=choice.drop_gpus,
        trusted=choice.trusted,
        flow=choice.flow,
        steps=frozenset(choice.steps),
    )
    edited = edit(read.source, advice, chosen)
    text = edited.data.decode()
    if output.write and edited.edits:
        read.file.replace(text)
    if output.format_name == "json":
        _emit(as_json(edited, str(read.file.path), written=output.write and bool(edited.edits)).encode(), output.out)
    else:
        _tell(edited, read.file, output)
    return 1 if output.check and edited.edits else 0


def _tell(edited: Edited, file: FlowFile, output: _Output) -> None:
    """The diff, unless it was carried out; what to know of it, and what was not written, on standard error."""
    if not output.write:
        difference = unified(file.raw, file.encoded(edited.data.decode()), _shown(file.path))
        if output.out is None and sys.stdout.isatty():
            click.echo(_coloured(difference.decode(file.encoding, "replace")), nl=False)
        else:
            _emit(difference, output.out)
    for remark in edited.remarks:
        click.echo(_printable(f"{file.path}:{remark.line}: {remark.step}: {remark.text}"), err=True)
    steps = len({(edit.flow, edit.step) for edit in edited.edits})
    changes = f"{len(edited.edits)} {_plural('value', len(edited.edits))} of {steps} {_plural('step', steps)}"
    if not edited.edits:
        click.echo("Nothing to change.", err=True)
    elif output.write:
        click.echo(f"{changes} written to {file.path}", err=True)
    else:
        click.echo(f"{changes} to change; --write does it", err=True)


def _related(flows: Sequence[Lineage], name: str | None) -> list[Lineage]:
    """The flow of that name and those that share steps with it; all of them without one.

    Raises:
        UsageError: there is none.
    """
    chosen = next((flow for flow in flows if flow.name == name), None)
    if name is None:
        return list(flows)
    if chosen is None:
        raise UsageError(f"no flow {name!r} is in the file")
    return [flow for flow in flows if any(flow.steps.get(step) is its for step, its in chosen.steps.items())]


def _advice(flows: Sequence[Lineage], choice: _Choice, evidence: Evidence) -> dict[str, list[Wanted]]:
    """The advice of every flow that has been measured.

    Raises:
        UsageError: none of them has, or not the one that is chosen.
    """
    with evidence.reader(Catalog.open(place.directory())) as reports:
        answers = {flow.name: _of_flow(flow, lambda name: reports(evidence.query(name)), choice) for flow in flows}
    found = {name: answer for name, answer in answers.items() if not isinstance(answer, UsageError)}
    unknown = {name: answer for name, answer in answers.items() if isinstance(answer, UsageError)}
    if not found or choice.flow in unknown:
        raise unknown.get(choice.flow or "", next(iter(unknown.values())))
    built_on = {flow.name for flow in flows if flow.derived}
    for name, error in unknown.items():
        if choice.flow is None and name not in built_on:
            click.echo(_printable(f"stepsize: {error}"), err=True)
    return found


def _of_flow(flow: Lineage, reports: Callable[[str], list[StepReport]], choice: _Choice) -> list[Wanted] | UsageError:
    """The advice of one flow, or why there is none: others of the file may have some."""
    try:
        return _chosen(reports(flow.name), flow.project, choice)
    except UsageError as error:
        return error


def _chosen(reports: Sequence[StepReport], project: str | None, choice: _Choice) -> list[Wanted]:
    counted = project_of(reports, choice.project or project)
    steps = [one for one in wanted(reports, counted) if not choice.steps or one.step in choice.steps]
    if missing := [step for step in choice.steps if step not in {one.step for one in steps}]:
        raise UsageError(f"no step {missing[0]!r} of {reports[0].flow} has been measured")
    return steps


def _snippet(target: str, format_name: str, choice: _Choice, evidence: Evidence) -> str:
    flow, steps, computes = _flow_of(target, choice, evidence)
    sizes = []
    for one in steps:
        runs_on = platform(computes.get(one.step), one.target)
        made = sizes_of(one, runs_on, drop_gpus=choice.drop_gpus, timeout=choice.timeout)
        if isinstance(made, str):
            click.echo(_printable(f"stepsize: {one.step}: {made}"), err=True)
        else:
            sizes.append(made)
            if keeps_gpus(one) and not choice.drop_gpus:
                click.echo(_printable(f"stepsize: {one.step}: {NEVER_USED}"), err=True)
    return snippets.render(format_name, flow, sizes)


def _flow_of(target: str, choice: _Choice, evidence: Evidence) -> tuple[str, list[Wanted], dict[str, str | None]]:
    """A flow's name, its advice, and where its steps say that they run: of its file, or by name from the lake alone."""
    if not Path(target).is_file():
        if Path(target).suffix in (".py", ".ipynb") or Path(target).name != target:
            _read(Path(target))
        if choice.flow is not None:
            raise UsageError(f"--flow is for a file of several flows, and {target} is a flow's name; leave it out")
        with evidence.reader(Catalog.open(place.directory())) as reports:
            return target, _chosen(reports(evidence.query(target)), "", choice), {}
    from stepsize.analyzer.edits.merging import compute_of  # noqa: PLC0415 - as above

    in_file = _read(Path(target)).flows
    flows = [flow for flow in in_file if choice.flow in (None, flow.name)] or _related(in_file, choice.flow)
    if len(flows) > 1:
        raise UsageError(f"{target} holds {', '.join(flow.name for flow in flows)}: choose one with --flow")
    advice = _advice(flows, choice, evidence)
    return flows[0].name, advice[flows[0].name], {name: compute_of(step) for name, step in flows[0].steps.items()}


def as_json(edited: Edited, path: str, *, written: bool) -> str:
    """Each edit, each refusal, each note: ``docs/apply.md`` has the keys."""
    refused = {"refused": "refusals"}
    told: dict[str, list[dict[str, object]]] = {"refusals": [], "notes": []}
    for remark in edited.remarks:
        place = {"flow": remark.flow, "step": remark.step, "line": remark.line}
        told[refused.get(remark.kind.value, "notes")].append(
            {**place, "kind": remark.kind.value, "reason": remark.text}
        )
    edits = [asdict(edit) for edit in edited.edits]
    return json.dumps({"file": path, "written": written, "edits": edits, **told}, indent=2) + "\n"


def _emit(content: bytes, out: Path | None) -> None:
    if out is None:
        click.echo(content, nl=False)
        return
    try:
        discovery.write_whole(out.absolute(), content)
    except OSError as error:
        raise UsageError(f"cannot write {out}: {error.strerror}; give another --out") from None
    click.echo(f"Written to {out}", err=True)


def _shown(path: Path) -> str:
    """The path of what would be written, as ``git apply`` takes it: from here down, else the name alone."""
    real, here = path.resolve(), Path.cwd()
    return real.relative_to(here).as_posix() if real.is_relative_to(here) else real.name


def _coloured(difference: str) -> str:
    """For a terminal, which may lack some of the file's characters."""
    encoding = sys.stdout.encoding or "utf-8"
    lines = difference.encode(encoding, "replace").decode(encoding).splitlines(keepends=True)
    return "".join(click.style(line, fg=_COLOURS.get(line[:1])) for line in lines)


def _printable(text: str) -> str:
    """Without what a terminal would take for commands: others may have written the file, and the lake."""
    return "".join(character if character.isprintable() else "\N{REPLACEMENT CHARACTER}" for character in text)


def _plural(word: str, count: int) -> str:
    return word if count == 1 else f"{word}s"
