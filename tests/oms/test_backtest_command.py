"""``zoms backtest`` where something is wrong: the figures that may be shown, the exit status, the files left behind."""

from __future__ import annotations

import errno
import gzip
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from oms.commands.demo import demo_recording
from tests.backtest.venue import STRATEGIES
from tests.oms.command_line import Zoms

RECORDING = demo_recording()
BOOK_BYTES = 120_000
"""Of the compressed recording: its snapshot and some seconds of updates."""
ORDER = ("--algo", "twap", "--qty", "0.1", "--algo-param", "duration_s=2", "--algo-param", "slices=2")

pytestmark = pytest.mark.timeout(300)


def truncated(folder: Path) -> str:
    """The first part of a recording, which breaks off."""
    path = folder / "cut.gz"
    path.write_bytes(RECORDING.read_bytes()[:BOOK_BYTES])
    return os.fspath(path)


def lines(folder: Path, bad: int) -> str:
    """Lines of a recording, and among them some that are none."""
    path = folder / "lines.txt"
    sound = gzip.decompress(RECORDING.read_bytes()).splitlines()[:2_000]
    path.write_bytes(b"\n".join([*sound[:900], *[b"garbage"] * bad, *sound[900:]]))
    return os.fspath(path)


@pytest.mark.parametrize("how", [("--no-strategy",), ("--no-strategy", "--json"), ORDER], ids=["text", "json", "order"])
def test_figures_of_a_truncated_file_are_shown_with_status_1(zoms: Zoms, tmp_path: Path, how: tuple[str, ...]) -> None:
    path = truncated(tmp_path)
    status, out, err = zoms("backtest", path, *how)
    assert status == 1
    assert out.count("\n") == 1 if "--json" in how else out.count("\n") > 10
    assert "is truncated: its gzip stream has no end; everything before the damage was read\n" in err
    assert err.endswith(f"zoms: the figures lack what of {path} could not be used: see zoms data check\n")
    assert zoms("data", "check", path).status == 1


def test_what_is_not_read_of_a_truncated_file_does_not_matter(zoms: Zoms, tmp_path: Path) -> None:
    status, _, err = zoms("backtest", truncated(tmp_path), "--no-strategy", "--duration", "1")
    assert status == 0
    assert "truncated" not in err


@pytest.mark.parametrize(("bad", "status"), [(1, 0), (30, 1)])
def test_refused_lines_are_told_and_beyond_what_is_tolerated_status_1(
    zoms: Zoms, tmp_path: Path, bad: int, status: int
) -> None:
    path = lines(tmp_path, bad)
    for stop in ((), ("--duration", "8")):
        done = zoms("backtest", path, "--no-strategy", *stop)
        assert f"{bad} refused as MALFORMED" in done.err
        assert done.status == zoms("data", "check", path).status == status


@pytest.mark.parametrize("how", [(), ("--json",)], ids=["text", "json"])
def test_an_order_beside_a_strategy_that_fails_is_not_judged(zoms: Zoms, how: tuple[str, ...]) -> None:
    failing = os.fspath(STRATEGIES / "failing.py")
    status, out, err = zoms("backtest", os.fspath(RECORDING), *ORDER, "--strategy", failing, "--duration", "4", *how)
    assert (status, out) == (1, "")
    assert "strategy failing failed at 2024-08-08T23:5" in err
    assert err.endswith("zoms: the execution is not judged: a strategy beside it failed\n")


@pytest.mark.parametrize(
    ("option", "name"), [("--report", "sheet.html"), ("--report", "sheet.png"), ("--plot", "a.svg")]
)
def test_figures_are_shown_although_a_file_cannot_be_written(
    zoms: Zoms, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, option: str, name: str
) -> None:
    def no_room(*_: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(Path, "replace", no_room)
    path = tmp_path / name
    status, out, err = zoms("backtest", os.fspath(RECORDING), "--duration", "5", *ORDER, option, os.fspath(path))
    assert status == 1
    assert re.search(r"^average price +\d", out, re.MULTILINE)
    assert err.count("\n") == 1
    assert re.match(rf"zoms: (report|plot) {path} cannot be written: No space left on device\n", err)
    assert not list(tmp_path.glob(f"*{path.suffix}"))


def test_a_plot_in_a_folder_that_is_not_there_is_refused_before_the_run(zoms: Zoms, tmp_path: Path) -> None:
    path = tmp_path / "nowhere" / "a.png"
    status, out, err = zoms("backtest", os.fspath(RECORDING), *ORDER, "--plot", os.fspath(path))
    assert (status, out) == (1, "")
    assert err == f"zoms: plot {path} cannot be written: there is no folder {path.parent}\n"


@pytest.mark.parametrize("start", ["-5", "nan", "inf"])
def test_an_order_starts_within_the_data(zoms: Zoms, start: str) -> None:
    status, out, err = zoms("backtest", os.fspath(RECORDING), *ORDER, "--duration", "2", "--start", start)
    assert (status, out) == (1, "")
    assert err == f"zoms: the order cannot start {start} s behind the first tick: give zero or more seconds\n"


@pytest.mark.parametrize(
    "words", [["version"], pytest.param(["data", "check", os.fspath(RECORDING), "--json"], marks=pytest.mark.thorough)]
)
def test_output_that_finds_the_disk_full_is_an_error_in_one_line(words: list[str]) -> None:
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(
            [sys.executable, "-P", "-m", "oms.cli", *words], stdout=full, stderr=subprocess.PIPE, text=True, check=False
        )
    assert done.returncode == 1
    assert done.stderr == "zoms: standard output cannot be written: No space left on device\n"


def test_much_output_that_finds_the_disk_full_is_the_same_error() -> None:
    """More than a buffer holds: it fails within the command."""
    code = "from oms import cli; cli.app = lambda: cli.stored.say('x' * 10**6); cli.main()"
    with Path("/dev/full").open("w") as full:
        done = subprocess.run([sys.executable, "-c", code], stdout=full, stderr=subprocess.PIPE, text=True, check=False)
    assert (done.returncode, done.stderr) == (1, "zoms: standard output cannot be written: No space left on device\n")
