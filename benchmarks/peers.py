"""The peers that benchmarks measure beside us, each installed once into an environment of its own.

What comes in: a name. What goes out: the interpreter of an environment that holds that peer, at the version that the
figures are quoted for. Downloads from PyPI on first use, so benchmarks use it and tests never do.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

_TRACKER = ("resource-tracker==0.5.0", "psutil>=5.9", "pynvml>=12")
PEERS = {"resource-tracker": _TRACKER, "resource-tracker, Metaflow": (*_TRACKER, "metaflow>=2.19,<2.20")}
"""What each peer's environment is made of."""
_ROOT = Path(__file__).resolve().parent.parent / ".peers"


def interpreter(peer: str) -> Path:
    """The Python of the peer's environment, which is made where it is missing.

    Raises:
        KeyError: no such peer.
        subprocess.CalledProcessError: it cannot be installed.
    """
    requirements = PEERS[peer]
    python = _ROOT / peer / "bin" / "python"
    complete = _ROOT / peer / ".installed"
    if not complete.exists() or complete.read_text() != "\n".join(requirements):
        subprocess.run([sys.executable, "-m", "venv", "--clear", _ROOT / peer], check=True)
        pip = [python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
        subprocess.run([*pip, *requirements], check=True)
        complete.write_text("\n".join(requirements))
    return python
