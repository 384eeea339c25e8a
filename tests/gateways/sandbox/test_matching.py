"""The matching engine's rules, one by one."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from gateways.sandbox.engine import step
from gateways.sandbox.matching import (
    OPERATION,
    TICKS_AROUND,
    Matching,
    OperationFlag,
    OutcomeKind,
    Records,
    Trade,
)
from oms.compiled import JIT, SANDBOX_CACHES, SANDBOX_SOURCES, cache_folder, kernel_sources
from oms.records import BUY, SELL, Liquidity, Reason, TickKind, TimeInForce
from tests.gateways.sandbox.matching_rows import (
    TS,
    amend,
    book,
    cancel,
    depth,
    market,
    message,
    place,
    snapshot,
    stale,
    trade,
)

pytestmark = pytest.mark.pure

OTHER = 2
"""Another account than the one that the operations are of otherwise."""


@pytest.fixture
def matching() -> Matching:
    return Matching()


def brief(outcomes: Records) -> list[tuple[str, int, int, int]]:
    """Kind, order, quantity and what is left of it."""
    names = (OutcomeKind(int(kind)).name for kind in outcomes["kind"])
    rest = zip(*(outcomes[name].tolist() for name in ("order_id", "qty", "left")), strict=True)
    return [(name, *each) for name, each in zip(names, rest, strict=True)]


def fills(outcomes: Records) -> list[tuple[int, int, int]]:
    """Order, price and quantity of the fills."""
    of = outcomes[outcomes["kind"] == OutcomeKind.FILL]
    return list(zip(*(of[name].tolist() for name in ("order_id", "px", "qty")), strict=True))


# orders among themselves


def test_an_order_that_meets_nobody_rests(matching: Matching) -> None:
    assert brief(matching.operate(place(1, BUY, 100, 5))) == [("ACCEPTED", 1, 5, 5)]
    assert book(matching) == {BUY: [(100, 5)], SELL: []}
    assert (matching.best_bid, matching.best_ask, matching.last_trade) == (100, None, None)


def test_a_trade_is_told_to_the_taker_and_then_to_the_maker(matching: Matching) -> None:
    matching.operate(place(1, BUY, 100, 5))
    outcomes = matching.operate(place(2, SELL, 99, 3, account=OTHER))
    assert brief(outcomes) == [("ACCEPTED", 2, 3, 3), ("FILL", 2, 3, 0), ("FILL", 1, 3, 2)]
    assert outcomes["px"].tolist() == [99, 100, 100]
    assert outcomes["account"].tolist() == [OTHER, OTHER, 1]
    assert outcomes["side"].tolist() == [SELL, SELL, BUY]
    assert outcomes["liquidity"].tolist() == [Liquidity.NONE, Liquidity.TAKER, Liquidity.MAKER]
    assert outcomes["trade_id"].tolist() == [0, 1, 1]
    assert outcomes["ts"].tolist() == [TS] * 3
    assert matching.last_trade == Trade(100, 3)


@pytest.mark.parametrize("side", [BUY, SELL])
def test_the_better_price_and_then_the_earlier_order_is_taken_first(matching: Matching, side: int) -> None:
    for order_id, worse_by in ((1, 1), (2, 0), (3, 0), (4, 2)):
        matching.operate(place(order_id, side, 100 - side * worse_by, 5))
    outcomes = matching.operate(place(9, -side, 100 - side * 1, 17, account=OTHER))
    assert [each for each in fills(outcomes) if each[0] != 9] == [(2, 100, 5), (3, 100, 5), (1, 100 - side, 5)]
    assert book(matching) == {-side: [(100 - side, 2)], side: [(100 - 2 * side, 5)]}


def test_a_cancelled_order_is_told_with_what_was_open(matching: Matching) -> None:
    matching.operate(place(1, BUY, 100, 5))
    matching.operate(place(2, SELL, 100, 2, account=OTHER))
    assert brief(matching.operate(cancel(1))) == [("CANCELLED", 1, 3, 0)]
    assert (matching.open_orders, matching.best_bid) == (0, None)


@pytest.mark.parametrize("request_", [cancel(1, OTHER), cancel(2), amend(2, 100, 1), amend(1, 100, 1, account=OTHER)])
def test_an_order_that_the_account_does_not_have_is_unknown(matching: Matching, request_: Records) -> None:
    matching.operate(place(1, BUY, 100, 5))
    outcomes = matching.operate(request_)
    assert outcomes["kind"].tolist() == [OutcomeKind.REJECTED]
    assert outcomes["reason"].tolist() == [Reason.UNKNOWN_AT_EXCHANGE]
    assert book(matching)[BUY] == [(100, 5)]


def test_what_a_market_order_does_not_get_expires(matching: Matching) -> None:
    matching.operate(place(1, BUY, 100, 5))
    outcomes = matching.operate(market(2, SELL, 8, account=OTHER))
    assert brief(outcomes) == [("ACCEPTED", 2, 8, 8), ("FILL", 2, 5, 3), ("FILL", 1, 5, 0), ("EXPIRED", 2, 3, 0)]
    assert outcomes["reason"][-1] == Reason.NO_LIQUIDITY


def test_an_ioc_order_takes_to_its_price_and_its_rest_expires(matching: Matching) -> None:
    matching.operate(np.concatenate([place(1, SELL, 100, 5), place(2, SELL, 101, 5)]))
    outcomes = matching.operate(place(3, BUY, 100, 8, tif=TimeInForce.IOC))
    assert fills(outcomes)[0] == (3, 100, 5)
    assert brief(outcomes)[-1] == ("EXPIRED", 3, 3, 0)
    assert book(matching) == {BUY: [], SELL: [(101, 5)]}


def test_a_fok_order_is_filled_in_full_or_rejected(matching: Matching) -> None:
    matching.background(snapshot((SELL, 100, 4)))
    matching.operate(place(1, SELL, 101, 5))
    refused = matching.operate(place(2, BUY, 101, 10, tif=TimeInForce.FOK))
    assert brief(refused) == [("REJECTED", 2, 10, 0)]
    assert refused["reason"].tolist() == [Reason.NO_LIQUIDITY]
    done = matching.operate(place(3, BUY, 101, 9, tif=TimeInForce.FOK))
    assert fills(done) == [(3, 100, 4), (3, 101, 5), (1, 101, 5)]


@pytest.mark.parametrize("side", [BUY, SELL])
def test_a_post_only_order_that_would_take_is_rejected(matching: Matching, side: int) -> None:
    matching.background(snapshot((-side, 100, 4)))
    refused = matching.operate(place(1, side, 100, 1, flags=OperationFlag.POST_ONLY))
    assert refused["kind"].tolist() == [OutcomeKind.REJECTED]
    assert refused["reason"].tolist() == [Reason.POST_ONLY_WOULD_CROSS]
    rests = matching.operate(place(2, side, 100 - side, 1, flags=OperationFlag.POST_ONLY))
    assert rests["kind"].tolist() == [OutcomeKind.ACCEPTED]


@pytest.mark.parametrize(
    ("order", "reason"),
    [
        (place(2, 0, 100, 1), Reason.BAD_SIDE),
        (place(2, BUY, 100, 1, order_type=3), Reason.BAD_ORDER_TYPE),
        (place(2, BUY, 100, 1, tif=TimeInForce.GTD), Reason.BAD_TIME_IN_FORCE),
        (place(2, BUY, 100, 1, tif=TimeInForce.IOC, flags=OperationFlag.POST_ONLY), Reason.BAD_FLAGS),
        (market(2, BUY, 1, flags=OperationFlag.POST_ONLY), Reason.BAD_FLAGS),
        (place(2, BUY, 0, 1), Reason.BAD_PRICE),
        (place(2, BUY, 2 * TICKS_AROUND, 1), Reason.BAD_PRICE),
        (place(2, BUY, 100, 0), Reason.QTY_BELOW_MIN),
        (place(2, BUY, 100, 2**41), Reason.QTY_ABOVE_MAX),
        (place(1, BUY, 100, 1), Reason.DUPLICATE_ORDER_ID),
        (place(0, BUY, 100, 1), Reason.BAD_COMMAND),
        (place(2, BUY, 100, 1, kind=9), Reason.BAD_COMMAND),
    ],
)
def test_what_cannot_be_an_order_is_rejected(matching: Matching, order: Records, reason: Reason) -> None:
    matching.operate(place(1, BUY, 90, 1))
    outcomes = matching.operate(order)
    assert outcomes["kind"].tolist() == [OutcomeKind.REJECTED]
    assert outcomes["reason"].tolist() == [reason]
    assert outcomes["left"].tolist() == [0]
    assert book(matching) == {BUY: [(90, 1)], SELL: []}


def test_an_id_may_be_used_again_once_its_order_has_ended(matching: Matching) -> None:
    matching.operate(np.concatenate([place(1, BUY, 90, 1), cancel(1)]))
    assert brief(matching.operate(place(1, BUY, 91, 2))) == [("ACCEPTED", 1, 2, 2)]


# amending


def after_amend(matching: Matching, change: Records) -> list[int]:
    """The order in which two orders for 5 at 100 are filled, the first changed."""
    matching.operate(np.concatenate([place(1, BUY, 100, 5), place(2, BUY, 100, 5)]))
    assert matching.operate(change)["kind"].tolist() == [OutcomeKind.AMENDED]
    outcomes = matching.operate(market(3, SELL, 20, account=OTHER))
    return [order_id for order_id, _, _ in fills(outcomes) if order_id != 3]


def test_an_amended_order_goes_to_the_end_of_the_queue(matching: Matching) -> None:
    assert after_amend(matching, amend(1, 100, 4)) == [2, 1]


def test_an_order_that_only_becomes_smaller_may_keep_its_place(matching: Matching) -> None:
    assert after_amend(matching, amend(1, 100, 4, flags=OperationFlag.KEEP_PRIORITY)) == [1, 2]


def test_an_order_that_becomes_larger_does_not_keep_its_place(matching: Matching) -> None:
    assert after_amend(matching, amend(1, 100, 6, flags=OperationFlag.KEEP_PRIORITY)) == [2, 1]


def test_an_order_that_changes_nothing_does_not_keep_its_place(matching: Matching) -> None:
    assert after_amend(matching, amend(1, 100, 5, flags=OperationFlag.KEEP_PRIORITY)) == [2, 1]


def test_the_new_quantity_is_the_orders_in_all(matching: Matching) -> None:
    matching.operate(np.concatenate([place(1, BUY, 100, 5), place(2, SELL, 100, 2, account=OTHER)]))
    assert brief(matching.operate(amend(1, 101, 9))) == [("AMENDED", 1, 9, 7)]
    assert book(matching)[BUY] == [(101, 7)]


def test_an_amend_to_what_is_filled_cancels(matching: Matching) -> None:
    matching.operate(np.concatenate([place(1, BUY, 100, 5), place(2, SELL, 100, 2, account=OTHER)]))
    outcomes = matching.operate(amend(1, 100, 2))
    assert brief(outcomes) == [("CANCELLED", 1, 3, 0)]
    assert outcomes["reason"].tolist() == [Reason.QTY_BELOW_MIN]


def test_an_amended_order_takes_what_it_has_come_to(matching: Matching) -> None:
    matching.operate(np.concatenate([place(1, BUY, 100, 5), place(2, SELL, 102, 2, account=OTHER)]))
    outcomes = matching.operate(amend(1, 103, 5))
    assert brief(outcomes) == [("AMENDED", 1, 5, 5), ("FILL", 1, 2, 3), ("FILL", 2, 2, 0)]
    assert book(matching) == {BUY: [(103, 3)], SELL: []}


def test_a_post_only_order_is_cancelled_where_it_would_take_at_its_new_price(matching: Matching) -> None:
    matching.operate(place(1, BUY, 100, 5, flags=OperationFlag.POST_ONLY))
    matching.operate(place(2, SELL, 102, 2, account=OTHER))
    outcomes = matching.operate(amend(1, 102, 5))
    assert brief(outcomes) == [("CANCELLED", 1, 5, 0)]
    assert outcomes["reason"].tolist() == [Reason.POST_ONLY_WOULD_CROSS]


@pytest.mark.parametrize(
    ("px", "qty", "reason"), [(0, 5, Reason.BAD_PRICE), (100, 0, Reason.QTY_BELOW_MIN), (2**40, 5, Reason.BAD_PRICE)]
)
def test_an_amend_that_is_rejected_leaves_the_order_as_it_was(
    matching: Matching, px: int, qty: int, reason: Reason
) -> None:
    matching.operate(place(1, BUY, 100, 5))
    outcomes = matching.operate(amend(1, px, qty))
    assert brief(outcomes) == [("REJECTED", 1, 5, 5)]
    assert outcomes["reason"].tolist() == [reason]
    assert book(matching)[BUY] == [(100, 5)]


# the same account on both sides


def self_trade(matching: Matching, flags: int, tif: TimeInForce = TimeInForce.GTC) -> list[tuple[str, int, int, int]]:
    """A sell order meets one of its own account, then one of another."""
    matching.operate(np.concatenate([place(1, BUY, 101, 5), place(2, BUY, 100, 5, account=OTHER)]))
    return brief(matching.operate(place(3, SELL, 100, 7, flags=flags, tif=tif)))[1:]


def test_without_prevention_an_account_trades_with_itself(matching: Matching) -> None:
    assert self_trade(matching, 0) == [("FILL", 3, 5, 2), ("FILL", 1, 5, 0), ("FILL", 3, 2, 0), ("FILL", 2, 2, 3)]


def test_expire_taker_ends_the_taker(matching: Matching) -> None:
    assert self_trade(matching, OperationFlag.EXPIRE_TAKER) == [("EXPIRED", 3, 7, 0)]
    assert book(matching)[BUY] == [(101, 5), (100, 5)]


def test_expire_maker_ends_the_maker_and_the_taker_goes_on(matching: Matching) -> None:
    expected = [("EXPIRED", 1, 5, 0), ("FILL", 3, 5, 2), ("FILL", 2, 5, 0)]
    assert self_trade(matching, OperationFlag.EXPIRE_MAKER) == expected
    assert book(matching) == {BUY: [], SELL: [(100, 2)]}


def test_expire_both_ends_both(matching: Matching) -> None:
    assert self_trade(matching, OperationFlag.EXPIRE_BOTH) == [("EXPIRED", 1, 5, 0), ("EXPIRED", 3, 7, 0)]
    assert book(matching) == {BUY: [(100, 5)], SELL: []}


def test_a_fok_order_trades_with_its_own_account(matching: Matching) -> None:
    outcomes = self_trade(matching, OperationFlag.EXPIRE_BOTH, TimeInForce.FOK)
    assert outcomes[0] == ("FILL", 3, 5, 2)


def test_what_expires_for_its_own_accounts_sake_says_so(matching: Matching) -> None:
    matching.operate(place(1, BUY, 100, 5))
    outcomes = matching.operate(market(2, SELL, 5, flags=OperationFlag.EXPIRE_BOTH))
    assert outcomes["reason"].tolist() == [Reason.NONE, Reason.SELF_TRADE, Reason.SELF_TRADE]


# the background


def test_a_displayed_quantity_is_taken_once_until_it_is_stated_anew(matching: Matching) -> None:
    matching.background(snapshot((SELL, 100, 5)))
    assert fills(matching.operate(market(1, BUY, 3))) == [(1, 100, 3)]
    assert book(matching)[SELL] == [(100, 2)]
    assert fills(matching.operate(market(2, BUY, 3))) == [(2, 100, 2)]
    assert matching.best_ask is None
    matching.background(depth(2, (SELL, 100, 4)))
    assert book(matching)[SELL] == [(100, 4)]


def test_an_order_waits_for_what_was_displayed_before_it(matching: Matching) -> None:
    matching.background(snapshot((BUY, 100, 5)))
    matching.operate(place(1, BUY, 100, 2))
    matching.background(depth(2, (BUY, 100, 9)))
    assert fills(matching.background(trade(SELL, 100, 4))) == []
    assert fills(matching.background(trade(SELL, 100, 2))) == [(1, 100, 1)]
    assert fills(matching.background(trade(SELL, 100, 9))) == [(1, 100, 1)]


def test_an_order_does_not_wait_for_what_has_been_taken(matching: Matching) -> None:
    matching.background(snapshot((BUY, 100, 5)))
    matching.operate(np.concatenate([market(1, SELL, 3), place(2, BUY, 100, 2)]))
    assert fills(matching.background(trade(SELL, 100, 3))) == [(2, 100, 1)]


def test_a_fill_by_the_background_is_the_makers_at_the_exchanges_time(matching: Matching) -> None:
    matching.operate(place(1, BUY, 100, 2))
    outcomes = matching.background(trade(SELL, 100, 4))
    assert brief(outcomes) == [("FILL", 1, 2, 0)]
    assert outcomes["liquidity"].tolist() == [Liquidity.MAKER]
    assert outcomes["trade_id"].tolist() == [1]
    assert outcomes["ts"].tolist() == [TS]
    assert matching.last_trade == Trade(100, 4)


def test_a_level_that_shrinks_below_what_was_ahead_moves_the_order_forward(matching: Matching) -> None:
    matching.background(snapshot((BUY, 100, 9)))
    matching.operate(place(1, BUY, 100, 2))
    matching.background(np.concatenate([depth(2, (BUY, 100, 3)), depth(3, (BUY, 100, 8))]))
    assert fills(matching.background(trade(SELL, 100, 4))) == [(1, 100, 1)]


def test_orders_of_the_same_price_share_one_trade_by_time(matching: Matching) -> None:
    matching.background(snapshot((SELL, 100, 3)))
    matching.operate(place(1, SELL, 100, 2))
    matching.background(depth(2, (SELL, 100, 5)))
    matching.operate(place(2, SELL, 100, 2))
    assert fills(matching.background(trade(BUY, 100, 8))) == [(1, 100, 2), (2, 100, 1)]


def test_a_trade_through_a_price_fills_whatever_was_ahead(matching: Matching) -> None:
    matching.background(snapshot((BUY, 100, 50), (BUY, 99, 50)))
    matching.operate(place(1, BUY, 100, 2))
    assert fills(matching.background(trade(SELL, 99, 1))) == [(1, 100, 1)]
    assert fills(matching.background(trade(SELL, 101, 9))) == []


def test_a_taker_meets_background_and_orders_by_time(matching: Matching) -> None:
    matching.background(snapshot((BUY, 100, 3)))
    matching.operate(place(1, BUY, 100, 2))
    matching.background(depth(2, (BUY, 100, 7)))
    outcomes = matching.operate(market(2, SELL, 8, account=OTHER))
    assert fills(outcomes) == [(2, 100, 3), (2, 100, 2), (1, 100, 2), (2, 100, 3)]
    assert book(matching)[BUY] == [(100, 1)]


def test_a_cancel_leaves_what_was_ahead_of_it_ahead_of_the_next(matching: Matching) -> None:
    matching.background(snapshot((BUY, 100, 3)))
    matching.operate(np.concatenate([place(1, BUY, 100, 2), place(2, BUY, 100, 2), cancel(1)]))
    assert fills(matching.background(trade(SELL, 100, 4))) == [(2, 100, 1)]


@pytest.mark.parametrize("side", [BUY, SELL])
def test_a_level_that_comes_to_an_order_trades_with_it(matching: Matching, side: int) -> None:
    matching.operate(np.concatenate([place(1, side, 100, 2), place(2, side, 100 - side, 4)]))
    outcomes = matching.background(snapshot((-side, 100 - side, 5)))
    assert fills(outcomes) == [(1, 100, 2), (2, 100 - side, 3)]
    assert book(matching) == {side: [(100 - side, 1)], -side: []}


def test_quotes_and_old_messages_change_nothing(matching: Matching) -> None:
    matching.background(snapshot((BUY, 100, 3), update_id=5))
    quote = message(TickKind.QUOTE, 6, [(0, 99, 1)])
    old = message(TickKind.DEPTH, 4, [(BUY, 100, 9)])
    matching.background(np.concatenate([quote, old]))
    assert book(matching)[BUY] == [(100, 3)]


def test_a_message_that_ends_with_the_snapshots_id_is_applied(matching: Matching) -> None:
    matching.background(np.concatenate([snapshot((BUY, 100, 3), update_id=5), depth(5, (BUY, 100, 4))]))
    assert book(matching)[BUY] == [(100, 4)]


def test_a_stream_that_has_not_begun_with_a_snapshot_displays_nothing(matching: Matching) -> None:
    matching.background(depth(2, (BUY, 100, 9)))
    assert matching.best_bid is None


@pytest.mark.parametrize("lost", [stale(), message(TickKind.DEPTH, 9, [(BUY, 98, 1)])])
def test_a_lost_stream_displays_nothing_and_orders_keep_their_places(matching: Matching, lost: Records) -> None:
    matching.background(snapshot((BUY, 100, 3)))
    matching.operate(place(1, BUY, 100, 2))
    matching.background(np.concatenate([lost, depth(2, (BUY, 99, 1))]))
    assert book(matching)[BUY] == [(100, 2)]
    matching.background(snapshot((BUY, 100, 8)))
    assert fills(matching.background(trade(SELL, 100, 4))) == [(1, 100, 1)]
    assert matching.gaps == (0 if lost["kind"][0] == TickKind.STALE else 1)


def test_what_is_not_displayed_any_more_cannot_be_taken_though_an_order_waits_for_it(matching: Matching) -> None:
    matching.background(snapshot((BUY, 100, 3)))
    matching.operate(place(1, BUY, 100, 2))
    matching.background(stale())
    assert fills(matching.operate(market(2, SELL, 4, account=OTHER))) == [(2, 100, 2), (1, 100, 2)]


def test_an_order_is_first_where_a_snapshot_does_not_name_its_level(matching: Matching) -> None:
    matching.background(snapshot((BUY, 100, 3), (BUY, 99, 3)))
    matching.operate(place(1, BUY, 100, 2))
    matching.background(snapshot((BUY, 99, 3), update_id=2))
    assert fills(matching.background(trade(SELL, 100, 1))) == [(1, 100, 1)]


def test_prices_far_from_the_market_are_left_out_and_counted() -> None:
    matching = Matching(around_px=10 * TICKS_AROUND)
    low, high = 9 * TICKS_AROUND, 11 * TICKS_AROUND - 1
    matching.background(snapshot((BUY, low, 1), (SELL, high, 1), (BUY, low - 1, 1), (SELL, high + 1, 1)))
    assert book(matching) == {BUY: [(low, 1)], SELL: [(high, 1)]}
    assert matching.levels_dropped == 2


@pytest.mark.skipif(not JIT, reason="about the compiler's cache")
def test_the_engines_machine_code_is_no_part_of_the_cores() -> None:
    folder = cache_folder(kernel_sources(patterns=SANDBOX_SOURCES), SANDBOX_CACHES)
    entries: list[Any] = [step.match_operations, step.match_ticks, step.read_levels]
    assert all(Path(each.stats.cache_path).parent == folder for each in entries)
    assert not set(kernel_sources()) & set(Path(step.__file__).parent.iterdir())


def test_no_operation_has_no_outcome(matching: Matching) -> None:
    assert len(matching.operate(np.zeros(0, OPERATION))) == 0
