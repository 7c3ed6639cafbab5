"""What stepsize-autostart costs a program that is not tracked: ``python benchmarks/autostart.py [--rounds 200]``.

Starts an interpreter that does nothing in an environment with and without the start-up file, in turn, so that a drift
of the machine meets both alike, and prints medians of their CPU time and of the differences: other work on the machine
does not count. What the file itself costs is below the noise of a start, so it is also timed inside an interpreter, as
the site module runs it. The entry point of PEP 829 (Python 3.15) imports one module and calls it: timed in a fresh
interpreter for each round, once its resolver has been used (which imports ``re``). Last, what a tracked program pays
until its first line, its end included. Loopback only.
"""

from __future__ import annotations

import argparse
import compileall
import os
import platform
import statistics
import subprocess
import sys
import sysconfig
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from benchmarks.environment import clean_environment

ROOT = Path(__file__).resolve().parent.parent
LINE = """
import sys, time
with open({path!r}) as file: line = file.read()
exec(line)
begun = time.process_time_ns()
for _ in range(1000): exec(line)
print((time.process_time_ns() - begun) / 1000)
"""
ENTRY = """
import pkgutil, time
pkgutil.resolve_name("os:getcwd")()
begun = time.process_time_ns()
pkgutil.resolve_name("stepsize_autostart:start")()
print(time.process_time_ns() - begun)
"""


def main() -> None:
    """Run the rounds and print the table as Markdown."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=200)
    rounds = parser.parse_args().rounds
    with tempfile.TemporaryDirectory(prefix="ss-", ignore_cleanup_errors=True) as name:
        directory = Path(name)
        # That variable would have every start compile us anew.
        environment = clean_environment(directory, 2, "PYTHONDONTWRITEBYTECODE")
        plain, equipped = _interpreter(directory / "plain"), _interpreter(directory / "equipped")
        site = _site(equipped)
        _install(site)
        starts: dict[str, list[float]] = {"without": [], "with": [], "with, tracked": []}
        for _ in range(rounds):
            starts["without"].append(_start_ms(plain, environment))
            starts["with"].append(_start_ms(equipped, environment))
        for _ in range(max(5, rounds // 10)):
            starts["with, tracked"].append(_start_ms(equipped, {**environment, "STEPSIZE_AUTOSTART": "1"}))
        line = [
            _number(equipped, LINE.format(path=str(site / "stepsize_autostart.pth")), environment) for _ in range(9)
        ]
        bare = _interpreter(directory / "bare", others=False)
        _install(_site(bare))
        entry = [_number(bare, ENTRY, environment) for _ in range(max(9, rounds // 10))]
    differences = [one - other for one, other in zip(starts["with"], starts["without"], strict=True)]
    print(f"{platform.platform()}, {os.cpu_count()} CPUs, Python {platform.python_version()}, {rounds} rounds\n")
    print("| | median | 10th … 90th percentile |\n| --- | --- | --- |")
    for what, values in starts.items():
        print(f"| CPU time of an interpreter's start, {what} | {_spread(values, 'ms')} |")
    print(f"| difference of neighbouring starts, not tracked | {_spread(differences, 'ms')} |")
    print(f"| the line of the `.pth` file, not tracked | {_spread([value / 1000 for value in line], 'µs')} |")
    print(f"| the entry point of the `.start` file, not tracked | {_spread([value / 1000 for value in entry], 'µs')} |")


def _interpreter(venv: Path, *, others: bool = True) -> str:
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", venv], check=True)
    if others:  # the same packages for all, by the same kind of file
        (_site(str(venv / "bin/python")) / "others.pth").write_text(
            f"{ROOT / 'src'}\n{sysconfig.get_path('purelib')}\n"
        )
    return str(venv / "bin/python")


def _site(python: str) -> Path:
    return next(Path(python).parents[1].glob("lib/python*/site-packages"))


def _install(site: Path) -> None:
    for source in sorted((ROOT / "autostart").glob("stepsize_autostart.*")):
        (site / source.name).write_bytes(source.read_bytes())
    compileall.compile_dir(site, quiet=1)  # as pip does


def _start_ms(python: str, environment: dict[str, str]) -> float:
    pid = os.posix_spawn(python, [python, "-c", "pass"], environment)
    _, status, used = os.wait4(pid, 0)
    if status:
        raise RuntimeError(f"{python} ended with {status}")
    return (used.ru_utime + used.ru_stime) * 1000


def _number(python: str, script: str, environment: dict[str, str]) -> float:
    done = subprocess.run([python, "-c", script], env=environment, check=True, capture_output=True, text=True)
    return float(done.stdout)


def _spread(values: list[float], unit: str) -> str:
    tenths = statistics.quantiles(values, n=10)
    return f"{statistics.median(values):.2f} {unit} | {tenths[0]:.2f} … {tenths[-1]:.2f} {unit}"


if __name__ == "__main__":
    main()
