"""A real browser without a window, driven over its debugging protocol: pages are opened, looked at, clicked and typed into."""

from __future__ import annotations

import base64
import json
import os
import shutil
import subprocess
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from websockets.sync.client import ClientConnection, connect

PATIENCE_S = 60
NAMES = ("chromium", "chromium-browser", "google-chrome")
FOUND = next((path for name in NAMES if (path := shutil.which(name))), None)

needs_browser = pytest.mark.skipif(FOUND is None, reason="no chromium on this machine (apt-get install chromium)")

#: Looks through shadow roots too: what marimo draws is made of web components.
_FIND = """
function* everywhere(root) {
  for (const node of root.querySelectorAll('*')) {
    yield node;
    if (node.shadowRoot) yield* everywhere(node.shadowRoot);
  }
}
function find(selector) {
  for (const node of everywhere(document)) if (node.matches(selector)) return node;
  return null;
}
function texts(root) {
  let found = '';
  for (const node of root.childNodes) {
    if (node.nodeType === 3) found += node.textContent;
    else if (node.nodeType === 1 && !['STYLE', 'SCRIPT'].includes(node.tagName)) found += texts(node.shadowRoot || node) + '\\n';
  }
  return found;
}
const said = () => texts(document.body).replace(/\\s+/g, ' ');
"""


class Browser:
    """One page of a browser that starts when the ``with`` statement is entered and ends with it."""

    def __init__(self, width: int = 1200, height: int = 1600) -> None:
        self._size = width, height
        self._number = 0
        self._socket: ClientConnection

    def __enter__(self) -> Browser:
        assert FOUND is not None
        self._profile = tempfile.TemporaryDirectory(ignore_cleanup_errors=True)
        flags = [
            "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run",
            "--remote-debugging-port=0", "--hide-scrollbars", f"--user-data-dir={self._profile.name}",
            f"--window-size={self._size[0]},{self._size[1]}", "about:blank",
        ]  # fmt: skip
        self._process = subprocess.Popen([FOUND, *flags], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            port, path = self._endpoint()
            self._connected = ExitStack()
            self._socket = self._connected.enter_context(connect(f"ws://127.0.0.1:{port}{path}", max_size=None))
            targets = self._call("Target.getTargets")["targetInfos"]
            page = next(target for target in targets if target["type"] == "page")
            attached = self._call("Target.attachToTarget", targetId=page["targetId"], flatten=True)
            self._session = attached["sessionId"]
        except BaseException:
            self._end()
            raise
        return self

    def __exit__(self, *exc: object) -> None:
        self._connected.close()
        self._end()

    def _end(self) -> None:
        self._process.terminate()
        try:
            self._process.wait(10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._profile.cleanup()

    def _endpoint(self) -> tuple[str, str]:
        file = Path(self._profile.name) / "DevToolsActivePort"
        end = time.monotonic() + PATIENCE_S
        while True:
            lines = file.read_text().splitlines() if file.exists() else []
            if len(lines) == 2:
                return lines[0], lines[1]
            assert self._process.poll() is None and time.monotonic() < end, "the browser did not start"
            time.sleep(0.05)

    def _call(self, method: str, **parameters: Any) -> Any:
        self._number += 1
        message = {"id": self._number, "method": method, "params": parameters}
        if hasattr(self, "_session"):
            message["sessionId"] = self._session
        self._socket.send(json.dumps(message))
        while True:
            answer = json.loads(self._socket.recv(timeout=PATIENCE_S))
            if answer.get("id") == self._number:
                assert "error" not in answer, answer["error"]
                return answer["result"]

    # -- what a person does ----------------------------------------------------------------

    def open(self, address: str) -> None:
        """Go to a page."""
        self._call("Page.navigate", url=address)

    def ask(self, expression: str) -> Any:
        """The value of an expression of the page; ``find(selector)`` and ``said()``, all text, look into web components."""
        code = f"(() => {{ {_FIND} return {expression}; }})()"
        found = self._call("Runtime.evaluate", expression=code, returnByValue=True)
        assert "exceptionDetails" not in found, found["exceptionDetails"]
        return found["result"].get("value")

    def wait(self, expression: str, *, patience_s: float = PATIENCE_S) -> Any:
        """The first true value of an expression of the page."""
        end = time.monotonic() + patience_s
        while True:
            try:
                value = self.ask(f"(found => found instanceof Node || found)({expression})")
            except AssertionError:  # while a page is loading it has no body
                value = None
            if value:
                return value
            if time.monotonic() > end:
                self.picture("failed")
                raise AssertionError(f"not within {patience_s} s: {expression}\n{self.text()[-3000:]}")
            time.sleep(0.1)

    def text(self) -> str:
        """Everything that the page says."""
        return str(self.ask("said()"))

    def press(self, selector: str, key: str, times: int = 1) -> None:
        """Focus an element and press a key."""
        self.wait(f"find({json.dumps(selector)})")
        self.ask(f"find({json.dumps(selector)}).focus()")
        for _ in range(times):
            for kind in ("keyDown", "keyUp"):
                self._call("Input.dispatchKeyEvent", type=kind, key=key, code=key, windowsVirtualKeyCode=_CODES[key])

    def click(self, selector: str) -> None:
        """Click the middle of an element."""
        box = self.wait(
            f"(node => {{ node.scrollIntoView({{block: 'center'}}); const b = node.getBoundingClientRect();"
            f" return [b.x + b.width / 2, b.y + b.height / 2]; }})(find({json.dumps(selector)}))"
        )
        for kind in ("mousePressed", "mouseReleased"):
            self._call("Input.dispatchMouseEvent", type=kind, x=box[0], y=box[1], button="left", clickCount=1)

    def picture(self, name: str) -> None:
        """A screenshot, for who sets ``SCREENSHOTS`` to a folder outside of the repository and looks at it."""
        folder = os.environ.get("SCREENSHOTS")
        if folder:
            data = self._call("Page.captureScreenshot", format="png")["data"]
            (Path(folder) / f"{name}.png").write_bytes(base64.b64decode(data))


_CODES = {"ArrowLeft": 37, "ArrowRight": 39, "Enter": 13, "Escape": 27, "Home": 36, "End": 35}
