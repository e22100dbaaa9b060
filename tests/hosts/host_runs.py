"""One program in every host: as a script, in a Jupyter kernel, and in marimo as a script, exported, edited and run.

Each run is a real host in processes of its own. What the program found is read from a file that it writes.
"""

from __future__ import annotations

import json
import os
import re
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import nbformat
from jupyter_client.kernelspec import KernelSpec
from jupyter_client.manager import AsyncKernelManager
from nbclient import NotebookClient
from websockets.sync.client import ClientConnection, connect

PATIENCE_S = 120


def environment(folder: Path) -> dict[str, str]:
    """Variables of a run: the reader's own settings away, results and events beside the project."""
    variables = {
        k: v for k, v in os.environ.items() if not k.startswith(("BLOCKCACHE_", "COV", "JPY_", "MARIMO_", "MPLBACKEND"))
    }
    variables |= {
        "BLOCKCACHE_LOG": str(events_file(folder)),
        "RESULTS": str(results_file(folder)),
        "IPYTHONDIR": str(folder.parent / "ipython"),
        # Threads that wait busily for each other make a fit ten times slower when other tests run beside it.
        "OMP_NUM_THREADS": "1",
        "PYTHONDONTWRITEBYTECODE": "1",
    }
    if "PYTHONPATH" in variables:
        variables["PYTHONPATH"] = os.pathsep.join(map(os.path.abspath, variables["PYTHONPATH"].split(os.pathsep)))
    return variables


def events_file(folder: Path) -> Path:
    return folder.parent / "events.jsonl"


def results_file(folder: Path) -> Path:
    return folder.parent / "results.json"


def take_results(folder: Path) -> dict[str, Any]:
    """What the program wrote in its last run."""
    text = results_file(folder).read_text()
    results_file(folder).unlink()
    return json.loads(text)


def take_outcomes(folder: Path) -> list[tuple[str, str]]:
    """Name and outcome of every block that finished since the last call, in order."""
    path = events_file(folder)
    lines = path.read_text().splitlines() if path.exists() else []
    path.unlink(missing_ok=True)
    for event in map(json.loads, lines):
        assert not event.get("problem"), event
    return [(event["name"], event["outcome"]) for event in map(json.loads, lines)]


def execute(folder: Path, *command: str) -> subprocess.CompletedProcess[str]:
    """Run Python with these arguments in the folder; it must succeed."""
    done = subprocess.run(
        [sys.executable, *command],
        cwd=folder,
        env=environment(folder),
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
    )
    assert done.returncode == 0, f"{command} failed:\n{done.stdout}\n{done.stderr}"
    return done


# -- one program in each form --------------------------------------------------------------


def write_forms(folder: Path, cells: list[str]) -> None:
    """The cells as ``program.py``, ``program.ipynb`` and, converted by marimo itself, ``notebook.py``."""
    (folder / "program.py").write_text("\n\n".join(cells))
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(cell) for cell in cells])
    nbformat.write(notebook, folder / "program.ipynb")
    execute(folder, "-m", "marimo", "-q", "-y", "convert", "program.ipynb", "-o", "notebook.py")


def run_script(folder: Path) -> None:
    execute(folder, "program.py")


def run_jupyter(folder: Path) -> None:
    notebook = nbformat.read(folder / "program.ipynb", as_version=4)
    with kernel(folder, notebook) as run_cell:
        for index in range(len(notebook.cells)):
            run_cell(index)


def run_marimo_script(folder: Path) -> None:
    execute(folder, "notebook.py")


def run_marimo_export(folder: Path) -> None:
    execute(folder, "-m", "marimo", "-q", "export", "html", "notebook.py", "-o", "../notebook.html", "-f")


def run_marimo_edit(folder: Path) -> None:
    with MarimoServer(folder, "edit") as server:
        server.run_all()


def run_marimo_app(folder: Path) -> None:
    with MarimoServer(folder, "run") as server:
        server.run_all()


HOSTS: dict[str, Callable[[Path], None]] = {
    "script": run_script,
    "Jupyter": run_jupyter,
    "marimo script": run_marimo_script,
    "marimo export": run_marimo_export,
    "marimo edit": run_marimo_edit,
    "marimo run": run_marimo_app,
}


# -- Jupyter -------------------------------------------------------------------------------


@contextmanager
def kernel(folder: Path, notebook: Any) -> Iterator[Callable[[int], Any]]:
    """A fresh kernel of this interpreter, in the folder; the function that it gives runs the cell at an index."""
    manager = AsyncKernelManager(connection_file=str(folder.parent / "kernel.json"))
    # Not the kernel that is installed as "python3" on this machine: it may be another Python.
    manager._kernel_spec = KernelSpec(
        argv=[sys.executable, "-m", "ipykernel_launcher", "-f", "{connection_file}"], language="python"
    )
    client = NotebookClient(notebook, km=manager, timeout=PATIENCE_S, resources={"metadata": {"path": str(folder)}})
    with client.setup_kernel(env=environment(folder)):
        yield lambda index: client.execute_cell(notebook.cells[index], index)


# -- marimo --------------------------------------------------------------------------------


class MarimoServer:
    """``marimo edit`` or ``marimo run`` on a notebook of the folder, with us in the place of the browser's page."""

    def __init__(
        self, folder: Path, mode: str, notebook: str = "notebook.py", *, real_page: bool = False, query: str = ""
    ) -> None:
        self.folder = folder
        self.mode = mode
        self.query = query  # of the page's address
        self.real_page = real_page  # somebody else opens it
        self.notebook = notebook
        self.cell_ids: list[str] = []
        self.codes: list[str] = []
        self.outputs: dict[str, dict[str, Any]] = {}  # of the last run
        self.shown: dict[str, dict[str, Any]] = {}
        self.socket: ClientConnection

    def __enter__(self) -> MarimoServer:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        self.address = f"127.0.0.1:{port}"
        options = ["--headless", "--no-token", "--no-skew-protection", "--host", "127.0.0.1", "--port", str(port)]
        self.said = (self.folder.parent / "server.txt").open("w+")
        self.process = subprocess.Popen(
            [sys.executable, "-m", "marimo", "-q", self.mode, self.notebook, *options],
            cwd=self.folder,
            env=environment(self.folder),
            stdin=subprocess.DEVNULL,
            stdout=self.said,
            stderr=subprocess.STDOUT,
        )
        try:
            self._wait_until_up()
            self.connected = ExitStack()
            if self.real_page:
                return self
            page = connect(f"ws://{self.address}/ws?session_id=s_test{self.query}", max_size=None)
            self.socket = self.connected.enter_context(page)
        except BaseException:
            self._stop()
            raise
        return self

    def __exit__(self, *exc: object) -> None:
        if self.mode == "edit" and not self.real_page:  # ends the kernel's process too; in run mode kernels are threads
            self._post("/api/kernel/shutdown", {})
        self.connected.close()
        self._stop()

    def _stop(self) -> None:
        try:
            self.process.wait(5 if self.mode == "edit" and not self.real_page else 0)
        except subprocess.TimeoutExpired:
            self.process.terminate()
            self.process.wait(PATIENCE_S)
        self.said.close()

    def _wait_until_up(self) -> None:
        end = time.monotonic() + PATIENCE_S
        while True:
            try:
                urllib.request.urlopen(f"http://{self.address}/health").close()
                return
            except OSError:
                if self.process.poll() is not None or time.monotonic() > end:
                    self.said.seek(0)
                    raise AssertionError(f"marimo did not start:\n{self.said.read()}") from None
                time.sleep(0.05)

    def _post(self, path: str, body: dict[str, Any]) -> None:
        headers = {"Content-Type": "application/json", "Marimo-Session-Id": "s_test"}
        request = urllib.request.Request(f"http://{self.address}{path}", json.dumps(body).encode(), headers)
        urllib.request.urlopen(request, timeout=PATIENCE_S).close()

    def run_all(self) -> None:
        """Open the notebook, which runs every cell."""
        for message in self._messages():
            if message["op"] == "kernel-ready":
                self.cell_ids, self.codes = message["cell_ids"], message["codes"]
                if self.mode == "edit":  # in run mode the server does it
                    self._post("/api/kernel/instantiate", {"objectIds": [], "values": [], "autoRun": True})
        self._check()

    def run_cells(self, codes: dict[int, str]) -> None:
        """Run cells as the page does when a person has edited them; marimo runs what depends on them too."""
        self.outputs.clear()
        ids = [self.cell_ids[index] for index in codes]
        self._post("/api/kernel/run", {"cellIds": ids, "codes": list(codes.values())})
        for _ in self._messages():
            pass
        self._check()

    def set_element(self, text: str, value: object) -> None:
        """Change the element that is the output of the cell with ``text`` in it; marimo runs what depends on it."""
        (index,) = [i for i, code in enumerate(self.codes) if re.search(rf"^{text}$", code, re.MULTILINE)]
        shown = json.dumps(self.shown[self.cell_ids[index]])
        element = re.search(r"object-id=\W*([\w-]+)", shown)
        assert element is not None, shown
        self.outputs.clear()
        self._post("/api/kernel/set_ui_element_value", {"objectIds": [element[1]], "values": [value]})
        for _ in self._messages():
            pass
        self._check()

    def _messages(self) -> Iterator[dict[str, Any]]:
        """What the kernel tells the page, until a run is complete."""
        while True:
            message = json.loads(self.socket.recv(timeout=PATIENCE_S))["data"]
            yield message
            if message["op"] == "cell-op" and message.get("output"):
                self.outputs[message["cell_id"]] = self.shown[message["cell_id"]] = message["output"]
            if message["op"] == "completed-run":
                return

    def _check(self) -> None:
        errors = [output for output in self.outputs.values() if output["channel"] == "marimo-error"]
        assert not errors, errors
