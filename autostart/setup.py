"""Puts the start-up files at the top of the wheel, beside the module: setuptools has no setting for that."""

from pathlib import Path

from setuptools import setup
from setuptools.command.build_py import build_py

STARTUP_FILES = ("stepsize_autostart.pth", "stepsize_autostart.start")


class BuildWithStartupFiles(build_py):
    """Builds the module and what has it called."""

    def run(self) -> None:
        """Copy the files beside the built module."""
        super().run()
        for name in STARTUP_FILES:
            self.copy_file(name, str(Path(self.build_lib, name)))

    def get_outputs(self, include_bytecode: bool = True) -> list[str]:
        """What is built, for the wheel's record."""
        return [*super().get_outputs(include_bytecode), *(str(Path(self.build_lib, name)) for name in STARTUP_FILES)]


setup(cmdclass={"build_py": BuildWithStartupFiles})
