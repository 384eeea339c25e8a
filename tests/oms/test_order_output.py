"""What the commands about orders print of one."""

from __future__ import annotations

import msgspec
import pytest

from oms.commands.orders import say_order
from tests.rpc.test_refusals import ORDER

FILLED = msgspec.structs.replace(ORDER, state="filled", filled_qty="0.5", realized_pnl="12.5", fees="-0.25")


def test_an_order_with_fills_says_what_they_have_realized_and_paid(capsys: pytest.CaptureFixture[str]) -> None:
    say_order(FILLED, as_json=False)
    assert "filled, 0.5 filled, realized 12.5, fees -0.25" in " ".join(capsys.readouterr().out.split())


def test_a_stop_says_who_holds_it(capsys: pytest.CaptureFixture[str]) -> None:
    for held in ({"state": "held"}, {"state": "live", "at_exchange": True}, {"state": "filled"}):
        say_order(msgspec.structs.replace(ORDER, **held), as_json=False)
    said = [line.rpartition(": ")[2] for line in capsys.readouterr().out.splitlines()]
    assert said == ["held by the core, not at the exchange", "live, at the exchange", "filled"]


def test_an_order_without_fills_or_of_unknown_ones_says_nothing_of_them(capsys: pytest.CaptureFixture[str]) -> None:
    say_order(ORDER, as_json=False)
    say_order(msgspec.structs.replace(FILLED, realized_pnl=None, fees=None), as_json=False)
    said = capsys.readouterr().out
    assert "realized" not in said
    assert "fees" not in said
