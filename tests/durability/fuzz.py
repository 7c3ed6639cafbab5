"""Coverage-guided fuzzing of one target, for as long as one likes: ``-m tests.durability.fuzz TARGET [SECONDS]``.

Stands on atheris (PyPI; wheels for Linux only, so no dependency of the project: ``pip install atheris``). What goes
out: exit code 0 where nothing was found; else the traceback and a file ``crash-*`` with the bytes.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

import atheris

with atheris.instrument_imports(include=["stepsize", "yaml", "google.protobuf.json_format", "json"]):
    from tests.durability import targets

_LONGEST_BYTES = 4096


def main(name: str, seconds: int) -> None:
    """Fuzz ``name``."""
    directory = Path(tempfile.mkdtemp(prefix="fuzz-"))
    seeds = directory / "corpus"
    seeds.mkdir()
    for index, example in enumerate(targets.corpus().get(name, [])):
        (seeds / str(index)).write_bytes(example)
    target = targets.by_name(directory)[name]

    def once(data: bytes) -> None:
        target(data)

    options = [f"-max_total_time={seconds}", f"-max_len={_LONGEST_BYTES}", "-timeout=20", "-rss_limit_mb=2048"]
    atheris.Setup([sys.argv[0], *options, f"-artifact_prefix={directory}/", str(seeds)], once)
    atheris.Fuzz()


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]) if len(sys.argv) > 2 else 60)
