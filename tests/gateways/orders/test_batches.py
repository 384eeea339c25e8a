"""Several commands of one frame in one request: each has its own outcome, and a lost answer is one for all."""

from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np
import pytest

from gateways.orders.batches import batches
from gateways.orders.outcomes import Verdict
from gateways.sandbox.faults import Fault
from oms.bus import Records
from oms.records import CommandKind, OrderType, Reason, ReportKind, TimeInForce
from tests.gateways.orders.booth import FAR, Booth, SkippingClock, answered_by, on_booth

METHODS = ("PostOrder", "PostBatchOrders", "DeleteOrder", "DeleteBatchOrders")


def counted(booth: Booth) -> Counter[str]:
    """Counts the requests about orders from now on."""
    counts: Counter[str] = Counter()

    def watch(name: str) -> None:
        real = getattr(booth.exchange, f"fapiPrivate{name}")

        async def method(request: Any) -> Any:
            counts[name] += 1
            return await real(request)

        setattr(booth.exchange, f"fapiPrivate{name}", method)

    for name in METHODS:
        watch(name)
    return counts


def new(booth: Booth, px: int = FAR, **fields: Any) -> tuple[int, Records]:
    """A NEW command, and its order's id."""
    terms = {"side": 1, "qty": 10, "px": px, "order_type": OrderType.LIMIT, "time_in_force": TimeInForce.GTC}
    order_id = booth.new_id()
    return order_id, booth.command(CommandKind.NEW, order_id, **(terms | fields))


def place(booth: Booth, *pxs: int) -> list[int]:
    """Ask for orders at these prices in one frame."""
    ids, commands = zip(*(new(booth, px) for px in pxs), strict=True)
    booth.gateway.take(np.concatenate(commands))
    return list(ids)


def cancel(booth: Booth, ids: list[int]) -> None:
    """Ask for their ends in one frame."""
    terms = {"side": 1, "order_type": OrderType.LIMIT, "qty": 1}
    booth.gateway.take(np.concatenate([booth.command(CommandKind.CANCEL, order_id, **terms) for order_id in ids]))


async def told(booth: Booth, ids: list[int]) -> list[list[str]]:
    """The reports of each order, once it has some and the gateway rests."""
    await booth.until(lambda: all(booth.of(order_id) for order_id in ids))
    await booth.gateway.idle()
    return [booth.of(order_id) for order_id in ids]


def test_orders_are_split_into_the_best_batches() -> None:
    sizes = [len(batch) for batch in batches([None] * 12, lambda waiting: min(waiting, 5))]  # type: ignore[list-item]
    assert sizes == [5, 5, 2]


@on_booth()
async def test_five_orders_of_a_frame_go_in_one_request_and_two_more_alone(booth: Booth) -> None:
    counts = counted(booth)
    ids = place(booth, *range(FAR, FAR + 7))
    assert await told(booth, ids) == [["ACCEPTED"]] * 7
    assert counts == {"PostBatchOrders": 1, "PostOrder": 2}
    assert sorted(order.px for order in booth.account.open_orders.values()) == list(range(FAR, FAR + 7))


@on_booth()
async def test_resting_orders_are_cancelled_in_one_request(booth: Booth) -> None:
    ids = place(booth, *range(FAR, FAR + 3))
    await told(booth, ids)
    counts = counted(booth)
    cancel(booth, ids)
    await booth.until(lambda: all("CANCELLED" in booth.of(order_id) for order_id in ids))
    await booth.gateway.idle()
    assert counts == {"DeleteBatchOrders": 1}
    assert [booth.of(order_id) for order_id in ids] == [["ACCEPTED", "CANCELLED"]] * 3


@on_booth()
async def test_each_order_of_a_batch_has_its_own_outcome(booth: Booth) -> None:
    ids = place(booth, FAR, FAR * 2, FAR, FAR * 3, FAR)
    good, bad = [["ACCEPTED"]], [["REJECTED"]]
    assert await told(booth, ids) == good + bad + good + bad + good
    reasons = {booth.report(ids[number], ReportKind.REJECTED)["reason"] for number in (1, 3)}
    assert reasons == {Reason.PRICE_COLLAR}
    assert booth.gateway.asking.outcomes[Verdict.REFUSED] == 2
    assert len(booth.account.open_orders) == 3


@pytest.mark.parametrize("fault", [Fault.LOSE_ANSWER, Fault.UNKNOWN])
def test_lost_answer_of_a_batch_that_was_done_is_asked_about_order_by_order(fault: Fault) -> None:
    @on_booth()
    async def body(booth: Booth) -> None:
        counts = counted(booth)
        booth.once(fault)
        ids = place(booth, *range(FAR, FAR + 5))
        assert await told(booth, ids) == [["ACCEPTED"]] * 5
        assert counts == {"PostBatchOrders": 1}
        assert len(booth.account.open_orders) == 5

    body()


@pytest.mark.parametrize("fault", [Fault.LOSE_REQUEST, Fault.HTML])
def test_batch_that_never_came_is_rejected_once_that_is_certain(fault: Fault) -> None:
    @on_booth(clock=SkippingClock)
    async def body(booth: Booth) -> None:
        booth.once(fault)
        sent_s = booth.clock.now_s()
        ids = place(booth, *range(FAR, FAR + 5))
        assert await told(booth, ids) == [["REJECTED"]] * 5
        assert {booth.report(each, ReportKind.REJECTED)["reason"] for each in ids} == {Reason.NOT_PLACED}
        assert booth.clock.now_s() - sent_s > booth.venue.receive_window_s

    body()


@on_booth()
async def test_answer_that_leaves_orders_out_says_nothing_of_any(booth: Booth) -> None:
    async def shortened(real: Any) -> Any:
        return (await real())[:3]

    answered_by(booth, "fapiPrivatePostBatchOrders", shortened)
    ids = place(booth, *range(FAR, FAR + 5))
    assert await told(booth, ids) == [["ACCEPTED"]] * 5
    assert booth.gateway.asking.resolver.asked == 5


@on_booth()
async def test_refused_batch_rejects_every_order(booth: Booth) -> None:
    booth.once(Fault.RATE_LIMIT)
    ids = place(booth, *range(FAR, FAR + 5))
    assert await told(booth, ids) == [["REJECTED"]] * 5
    assert booth.gateway.asking.outcomes[Verdict.NOT_ACCEPTED] == 1


@pytest.mark.parametrize("fault", [Fault.LOSE_REQUEST, Fault.LOSE_ANSWER, Fault.UNKNOWN, Fault.RATE_LIMIT])
def test_cancels_of_a_batch_are_sent_until_each_order_has_ended(fault: Fault) -> None:
    @on_booth(clock=SkippingClock)
    async def body(booth: Booth) -> None:
        ids = place(booth, *range(FAR, FAR + 3))
        await told(booth, ids)
        booth.once(fault)
        cancel(booth, ids)
        await booth.until(lambda: all("CANCELLED" in booth.of(order_id) for order_id in ids))
        await booth.gateway.idle()
        assert [booth.of(order_id) for order_id in ids] == [["ACCEPTED", "CANCELLED"]] * 3
        assert not booth.account.open_orders

    body()


@on_booth()
async def test_order_of_a_batch_of_cancels_that_has_ended_is_asked_about(booth: Booth) -> None:
    ids = place(booth, *range(FAR, FAR + 3))
    await told(booth, ids)
    booth.faults(Fault.DROP)
    first = next(iter(booth.account.open_orders.values()))
    booth.sandbox.venue.exchange.cancel(first)
    booth.faults()
    cancel(booth, ids)
    await booth.until(lambda: all("CANCELLED" in booth.of(order_id) for order_id in ids))
    assert booth.gateway.asking.outcomes[Verdict.GONE] >= 1


@on_booth()
async def test_orders_that_are_cancelled_in_the_frame_that_asks_for_them_are_placed_and_cancelled(booth: Booth) -> None:
    ids, commands = zip(*(new(booth, px) for px in range(FAR, FAR + 5)), strict=True)
    cancels = [booth.command(CommandKind.CANCEL, order_id, side=1, order_type=OrderType.LIMIT) for order_id in ids]
    booth.gateway.take(np.concatenate([*commands, *cancels]))
    await booth.until(lambda: all("CANCELLED" in booth.of(order_id) for order_id in ids))
    assert not booth.account.open_orders


@on_booth(is_open=False)
async def test_batch_is_rejected_while_nothing_may_leave(booth: Booth) -> None:
    await booth.venue.open()
    ids = place(booth, *range(FAR, FAR + 5))
    assert await told(booth, ids) == [["REJECTED"]] * 5
    assert not booth.account.open_orders
