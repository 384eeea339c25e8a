"""The getting-started page, followed as it stands: each of its commands is run in order."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import IO

import pytest

from oms.commands.demo import free_endpoint
from tests.docs.pages import ROOT, console_commands

BIN = Path(sys.executable).parent
READY_S = 180.0

pytestmark = pytest.mark.timeout(600)


class Reader:
    """Follows the page in a folder of its own, as a user with two terminals does."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        for name in ("gateways", "strategies"):
            (folder / name).symlink_to(ROOT / name)
        self.environment = {
            **os.environ,
            "PATH": f"{BIN}:{os.environ['PATH']}",
            "ZOMS_HOME": os.fspath(folder / "home"),
        }
        self.session: subprocess.Popen[str] | None = None
        self.session_output: IO[str] | None = None

    def follow(self, words: list[str]) -> str:
        """Give one command, and return what it prints; one that would go on is left running."""
        self.stop_session_before(words)
        if words[:2] == ["zoms", "paper"] and "--no-strategy" in words:
            return self.start_session(words)
        done = subprocess.run(
            words, capture_output=True, text=True, check=False, cwd=self.folder, env=self.environment, timeout=READY_S
        )
        assert done.returncode == 0, f"{' '.join(words)}: {done.stderr}"
        return done.stdout

    def start_session(self, words: list[str]) -> str:
        log = self.folder / "session.log"
        with log.open("w") as output:
            self.session = subprocess.Popen(
                words, stdout=output, stderr=output, text=True, cwd=self.folder, env=self.environment
            )
        with log.open() as lines:
            deadline = time.monotonic() + READY_S
            while time.monotonic() < deadline and self.session.poll() is None:
                for line in lines:
                    if re.search(r"ticks \d+,\d", line):  # by then the book is in step
                        return line
                self.wait(0.1)
        raise AssertionError(log.read_text())

    def wait(self, seconds: float) -> None:
        """Wait for the session to say more, or to end."""
        assert self.session is not None
        try:
            self.session.wait(seconds)
        except subprocess.TimeoutExpired:
            return

    def stop_session_before(self, words: list[str]) -> None:
        """Ctrl-C in the first terminal, when the second one no longer needs the session."""
        if self.session is not None and words[1] not in ("status", "order", "halt", "reduce", "resume"):
            self.session.send_signal(signal.SIGINT)
            assert self.session.wait(60) == 0
            self.session = None


@pytest.fixture
def reader(tmp_path: Path) -> Iterator[Reader]:
    reader = Reader(tmp_path)
    yield reader
    if reader.session is not None:
        reader.session.kill()


@pytest.mark.thorough
def test_getting_started_works_as_it_stands(reader: Reader) -> None:
    commands = console_commands(ROOT / "docs" / "getting-started.md")
    assert len(commands) > 15
    printed = [(words, reader.follow(words)) for words in commands if words[0] not in ("make", "export")]
    answers = {tuple(words[1:3]): out for words, out in printed}
    assert answers["order", "place"] == "my-1: buy 0.010 BTCUSDT.binance_usdm at 61000.0: live\n"
    assert answers["order", "amend"] == "my-1: buy 0.010 BTCUSDT.binance_usdm at 61100.0: live\n"
    assert "my-1" in answers["order", "list"]
    assert answers["order", "cancel"].endswith("cancelled\n")


def test_demo_ends_by_itself_with_a_summary(tmp_path: Path) -> None:
    picture = tmp_path / "demo.svg"
    done = subprocess.run(
        [BIN / "zoms", "demo", "--speed", "6", "--picture", picture, "--data-dir", tmp_path / "data"],
        capture_output=True,
        text=True,
        check=False,
        cwd=tmp_path,
        timeout=READY_S,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "What the client did, through rpc:" in done.stdout
    assert "no second order" in done.stdout
    assert "filled 0.005" in done.stdout
    assert "Try next:" in done.stdout
    assert picture.read_text().startswith("<svg")


def test_demo_leaves_a_used_port_to_whoever_has_it() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        assert free_endpoint(f"tcp://127.0.0.1:{port}") != f"tcp://127.0.0.1:{port}"
    assert free_endpoint(f"tcp://127.0.0.1:{port}") == f"tcp://127.0.0.1:{port}"
