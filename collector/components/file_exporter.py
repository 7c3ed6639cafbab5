"""``exporters: file``: appends each request to a file, as JSON lines or length-prefixed protobuf.

Keys and defaults as upstream's fileexporter.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from stepsize.collector.config.language import Section, choice, duration_s, flag, option, required_text, whole


def file_path(value: Any) -> Path:
    """A file's path; ``~`` is the home directory."""
    return Path(required_text(value)).expanduser().absolute()


@dataclass(frozen=True, slots=True)
class RotationConfig:
    """``rotation``: a file that is full is renamed, and how many of these stay."""

    max_megabytes: int = option(whole, default=100, says="a file that is larger is renamed, with the time in its name")
    max_days: int = option(whole, default=0, says="renamed files go after so many days; 0: never")
    max_backups: int = option(whole, default=100, says="so many renamed files stay; 0: all")
    localtime: bool = option(flag, default=False, says="whether names have local time instead of UTC")

    def validate(self) -> None:
        """Refuse what cannot work."""
        if not self.max_megabytes:
            raise ValueError("max_megabytes must be above 0")

    @property
    def max_bytes(self) -> int:
        """Size beyond which a file is renamed."""
        return self.max_megabytes << 20  # lumberjack, which upstream uses, counts in MiB


@dataclass(frozen=True, slots=True)
class FileExporterConfig:
    """Which file, and how."""

    path: Path = option(file_path, says="the file; its directory has to be there, unless `create_directory`")
    append: bool = option(
        flag,
        default=False,
        says="whether what is in it stays at a start; with `rotation` it does, and this is left away",
    )
    rotation: RotationConfig | None = option(Section(RotationConfig), default=None, says="renames what is full")
    format: str = option(
        choice("json", "proto"),
        default="json",
        says="`json`: a line each; `proto`: each after its length, 4 bytes big-endian",
    )
    flush_interval_s: float = option(duration_s, default=1.0, key="flush_interval", says="in the file after so long")
    create_directory: bool = option(flag, default=False, says="whether the directory is made")

    def validate(self) -> None:
        """Refuse what cannot work."""
        if self.flush_interval_s <= 0:
            raise ValueError("flush_interval must be above 0")
        if self.append and self.rotation is not None:
            raise ValueError("append and rotation exclude one another: a file that is rotated is never cut")
