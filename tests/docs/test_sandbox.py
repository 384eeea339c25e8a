"""The sandbox page, followed as it stands: its command is run, and its example trades on it."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from tests.docs.pages import ROOT, blocks, console_commands

PAGE = ROOT / "docs" / "sandbox.md"
READY_S = 180.0

pytestmark = pytest.mark.timeout(400)


def free_port() -> int:
    with socket.socket() as made:
        made.bind(("127.0.0.1", 0))
        port: int = made.getsockname()[1]
        return port


def test_example_trades_on_the_sandbox(tmp_path: Path) -> None:
    words = console_commands(PAGE)[0]
    port = free_port()
    home = tmp_path / "home"
    environment = {**os.environ, "ZOMS_HOME": os.fspath(home), "PYTHONPATH": os.fspath(ROOT)}
    serving = subprocess.Popen(
        [sys.executable, "-m", "oms.cli", *words[1:], "--port", str(port), "--speed", "4"],
        stdout=subprocess.PIPE,
        text=True,
        cwd=ROOT,
        env=environment,
    )
    try:
        assert serving.stdout is not None
        printed: list[str] = []
        while not printed or "Ctrl-C" not in printed[-1]:
            printed.append(serving.stdout.readline())
            assert printed[-1], printed
        example = blocks(PAGE, "python")[0]
        assert "PORT = 8443" in example
        example = example.replace("PORT = 8443", f"PORT = {port}")
        example = example.replace("~/.zoms", os.fspath(home))
        done = subprocess.run(
            [sys.executable, "-c", example],
            capture_output=True,
            text=True,
            check=False,
            cwd=ROOT,
            env=environment,
            timeout=READY_S,
        )
        assert done.returncode == 0, done.stderr
        lines = done.stdout.splitlines()
        assert lines[0].startswith("best bid 618")
        assert lines[1].startswith("closed 0.01 at 618")
        assert lines[2] == "positions []"
    finally:
        serving.send_signal(signal.SIGINT)
        assert serving.wait(30) == 0
        if serving.stdout is not None:
            serving.stdout.close()


def test_second_example_runs(tmp_path: Path) -> None:
    example = blocks(PAGE, "python")[1] + "\nimport asyncio\n\nasyncio.run(try_it())\n"
    environment = {**os.environ, "ZOMS_HOME": os.fspath(tmp_path), "PYTHONPATH": os.fspath(ROOT)}
    done = subprocess.run(
        [sys.executable, "-c", example],
        capture_output=True,
        text=True,
        check=False,
        cwd=ROOT,
        env=environment,
        timeout=READY_S,
    )
    assert done.returncode == 0, done.stderr
