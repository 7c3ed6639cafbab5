"""A headless Chromium, driven through its DevTools protocol over two pipes: no port, no driver, no package.

What comes in: files to open, expressions to evaluate. What goes out: their values and pictures. Starts one browser with
a profile of its own below a given directory, and ends it. Messages are JSON, parted by NUL
(https://chromedevtools.github.io/devtools-protocol/, ``--remote-debugging-pipe``).
"""

from __future__ import annotations

import base64
import contextlib
import fcntl
import json
import os
import select
import shutil
import subprocess
import time
from pathlib import Path
from typing import Any

NAMES = ("chromium", "chromium-browser", "google-chrome-stable", "google-chrome", "chrome")
_OPTIONS = (
    *("--headless=new", "--remote-debugging-pipe", "--no-sandbox", "--disable-gpu", "--hide-scrollbars"),
    *("--disable-dev-shm-usage", "--no-first-run", "--disable-extensions", "--disable-background-networking"),
    *("--disable-component-update", "--force-color-profile=srgb", "--font-render-hinting=none"),
)
_PATIENCE_S = 30.0


def installed() -> str | None:
    """The browser to run; None where there is none."""
    return next((found for name in NAMES if (found := shutil.which(name))), None)


def _moved(descriptor: int) -> int:
    """The descriptor under a number of two digits."""
    moved = fcntl.fcntl(descriptor, fcntl.F_DUPFD_CLOEXEC, 10)
    os.close(descriptor)
    return moved


class Chromium:
    """One browser with one page.

    Args:
        program: the browser.
        profile: a directory for what it keeps.
    """

    def __init__(self, program: str, profile: Path) -> None:
        to_read, self._write = os.pipe()
        self._read, to_write = os.pipe()
        to_read, to_write = _moved(to_read), _moved(to_write)
        profile.mkdir(parents=True, exist_ok=True)
        # It reads from descriptor 3 and writes to 4, which are neither of these.
        shell = f'exec "$@" 3<&{to_read} 4>&{to_write} {to_read}<&- {to_write}>&-'
        command = ["bash", "-c", shell, "bash", program, *_OPTIONS, f"--user-data-dir={profile}", "about:blank"]
        self._process = subprocess.Popen(
            command,
            pass_fds=(to_read, to_write),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            env={**os.environ, "HOME": str(profile), "XDG_CONFIG_HOME": str(profile), "XDG_CACHE_HOME": str(profile)},
        )
        os.close(to_read)
        os.close(to_write)
        self._pending = b""
        self._number = 0
        self._events: list[dict[str, Any]] = []
        targets = self._call("Target.getTargets", session=None)["targetInfos"]
        page = next(target["targetId"] for target in targets if target["type"] == "page")
        attached = self._call("Target.attachToTarget", session=None, targetId=page, flatten=True)
        self._session: str = attached["sessionId"]
        for domain in ("Page", "Runtime", "Log", "Network"):
            self._call(f"{domain}.enable")

    def close(self) -> None:
        """End the browser."""
        with contextlib.suppress(OSError, AssertionError):
            self._call("Browser.close", session=None)
        try:
            self._process.wait(_PATIENCE_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        os.close(self._write)
        os.close(self._read)

    def open(self, page: Path | str, *, scripts: bool = True) -> None:
        """Load a file or an address and wait until it is laid out; without ``scripts`` none of its own runs."""
        self._load("about:blank")  # what the page before still asked for is none of this one's
        self._call("Emulation.setScriptExecutionDisabled", value=not scripts)
        self._load(page if isinstance(page, str) else page.as_uri())
        self._call("Emulation.setScriptExecutionDisabled", value=False)
        self.evaluate("new Promise(done => requestAnimationFrame(() => requestAnimationFrame(() => done(1))))")

    def _load(self, address: str) -> None:
        self._events.clear()
        self._call("Page.navigate", url=address)
        self._wait("Page.loadEventFired")

    def events(self, *methods: str) -> list[dict[str, Any]]:
        """What the browser has told of these kinds since the page was opened."""
        return [event["params"] for event in self._events if event["method"] in methods]

    def evaluate(self, expression: str) -> Any:
        """The value of JavaScript, awaited; the page's own policy does not hold it back."""
        answer = self.call("Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True)
        assert "exceptionDetails" not in answer, answer["exceptionDetails"]
        return answer["result"].get("value")

    def view(
        self,
        width: int,
        height: int,
        *,
        dark: bool = False,
        media: str = "",
        motion: bool = True,
        forced_colors: bool = False,
    ) -> None:
        """Show the page in a window of this size, in this scheme."""
        self._call(
            "Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=width < 600
        )
        features = [
            {"name": "prefers-color-scheme", "value": "dark" if dark else "light"},
            {"name": "prefers-reduced-motion", "value": "no-preference" if motion else "reduce"},
            {"name": "forced-colors", "value": "active" if forced_colors else "none"},
        ]
        self._call("Emulation.setEmulatedMedia", media=media, features=features)

    def press(self, key: str) -> None:
        """Press a key and let go of it."""
        code = {"Tab": 9, "Enter": 13, " ": 32}[key]
        text = {"Enter": "\r", " ": " "}.get(key, "")
        for kind in ("keyDown", "keyUp"):
            said = {"text": text} if kind == "keyDown" and text else {}
            self._call("Input.dispatchKeyEvent", type=kind, key=key, code=key, windowsVirtualKeyCode=code, **said)

    def picture(self, **options: Any) -> bytes:
        """A PNG of what is shown."""
        return base64.b64decode(self._call("Page.captureScreenshot", format="png", **options)["data"])

    def call(self, method: str, **params: Any) -> dict[str, Any]:
        """Call a method of the protocol on the page."""
        return self._call(method, **params)

    def _call(self, method: str, *, session: str | None = "page", **params: Any) -> dict[str, Any]:
        self._number += 1
        number = self._number
        message: dict[str, Any] = {"id": number, "method": method, "params": params}
        if session is not None:
            message["sessionId"] = self._session
        data = json.dumps(message).encode() + b"\0"
        while data:
            data = data[os.write(self._write, data) :]
        deadline = time.monotonic() + _PATIENCE_S
        while True:
            found = self._next(deadline)
            if found.get("id") == number:
                assert "error" not in found, f"{method}: {found['error']}"
                result: dict[str, Any] = found["result"]
                return result
            if "method" in found:
                self._events.append(found)

    def _wait(self, method: str) -> None:
        deadline = time.monotonic() + _PATIENCE_S
        while not any(event["method"] == method for event in self._events):
            found = self._next(deadline)
            if "method" in found:  # else an answer to what was given up
                self._events.append(found)

    def _next(self, deadline: float) -> dict[str, Any]:
        while b"\0" not in self._pending:
            ready, _, _ = select.select([self._read], [], [], max(0.0, deadline - time.monotonic()))
            assert ready, "the browser does not answer"
            more = os.read(self._read, 1 << 20)
            assert more, "the browser has ended"
            self._pending += more
        message, _, self._pending = self._pending.partition(b"\0")
        found: dict[str, Any] = json.loads(message)
        return found
