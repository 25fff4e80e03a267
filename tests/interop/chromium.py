"""Chromium without a window, driven by its debugging protocol over a pipe."""

from __future__ import annotations

import contextlib
import itertools
import json
import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from attrs import define, field

from tests.interop.programs import TIMEOUT, find_program, wait_until

_OPTIONS = [
    "--headless",
    "--no-sandbox",  # of processes, which root cannot have; frames have theirs
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--remote-debugging-pipe",
]


# Runs a program that reads commands from descriptor 3, and writes results to descriptor 4.
_WITH_PIPES = """
import fcntl, os, sys
high = [fcntl.fcntl(int(it), fcntl.F_DUPFD, 10) for it in sys.argv[1:3]]
os.dup2(high[0], 3)
os.dup2(high[1], 4)
os.execv(sys.argv[3], sys.argv[3:])
"""


@define(eq=False)
class _Pipe:
    """Sends commands, and reads their results. Events are dropped."""

    _commands: int
    _results: int
    _held: bytearray = field(factory=bytearray, init=False)
    _numbers: Iterator[int] = field(factory=itertools.count, init=False)

    def call(self, method: str, session: str | None = None, **parameters: object) -> Any:
        number = next(self._numbers)
        message: dict[str, object] = {"id": number, "method": method, "params": parameters}
        if session is not None:
            message["sessionId"] = session
        os.write(self._commands, json.dumps(message).encode() + b"\0")
        end = time.monotonic() + TIMEOUT
        while (found := self._message(end)).get("id") != number:
            pass
        assert "error" not in found, (method, found)
        return found["result"]

    def _message(self, end: float) -> dict[str, Any]:
        while b"\0" not in self._held:
            ready, _, _ = select.select([self._results], [], [], max(end - time.monotonic(), 0))
            assert ready, "Chromium does not answer"
            data = os.read(self._results, 65_536)
            assert data, "Chromium has ended"
            self._held += data
        message, _, rest = bytes(self._held).partition(b"\0")
        self._held[:] = rest
        values: dict[str, Any] = json.loads(message)
        return values


@define(eq=False)
class Tab:
    """A page that is open."""

    _pipe: _Pipe
    _session: str

    def call(self, method: str, **parameters: object) -> Any:
        """Call a method of the debugging protocol for this page."""
        return self._pipe.call(method, self._session, **parameters)

    def go(self, url: str) -> None:
        """Go to *url*, and wait until it is loaded.

        A script that sets the location would itself be cut off by the navigation, now and then.
        """
        found = self.call("Page.navigate", url=url)
        assert "errorText" not in found, (url, found["errorText"])
        self.wait_for("document.readyState === 'complete'")

    def run(self, script: str) -> Any:
        """Return the value of *script* in the page, which may be a promise."""
        found = self.call(
            "Runtime.evaluate",
            expression=script,
            awaitPromise=True,
            returnByValue=True,
            userGesture=True,
        )
        assert "exceptionDetails" not in found, (script, found["exceptionDetails"])
        return found["result"].get("value")

    def wait_for(self, script: str) -> None:
        """Wait until *script* is true."""
        wait_until(script, lambda: self.run(f"Boolean({script})") or None)

    def click(self, selector: str) -> None:
        """Click on an element, once it is there and can be seen."""
        element = f"document.querySelector({json.dumps(selector)})"
        self.wait_for(f"{element}?.checkVisibility() && !{element}.disabled")
        self.run(f"{element}.click()")

    def press(self, *keys: str) -> None:
        """Press keys, one after the other."""
        for key in keys:
            text = (
                {"text": "\r" if key == "Enter" else key} if len(key) == 1 or key == "Enter" else {}
            )
            self.call("Input.dispatchKeyEvent", type="keyDown", key=key, **text)
            self.call("Input.dispatchKeyEvent", type="keyUp", key=key)


@define(eq=False)
class Browser:
    """A browser that runs."""

    _pipe: _Pipe

    def open(self, url: str) -> Tab:
        """Open a tab at *url*."""
        target = self._pipe.call("Target.createTarget", url="about:blank")["targetId"]
        found = self._pipe.call("Target.attachToTarget", targetId=target, flatten=True)
        tab = Tab(self._pipe, found["sessionId"])
        tab.go(url)
        return tab

    def download_to(self, directory: Path) -> None:
        """Store downloads there."""
        self._pipe.call(
            "Browser.setDownloadBehavior", behavior="allow", downloadPath=str(directory)
        )


@contextlib.contextmanager
def chromium(directory: Path) -> Iterator[Browser]:
    """Run Chromium until the block ends, with its files in *directory*."""
    ours, theirs = os.pipe(), os.pipe()  # what it reads, and what it writes
    command = [find_program("chromium"), *_OPTIONS, f"--user-data-dir={directory / 'profile'}"]
    pipes = [str(ours[0]), str(theirs[1])]
    with (directory / "chromium.log").open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, "-c", _WITH_PIPES, *pipes, *command],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            pass_fds=(ours[0], theirs[1]),
            start_new_session=True,
            env=os.environ | {"HOME": str(directory)},
        )
    os.close(ours[0])
    os.close(theirs[1])
    try:
        yield Browser(_Pipe(ours[1], theirs[0]))
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)  # all processes of its session
        process.wait(TIMEOUT)
        os.close(ours[1])
        os.close(theirs[0])
