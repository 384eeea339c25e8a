"""The rate limiter: never beyond a limit, the most urgent first, pauses kept."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateways.orders.clock import Clock
from gateways.orders.limiter import MARGIN_S, Limit, Limiter, Priority, RateError

LIMIT = Limit("orders", 5, 10.0, "x-orders")
SMALL = Limit("weight", 20, 60.0, "x-weight", has_reserve=True)


class ManualClock(Clock):
    """Stands still until it is moved."""

    def __init__(self) -> None:
        self.seconds = 1000.0
        self._sleeping: list[tuple[float, asyncio.Future[None]]] = []

    def now_s(self) -> float:
        return self.seconds

    async def sleep(self, seconds: float) -> None:
        waking: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._sleeping.append((self.seconds + seconds, waking))
        await waking

    async def move(self, seconds: float) -> None:
        """Let time pass, and everybody do what is due."""
        end_s = self.seconds + seconds
        await settled()
        while due := [each for each in self._sleeping if each[0] <= end_s and not each[1].done()]:
            due_s, waking = min(due, key=lambda each: each[0])
            self._sleeping.remove((due_s, waking))
            self.seconds = max(self.seconds, due_s)
            waking.set_result(None)
            await settled()
        self.seconds = end_s


async def settled() -> None:
    for _ in range(20):
        await asyncio.sleep(0)


def run(body: Coroutine[Any, Any, None]) -> None:
    asyncio.run(body)


steps = st.lists(
    st.tuples(st.sampled_from(list(Priority)), st.integers(0, 3), st.integers(0, 4), st.floats(0, 5)), max_size=60
)


@settings(max_examples=60, deadline=None)
@given(steps)
def test_no_window_of_the_venue_holds_more_than_its_limit(asked: list[tuple[Priority, int, int, float]]) -> None:
    async def body() -> None:
        clock = ManualClock()
        limiter = Limiter((LIMIT, SMALL), clock)
        sent: list[tuple[float, int, int]] = []

        async def request(priority: Priority, orders: int, weight: int) -> None:
            await limiter.turn({"orders": orders, "weight": weight}, priority)
            sent.append((clock.now_s(), orders, weight))

        tasks = []
        for priority, orders, weight, pause_s in asked:
            tasks.append(asyncio.ensure_future(request(priority, orders, weight)))
            await clock.move(pause_s)
        for _ in range(60):
            await clock.move(30.0)
        assert all(task.done() for task in tasks)
        for limit, at in ((LIMIT, 1), (SMALL, 2)):
            for start_s, *_ in sent:
                window = [each[at] for each in sent if start_s <= each[0] < start_s + limit.seconds + MARGIN_S - 1e-6]
                assert sum(window) <= limit.most
        limiter.close()

    run(body())


def test_cancel_goes_before_what_waits_longer() -> None:
    async def body() -> None:
        clock = ManualClock()
        limiter = Limiter((LIMIT,), clock)
        order: list[str] = []
        tasks: list[asyncio.Future[None]] = []

        async def request(name: str, priority: Priority) -> None:
            await limiter.turn({"orders": 5}, priority)
            order.append(name)

        for name, priority in (
            ("first", Priority.ORDER),
            ("reconcile", Priority.RECONCILE),
            ("order", Priority.ORDER),
            ("cancel", Priority.CANCEL),
            ("ask", Priority.ASK),
        ):
            tasks.append(asyncio.ensure_future(request(name, priority)))
            await settled()
        for _ in range(6):
            await clock.move(LIMIT.seconds + MARGIN_S)
        assert order == ["first", "cancel", "ask", "order", "reconcile"]
        limiter.close()

    run(body())


def test_last_part_of_the_weight_is_for_cancels() -> None:
    async def body() -> None:
        limiter = Limiter((SMALL,), ManualClock())
        await limiter.turn({"weight": 18}, Priority.RECONCILE)
        with_patience = asyncio.ensure_future(limiter.turn({"weight": 1}, Priority.ASK))
        await settled()
        assert not with_patience.done()
        await limiter.turn({"weight": 2}, Priority.CANCEL)
        limiter.close()
        with pytest.raises(RateError):
            await with_patience

    run(body())


def test_cancel_of_no_orders_does_not_wait_for_the_order_limit() -> None:
    async def body() -> None:
        limiter = Limiter((LIMIT, SMALL), ManualClock())
        await limiter.turn({"orders": 5}, Priority.ORDER)
        waiting = asyncio.ensure_future(limiter.turn({"orders": 1}, Priority.ORDER))
        await limiter.turn({"weight": 1}, Priority.CANCEL)
        await limiter.turn({"weight": 1}, Priority.RECONCILE)
        assert not waiting.done()
        waiting.cancel()
        limiter.close()

    run(body())


@pytest.mark.parametrize("status", [418, 429])
def test_retry_after_is_honoured(status: int) -> None:
    async def body() -> None:
        clock = ManualClock()
        limiter = Limiter((LIMIT,), clock)
        limiter.observe(status, {"Retry-After": "7"})
        waiting = asyncio.ensure_future(limiter.turn({"orders": 1}, Priority.CANCEL))
        await clock.move(6.9)
        assert not waiting.done()
        assert limiter.pause_s == pytest.approx(0.1)
        await clock.move(0.2)
        assert waiting.done()
        limiter.close()

    run(body())


def test_what_others_use_is_learnt_from_headers() -> None:
    async def body() -> None:
        limiter = Limiter((LIMIT,), ManualClock())
        await limiter.turn({"orders": 1}, Priority.ORDER)
        limiter.observe(200, {"X-Orders": "4", "X-Other": "9"})
        assert limiter.used("orders") == 4
        limiter.observe(200, {"X-Orders": "2"})
        assert limiter.used("orders") == 4

    run(body())


def test_order_that_waits_too_long_is_not_sent_and_holds_nobody_up() -> None:
    async def body() -> None:
        clock = ManualClock()
        limiter = Limiter((LIMIT,), clock)
        await limiter.turn({"orders": 3}, Priority.ORDER)
        late = asyncio.ensure_future(limiter.turn({"orders": 5}, Priority.ORDER, patience_s=2.0))
        behind = asyncio.ensure_future(limiter.turn({"orders": 2}, Priority.ORDER))
        await clock.move(1.0)
        assert not late.done()
        assert not behind.done()
        await clock.move(1.5)
        with pytest.raises(RateError, match="orders 3 of 5"):
            await late
        await behind
        assert (limiter.granted, limiter.refused) == (2, 1)
        limiter.close()

    run(body())
