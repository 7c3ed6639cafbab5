"""Who an attempt is: an :class:`Identity` from a command line and an environment.

What comes in: the options of ``stepsize run``, an environment. What goes out: an `Identity`. Never starts a process,
never reads a file but ``.git/HEAD`` and the reference it names, and what the rows of `orchestrators` read; never
fails: what is not known is left out. Standard library only.
"""

from __future__ import annotations

import os
import re
import time
from pathlib import Path
from typing import TYPE_CHECKING

from stepsize.identity import Attr, Identity, Origin, Request
from stepsize.instrumentation.lineage import above, is_tracked
from stepsize.instrumentation.orchestrators.evidence import Evidence
from stepsize.instrumentation.orchestrators.platforms import platform
from stepsize.instrumentation.orchestrators.rows import Found
from stepsize.instrumentation.orchestrators.table import identify

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from stepsize.identity import AttributeValue
    from stepsize.instrumentation.lineage import Above
    from stepsize.settings import Settings

_GIT_DEPTH = 32
_PYTHON = re.compile(r"(python|pypy)[\d.]*t?(\.exe)?")
_VALUED = re.compile(r"-(?!-)[^cmWX]*([cmWX])(.*)", re.DOTALL)
"""A word of short options of Python's the last of which has a value: in the same word, or it is the next one."""


def of_command(
    argv: Sequence[str],
    environ: Mapping[str, str],
    *,
    flow: str | None = None,
    run: str | None = None,
    step: str | None = None,
    task: str | None = None,
    attempt: int | None = None,
) -> Identity:
    """The identity of a command: what was said, then `OTEL_RESOURCE_ATTRIBUTES`, the orchestrator, the command itself.

    The run of a command that nobody named is the microsecond at which it started, as Metaflow's is. A command below
    an attempt that is tracked is a step of its own of the same run: what it uses is in the attempt above already.
    """
    said = resource_attributes(environ)
    program, outer = program_of(argv), above(environ)
    found = identify(Evidence(environ)) or Found(orchestrator="", target=platform(environ.get))
    if is_tracked(environ):
        found = _below(found, outer, program)

    def name(given: str | None, attribute: str, *others: str | None) -> str:
        return next(text for text in (given, said.get(attribute), *others) if text)

    attempts = (attempt, _integer(said.get(Attr.ATTEMPT)), found.attempt)
    identity = Identity(
        flow=name(flow, Attr.FLOW, found.flow, program),
        run=name(run, Attr.RUN, found.run, str(time.time_ns() // 1000)),
        step=name(step, Attr.STEP, found.step, "run"),
        task=name(task, Attr.TASK, found.task, "0"),
        attempt=next(number for number in attempts if number is not None),
    )
    if outer == (identity.flow, identity.run, identity.step, identity.task, identity.attempt):
        # What was said was said of the attempt above, whose environment this one has inherited.
        identity = identity._replace(step=f"{identity.step}/{program}", task=f"{identity.task}.{os.getpid()}")
    identity = with_resource_attributes(identity, environ)
    return identity._replace(
        item=identity.item or found.item,
        project=identity.project or found.project,
        branch=identity.branch or found.branch,
        user=identity.user or found.user or user(environ),
        code_version=identity.code_version or found.code_version or git_commit(_here()),
        run_origin=identity.run_origin or found.run_origin or (None if found.orchestrator else Origin.ADHOC),
        target=identity.target or found.target,
        request=_merged(identity.request, found.request),
    )


def _below(found: Found, outer: Above | None, program: str) -> Found:
    """What an orchestrator says of a command below an attempt, whose names it gave to that, and its resources."""
    found = found._replace(target=None)
    if outer is not None:
        found = found._replace(flow=outer.flow, run=outer.run, step=outer.step, task=outer.task)
    if found.step is None:
        return found
    return found._replace(step=f"{found.step}/{program}", task=f"{found.task or 0}.{os.getpid()}")


def of_settings(argv: Sequence[str], environ: Mapping[str, str], settings: Settings) -> Identity:
    """As `of_command`, with the names that the settings hold."""
    names = {"flow": settings.flow, "run": settings.run, "step": settings.step, "task": settings.task}
    return of_command(argv, environ, **names, attempt=settings.attempt)


def program_of(argv: Sequence[str]) -> str:
    """What a command line runs, as people would name it: of a Python interpreter, the script or module."""
    if not argv:
        return "command"
    if _PYTHON.fullmatch(Path(argv[0]).name):
        option, words = told_python(argv)
        if words and option == "-m":
            return words[0]
        if words and not option:
            return Path(words[0]).name or argv[0]
    return Path(argv[0]).name or "command"


def told_python(argv: Sequence[str]) -> tuple[str, list[str]]:
    """What an interpreter with this command line is told to run: an option, and the words that belong to it.

    ``-m`` and a module, ``-c`` and a program, or no option and a script, each followed by its arguments; neither where
    it reads its standard input. Source: CPython, Python/getopt.c.
    """
    words = list(argv[1:])
    while words and words[0].startswith("-") and words[0] != "-":
        word = words.pop(0)
        valued = _VALUED.fullmatch(word)
        letter, value = valued.groups() if valued else ("", "")
        if letter in ("c", "m"):
            return f"-{letter}", [value, *words] if value else words
        if (valued and not value) or word == "--check-hash-based-pycs":
            del words[:1]
    return "", [] if words[:1] == ["-"] else words


def _request(said: Mapping[str, str]) -> Request:
    return Request(
        cpu=_number(said.get(Attr.REQUEST_CPU)),
        memory_bytes=_integer(said.get(Attr.REQUEST_MEMORY)),
        gpu=_number(said.get(Attr.REQUEST_GPU)),
        disk_bytes=_integer(said.get(Attr.REQUEST_DISK)),
        shared_memory_bytes=_integer(said.get(Attr.REQUEST_SHARED_MEMORY)),
        timeout_s=_number(said.get(Attr.REQUEST_TIMEOUT)),
    )


def _merged(first: Request, second: Request) -> Request:
    return second._replace(**{name: value for name, value in first._asdict().items() if value is not None})


def with_resource_attributes(identity: Identity, environ: Mapping[str, str]) -> Identity:
    """``identity`` with what `OTEL_RESOURCE_ATTRIBUTES` says; its ``stepsize.*`` only where nothing is known yet.

    ``service.name`` is the flow, unless `OTEL_SERVICE_NAME` says otherwise.
    """
    said = resource_attributes(environ)
    others: dict[str, AttributeValue] = {
        key: value for key, value in said.items() if not key.startswith("stepsize.") and key != "service.name"
    }
    if environ.get("OTEL_SERVICE_NAME"):
        others["service.name"] = environ["OTEL_SERVICE_NAME"]
    prefix = Attr.ANNOTATION_PREFIX
    notes = {key.removeprefix(prefix): value for key, value in said.items() if key.startswith(prefix)}
    return identity._replace(
        item=identity.item or said.get(Attr.ITEM),
        project=identity.project or said.get(Attr.PROJECT),
        branch=identity.branch or said.get(Attr.BRANCH),
        user=identity.user or said.get(Attr.USER),
        code_version=identity.code_version or said.get(Attr.CODE_VERSION),
        run_origin=identity.run_origin or said.get(Attr.RUN_ORIGIN),
        target=identity.target or said.get(Attr.TARGET),
        annotations={**notes, **identity.annotations},
        resource={**others, **identity.resource},
        request=_merged(identity.request, _request(said)),
    )


def resource_attributes(environ: Mapping[str, str]) -> dict[str, str]:
    """`OTEL_RESOURCE_ATTRIBUTES` taken apart: ``key=value`` pairs with commas between, values percent-encoded.

    Source: OpenTelemetry specification, resource SDK, "Specifying resource information via an environment variable".
    """
    if not environ.get("OTEL_RESOURCE_ATTRIBUTES"):
        return {}
    from urllib.parse import unquote  # noqa: PLC0415 - imports much, and is hardly ever needed

    pairs = (pair.partition("=") for pair in environ["OTEL_RESOURCE_ATTRIBUTES"].split(","))
    return {key.strip(): unquote(value.strip()) for key, equals, value in pairs if equals and key.strip()}


def user(environ: Mapping[str, str]) -> str | None:
    """Who runs this: the first of the variables that ``getpass`` asks, else the system's name for the user."""
    for variable in ("LOGNAME", "USER", "LNAME", "USERNAME"):
        if environ.get(variable):
            return environ[variable]
    import getpass  # noqa: PLC0415 - hardly ever needed

    try:
        return getpass.getuser()
    except (OSError, KeyError, ImportError):  # which of them depends on the version of Python
        return None


def _here() -> Path:
    try:
        return Path.cwd()
    except OSError:  # somebody has removed it, or it cannot be seen
        return Path()


def git_commit(directory: Path) -> str | None:
    """The commit that is checked out around ``directory``, from the files of ``.git``."""
    for folder in (directory, *directory.parents)[:_GIT_DEPTH]:
        git = folder / ".git"
        try:
            if git.is_file():  # a worktree or submodule: the file says where
                git = (folder / git.read_text(encoding="utf-8").removeprefix("gitdir:").strip()).resolve()
            elif not git.is_dir():
                continue
            return _head(git)
        except (OSError, ValueError):
            return None
    return None


def _head(git: Path) -> str | None:
    head = (git / "HEAD").read_text(encoding="ascii").strip()
    if not head.startswith("ref:"):
        return head or None
    reference = head.removeprefix("ref:").strip()
    common = git / "commondir"
    roots = [git, (git / common.read_text(encoding="utf-8").strip()).resolve()] if common.is_file() else [git]
    for root in roots:
        if (root / reference).is_file():
            return (root / reference).read_text(encoding="ascii").strip() or None
        if (root / "packed-refs").is_file():
            for line in (root / "packed-refs").read_text(encoding="utf-8").splitlines():
                if line.endswith(f" {reference}"):
                    return line.split()[0]
    return None


def _number(text: str | None) -> float | None:
    try:
        return None if text is None else float(text)
    except ValueError:
        return None


def _integer(text: str | None) -> int | None:
    try:
        return None if text is None else int(text)
    except ValueError:
        return None
