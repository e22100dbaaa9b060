"""What is stored beside values for people holds no secret, and explaining a miss shows none."""

from __future__ import annotations

import json

PROGRAM = """\
import os
from blockcache import cached_block

password = "hunter2hunter2"
case = "CASE-77"
n = 3

def connect(url="postgres://ada:pw1pw1@h/db"):
    api_token = "zz-token-zz"
    return (len(url) + len(api_token)) * n

with cached_block("a") as block:
    secret = password * 2
    out = connect() + len("key AKIAIOSFODNN7EXAMPLE") + len(case)
print(block.explain())
"""
SECRETS = ("hunter2", "CASE-77", "pw1pw1", "zz-token-zz", "AKIAIOSFODNN7EXAMPLE")


def test_neither_the_store_nor_an_explanation_tells_a_secret(project):
    """Not in manifests, source texts, lines, trees or events; the values themselves are given back as they were."""
    (project.folder / "pyproject.toml").write_text("[tool.blockcache]\nredact = ['CASE-[0-9]+']\n")
    project.write(main=PROGRAM)
    project.run()
    project.write(main=PROGRAM.replace("* n", "* (n + 1)").replace("hunter2hunter2", "hunter2").replace("77", "78"))
    ran = project.run()
    assert ran.outcomes == ["miss"]
    shown = ran.stdout + ran.stderr + json.dumps(ran.events)
    texts = [p.read_bytes() for p in (project.folder / ".blockcache").rglob("*") if p.is_file()]
    kept = b"".join(text for text in texts if text.lstrip().startswith(b"{")).decode()
    assert "[redacted]" in shown and "[redacted]" in kept and "definition connect" in kept
    for secret in SECRETS:
        assert secret not in shown and secret not in kept, secret
    assert (
        "  ~ password  str  changed" in ran.stdout and "+    return (len(url) + len(api_token)) * (n + 1)" in ran.stdout
    )
