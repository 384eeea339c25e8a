"""The pages of the sandbox and the kill switch, followed as they stand: commands are run, the example trades."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from gateways.sandbox.server import credentials_of
from tests.docs.pages import ROOT, blocks, console_commands

PAGE = ROOT / "docs" / "sandbox.md"
READY_S = 180.0

pytestmark = pytest.mark.timeout(400)


def free_port() -> int:
    with socket.socket() as made:
        made.bind(("127.0.0.1", 0))
        port: int = made.getsockname()[1]
        return port


def run(words: list[str], environment: dict[str, str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, *words],
        capture_output=True,
        text=True,
        check=False,
        cwd=ROOT,
        env=environment,
        timeout=READY_S,
    )


@contextmanager
def served(home: Path) -> Iterator[tuple[int, dict[str, str]]]:
    """The page's sandbox, on a free port and faster: its port, and the environment of its clients."""
    words = console_commands(PAGE)[0]
    port = free_port()
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
        yield port, environment
    finally:
        serving.send_signal(signal.SIGINT)
        assert serving.wait(30) == 0
        if serving.stdout is not None:
            serving.stdout.close()


def example_for(port: int, home: Path) -> str:
    """The page's example, for a sandbox elsewhere."""
    example = blocks(PAGE, "python")[0]
    assert "PORT = 8443" in example
    return example.replace("PORT = 8443", f"PORT = {port}").replace("~/.zoms", os.fspath(home))


def test_example_trades_and_the_kill_switch_ends_what_it_leaves(tmp_path: Path) -> None:
    with served(tmp_path) as (port, environment):
        example = example_for(port, tmp_path)
        done = run(["-c", example], environment)
        assert done.returncode == 0, done.stderr
        lines = done.stdout.splitlines()
        assert lines[0].startswith("best bid 618")
        assert lines[1].startswith("closed 0.01 at 618")
        assert lines[2] == "positions []"

        resting = "        await exchange.create_order('BTC/USDT:USDT', 'limit', 'buy', 0.01, 60000)\n    finally:"
        assert example.count("    finally:") == 1
        done = run(["-c", example.replace("    finally:", resting)], environment)
        assert done.returncode == 0, done.stderr
        login = credentials_of(0)
        environment |= {"ZOMS_BINANCE_USDM_KEY": login.key, "ZOMS_BINANCE_USDM_SECRET": login.secret}
        (words,) = console_commands(ROOT / "docs" / "kill-switch.md")
        killed = run(["-m", "oms.cli", *words[1:-1], str(port)], environment)
        assert (killed.returncode, killed.stdout) == (
            0,
            "binance_usdm: no order is open; 1 that were open are no more\n",
        ), killed.stderr
        assert "binance_usdm: 1 open, cancelling\n" in killed.stderr
        assert login.secret not in killed.stderr


def test_second_example_runs(tmp_path: Path) -> None:
    example = blocks(PAGE, "python")[1] + "\nimport asyncio\n\nasyncio.run(try_it())\n"
    environment = {**os.environ, "ZOMS_HOME": os.fspath(tmp_path), "PYTHONPATH": os.fspath(ROOT)}
    done = run(["-c", example], environment)
    assert done.returncode == 0, done.stderr
