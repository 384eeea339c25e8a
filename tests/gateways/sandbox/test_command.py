"""``zoms sandbox``: what it refuses, and what it prints for a program."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from gateways.lines import RecordingError
from gateways.sandbox.faults import FaultError
from gateways.sandbox.server import credentials_of
from oms.checks import ConfigError
from oms.commands.options import CommandError
from oms.commands.sandbox import sandbox
from oms.decimals import GridError
from tests.gateways.sandbox.desk import RECORDING

ROOT = Path(__file__).resolve().parents[3]


def test_unknown_venue_is_refused() -> None:
    with pytest.raises(CommandError, match="'kraken' has no sandbox"):
        sandbox(replay=RECORDING, venue="kraken")


def test_unknown_fault_is_refused() -> None:
    with pytest.raises(FaultError, match="no fault is called 'gremlin'"):
        sandbox(replay=RECORDING, venue="binance", fault=["gremlin=1"])


def test_missing_recording_is_refused(tmp_path: Path) -> None:
    with pytest.raises(RecordingError, match="does not exist"):
        sandbox(replay=tmp_path / "none.gz", venue="binance")


def test_balance_that_is_no_number_is_refused() -> None:
    with pytest.raises(GridError, match="balance"):
        sandbox(replay=RECORDING, venue="binance", balance="much")


@pytest.mark.timeout(300)
def test_where_it_listens_is_printed_for_programs(tmp_path: Path) -> None:
    ca = tmp_path / "ca.pem"
    words = f"sandbox --venue binance --replay {RECORDING} --port 0 --accounts 2 --json --ca {ca}".split()
    serving = subprocess.Popen(
        [sys.executable, "-m", "oms.cli", *words],
        stdout=subprocess.PIPE,
        text=True,
        cwd=ROOT,
    )
    try:
        assert serving.stdout is not None
        where = json.loads(serving.stdout.readline())
        assert where["port"] > 0
        assert where["accounts"] == [credentials_of(number)._asdict() for number in range(2)]
        assert ca.read_text().startswith("-----BEGIN CERTIFICATE-----")
    finally:
        serving.send_signal(signal.SIGINT)
        assert serving.wait(30) == 0
        if serving.stdout is not None:
            serving.stdout.close()


def test_recording_that_stands_for_nothing_at_an_exchange_is_refused() -> None:
    with pytest.raises(ConfigError, match="stands for nothing at htx"):
        sandbox(replay=ROOT / "tests/data/coinm_btcusd_perp_20240808.gz", venue="htx")


@pytest.mark.timeout(300)
def test_okx_says_its_passphrase_and_what_it_stands_for(tmp_path: Path) -> None:
    words = f"sandbox --venue okx --replay {RECORDING} --port 0 --ca {tmp_path / 'ca.pem'}".split()
    serving = subprocess.Popen([sys.executable, "-m", "oms.cli", *words], stdout=subprocess.PIPE, text=True, cwd=ROOT)
    try:
        assert serving.stdout is not None
        said = [serving.stdout.readline().strip() for _ in range(6)]
        assert said[0].startswith("sandbox of www.okx.com, ws.okx.com over ")
        assert said[5] == f"passphrase  {credentials_of(0).passphrase}"
    finally:
        serving.send_signal(signal.SIGINT)
        assert serving.wait(30) == 0
        if serving.stdout is not None:
            serving.stdout.close()
