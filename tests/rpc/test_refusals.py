"""Refusals in words: every reason has some, whatever the order, and they name its values."""

from __future__ import annotations

from pathlib import Path

import pytest
from msgspec.structs import replace

from oms.records import Reason
from rpc.entities import Order
from rpc.refusals import order_text, refusal_text
from tests.rpc.conftest import make_settings

ORDER = Order(
    order_id=5,
    client="desk",
    client_order_id="a",
    symbol="BTCUSDT",
    side="buy",
    order_type="stop_limit",
    algorithm=None,
    account="hedge",
    time_in_force="gtc",
    good_till_ts=0,
    post_only=False,
    reduce_only=False,
    at_exchange=False,
    position_side="long",
    price="100.1",
    qty="0.5",
    filled_qty="0",
    realized_pnl="0",
    fees="0",
    display_qty=None,
    trigger_price="99",
    trigger_by="last",
    trail_by=None,
    trail_unit=None,
    contingency=None,
    parent_order_id=None,
    state="rejected",
    reason="NONE",
    ts=0,
    session=0,
    seq=-1,
)


@pytest.mark.parametrize("reason", list(Reason))
def test_every_reason_has_words_without_a_gap(tmp_path: Path, reason: Reason) -> None:
    text = refusal_text(reason, make_settings(tmp_path), ORDER)
    assert text
    assert "{" not in text


def test_a_reason_that_is_not_known_is_named_by_its_number(tmp_path: Path) -> None:
    assert "reason 65000" in refusal_text(65_000, make_settings(tmp_path), ORDER)


def test_a_bad_parent_is_told_with_what_oco_needs(tmp_path: Path) -> None:
    text = refusal_text(Reason.BAD_PARENT, make_settings(tmp_path), replace(ORDER, parent_order_id=7))
    assert "for oco it must be the first of its group, placed with contingency oco and no parent" in text


@pytest.mark.parametrize(("own_id", "name"), [("a", "'a'"), (None, "5")])
def test_an_order_is_called_by_its_owners_id(tmp_path: Path, own_id: str | None, name: str) -> None:
    order = replace(ORDER, client_order_id=own_id)
    for reason in (Reason.ORDER_NOT_OPEN, Reason.REQUEST_IN_FLIGHT, Reason.UNKNOWN_ORDER):
        assert f"order {name} " in refusal_text(reason, make_settings(tmp_path), order)


def test_an_order_is_told_with_its_price_and_trigger() -> None:
    assert order_text(ORDER) == "buy 0.5 BTCUSDT at 100.1 from 99"
    trailing = replace(ORDER, price=None, trail_by="25", trail_unit="basis_points")
    assert order_text(trailing) == "buy 0.5 BTCUSDT market from 99, trailing by 25 basis points"
    first = replace(trailing, trigger_price=None, trail_by="0.7", trail_unit="price")
    assert order_text(first) == "buy 0.5 BTCUSDT market, trailing by 0.7"
