"""A Dockerfile as its steps, what of a directory its builder would see, and wheels of what is installed here."""

from __future__ import annotations

import re
import subprocess
import zipfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from fnmatch import fnmatch
from importlib.metadata import Distribution, distribution, requires
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name


@dataclass(frozen=True)
class Step:
    """One instruction: its name, and the rest of its line with what it goes on with."""

    name: str
    text: str


def steps(dockerfile: str) -> list[Step]:
    """All instructions in order."""
    lines = [line for line in dockerfile.splitlines() if not line.lstrip().startswith("#")]
    joined = re.sub(r"\\\n\s*", "", "\n".join(lines))
    return [Step(*line.split(maxsplit=1)) for line in joined.splitlines() if line.strip()]


def stages(dockerfile: str) -> list[list[Step]]:
    """The instructions of each stage, which `FROM` begins."""
    found: list[list[Step]] = []
    for step in steps(dockerfile):
        if step.name == "FROM":
            found.append([])
        found[-1].append(step)
    return found


def context(root: Path, ignored: str) -> list[str]:
    """The committed files that a builder is sent, by the rules of a .dockerignore; the last that fits counts."""
    rules = [line for line in ignored.splitlines() if line.strip() and not line.startswith("#")]
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=root, check=True, capture_output=True)
    return [name for name in listed.stdout.decode().split("\0") if name and not _is_ignored(name, rules)]


def _is_ignored(name: str, rules: list[str]) -> bool:
    parts = name.split("/")
    parents = ["/".join(parts[: end + 1]) for end in range(len(parts))]
    ignored = False
    for rule in rules:
        pattern = rule.removeprefix("!")
        anywhere = pattern.removeprefix("**/")
        tried = parts if anywhere != pattern else parents
        if any(fnmatch(one, anywhere) for one in tried):
            ignored = not rule.startswith("!")
    return ignored


def closure(requirements: Iterable[str]) -> dict[str, Distribution]:
    """What is installed here of the requirements, and of what they require."""
    found: dict[str, Distribution] = {}
    waiting = [Requirement(one) for one in requirements]
    while waiting:
        wanted = waiting.pop()
        name = canonicalize_name(wanted.name)
        if name not in found:
            found[name] = distribution(wanted.name)
        elif not wanted.extras:
            continue
        for text in requires(wanted.name) or ():
            one = Requirement(text)
            extras = wanted.extras or {""}
            if one.marker is None or any(one.marker.evaluate({"extra": extra}) for extra in extras):
                waiting.append(one)
    return found


def wheel(installed: Distribution, directory: Path) -> Path:
    """An installed distribution as the wheel that it came from, without its scripts."""
    facts = installed.read_text("WHEEL") or ""
    tags = [tag.split("-") for tag in re.findall(r"^Tag: (.+)$", facts, re.MULTILINE)]
    tag = "-".join(".".join(dict.fromkeys(one)) for one in zip(*tags, strict=True))
    name = canonicalize_name(installed.name).replace("-", "_")
    path = directory / f"{name}-{installed.version}-{tag}.whl"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as archive:
        for file, source in _files(installed):
            archive.write(source, file)
    return path


_OF_THE_INSTALLER = {"INSTALLER", "REQUESTED", "direct_url.json"}


def _files(installed: Distribution) -> Iterator[tuple[str, Path]]:
    for file in installed.files or ():
        if (
            ".." in file.parts
            or file.name.endswith(".pyc")
            or file.name in {"INSTALLER", "REQUESTED", "direct_url.json"}
        ):
            continue
        yield str(file), Path(str(installed.locate_file(file)))
