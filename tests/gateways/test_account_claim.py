"""One trading session per exchange account of this machine."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from gateways.account_claim import Claim, ClaimError, claimant

pytestmark = pytest.mark.pure

WALLET = "binance linear"
KEY = f"a key of this run alone {os.getpid()} 1234"


def test_an_account_that_is_traded_is_refused_with_whom_and_is_free_behind_it() -> None:
    assert claimant(WALLET, KEY) == 0
    claim = Claim(WALLET, KEY)
    assert [claimant(WALLET, KEY) for _ in range(5)] == [os.getpid()] * 5
    with pytest.raises(ClaimError, match=rf"of key \.\.\.1234 is traded by process {os.getpid()} \(.+\): end that"):
        Claim(WALLET, KEY)
    claim.release()
    assert claimant(WALLET, KEY) == 0


def test_another_wallet_another_key_and_another_sandbox_are_other_accounts() -> None:
    claims = [
        Claim(WALLET, KEY),
        Claim("binance spot", KEY),
        Claim(WALLET, KEY + "5"),
        Claim(WALLET, KEY, 8443),
        Claim(WALLET, KEY, 8444),
    ]
    for claim in claims:
        claim.release()


def test_a_process_that_is_killed_gives_its_account_back() -> None:
    program = f"from gateways.account_claim import Claim\nclaim = Claim('okx', {KEY!r})\nprint('held')\ninput()"
    holder = subprocess.Popen([sys.executable, "-c", program], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert holder.stdout is not None
    assert holder.stdout.readline() == b"held\n"
    assert claimant("okx", KEY) == holder.pid
    holder.kill()
    holder.communicate()
    assert claimant("okx", KEY) == 0
