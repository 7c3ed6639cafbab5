"""Where the catalogue's figures come from: three packages, found where they are installed, never imported or run.

What comes in: the running interpreter's installed packages. What goes out: a :class:`Sources` of paths, with version,
licence and date for the rows. Importing ``sc_data`` would start a download, so only its files are touched.
"""

from __future__ import annotations

import importlib.metadata
from dataclasses import dataclass
from pathlib import Path

from stepsize.errors import UsageError

MOTO_OBSERVED = {"5.2.5": "2026-10-27"}
"""The day moto's DescribeInstanceTypes answers were recorded: they hold no date, so each version's is noted here."""


@dataclass(frozen=True, slots=True)
class Source:
    """A file of a package. ``observed_at`` is the date of its figures, empty where the file itself holds dates."""

    name: str
    path: Path
    licence: str
    observed_at: str = ""


@dataclass(frozen=True, slots=True)
class Sources:
    """The three files the catalogue is built from; ``sparecores`` is None in a build without share-alike data."""

    sparecores: Source | None
    moto: Source
    libcloud: Source


def _installed(package: str, file: str) -> tuple[str, Path]:
    try:
        distribution = importlib.metadata.distribution(package)
    except importlib.metadata.PackageNotFoundError:
        raise UsageError(f"{package} is not installed: pip install 'stepsize[catalog]'") from None
    path = Path(str(distribution.locate_file(file)))
    if not path.is_file():
        raise UsageError(f"{package} {distribution.version} holds no {file}: pip install 'stepsize[catalog]'")
    return distribution.version, path


def find(*, share_alike: bool = True) -> Sources:
    """The installed sources; without ``share_alike`` only those under Apache-2.0.

    Raises:
        UsageError: a package is missing, or its version is one whose date is not known.
    """
    moto_version, moto = _installed("moto", "moto/ec2/resources/instance_types.json.gz")
    libcloud_version, libcloud = _installed("apache-libcloud", "libcloud/data/pricing.json")
    if moto_version not in MOTO_OBSERVED:
        known = ", ".join(MOTO_OBSERVED)
        raise UsageError(f"moto {moto_version} has no date in sources.py: install moto {known}, or add its date there")
    sparecores = None
    if share_alike:
        version, path = _installed("sparecores-data", "sc_data/data/sc-data-priceless.db")
        sparecores = Source(f"sparecores-data {version}", path, "CC-BY-SA-4.0")
    return Sources(
        sparecores=sparecores,
        moto=Source(f"moto {moto_version}", moto, "Apache-2.0", MOTO_OBSERVED[moto_version]),
        libcloud=Source(f"apache-libcloud {libcloud_version}", libcloud, "Apache-2.0"),
    )
