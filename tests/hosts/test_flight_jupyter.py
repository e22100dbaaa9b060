"""A real Jupyter kernel waits for another run, and is interrupted."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from jupyter_client.manager import start_new_kernel

CELL = """
from blockcache import cached_block
import os, time
pause = {}
with cached_block("slow", ignore=["pause"]) as block:
    os.close(os.open("ran.txt", os.O_CREAT | os.O_WRONLY))
    time.sleep(pause)
    x = 5
"""


def test_a_kernel_that_waits_can_be_interrupted(tmp_path: Path) -> None:
    """It says for whom it waits while it does; interrupted, it has waited for nothing and runs the next cell."""
    (tmp_path / "pyproject.toml").write_text("[project]\nname = 'probe'\nversion = '0'\n")
    (tmp_path / "main.py").write_text(CELL.format(600))
    environment = {k: v for k, v in os.environ.items() if not k.startswith(("BLOCKCACHE_", "COV"))}
    owner = subprocess.Popen([sys.executable, "main.py"], cwd=tmp_path, env=environment)
    manager, client = start_new_kernel(kernel_name="python3", cwd=str(tmp_path), env=environment)
    try:
        while not (tmp_path / "ran.txt").exists():
            assert owner.poll() is None
        request = client.execute(CELL.format(0), stop_on_error=False)
        said, error = "", ""
        while not error:
            message = client.get_iopub_msg(timeout=60)
            if message["parent_header"].get("msg_id") != request:
                continue
            if message["msg_type"] == "stream":
                said += message["content"]["text"]
                assert said.startswith(f"slow  waits  for pid {owner.pid} on "), said
                manager.interrupt_kernel()
            elif message["msg_type"] == "error":
                error = message["content"]["ename"]
        assert error == "KeyboardInterrupt" and len(os.listdir(tmp_path / ".blockcache" / "leases")) == 1
        owner.kill()
        owner.wait()
        last = CELL.format(0) + "assert x == 5 and block.hit is False"
        told: list[str] = []
        reply = client.execute_interactive(last, timeout=60, output_hook=lambda m: told.append(str(m["content"])))
        assert reply["content"]["status"] == "ok", told
        assert os.listdir(tmp_path / ".blockcache" / "leases") == [], told
    finally:
        owner.kill()
        owner.wait()
        client.stop_channels()
        manager.shutdown_kernel(now=True)
