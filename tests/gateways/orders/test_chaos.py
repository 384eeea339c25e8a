"""Random commands while everything goes wrong: at the end the reports come to what the exchange has.

A seed fixes commands and faults; how the two interleave is the event loop's, so a seed that fails is tried again as it
is, and fails by what it breaks and not by its history.
"""

from __future__ import annotations

import asyncio
import random
from collections import Counter

import numpy as np
import pytest

from gateways.orders.known import Stage, Trade
from gateways.orders.past import Past
from gateways.sandbox.faults import Fault, FaultPlan
from oms.bus import Records
from oms.core.orders import OrderInput
from oms.records import CommandKind, OrderFlag, OrderState, OrderType, TimeInForce
from tests.gateways.orders.booth import FAR, Booth, SkippingClock, on_booth
from tests.gateways.orders.mirror import OPEN, Mirror, MirrorOrder

COMMANDS = 60
RATES = {
    Fault.LOSE_REQUEST: 0.03,
    Fault.LOSE_ANSWER: 0.05,
    Fault.UNKNOWN: 0.04,
    Fault.BUSY: 0.03,
    Fault.HTML: 0.02,
    Fault.RATE_LIMIT: 0.02,
    Fault.BAN: 0.01,
    Fault.DROP: 0.05,
    Fault.DUPLICATE: 0.05,
    Fault.REORDER: 0.05,
    Fault.DISCONNECT: 0.02,
    Fault.EXPIRE_KEY: 0.01,
}


class Trader:
    """Asks at random for what the core would let through."""

    def __init__(self, booth: Booth, seed: int) -> None:
        self.booth = booth
        self.mirror = Mirror()
        self.draw = random.Random(seed)
        self.taken = 0

    def take_reports(self) -> None:
        """Apply what has been told since."""
        for report in self.booth.reports[self.taken :]:
            self.mirror.take(report)
        self.taken = len(self.booth.reports)

    def act(self) -> None:
        """One command, or a move of the market."""
        draw = self.draw.random()
        count = 6 if self.draw.random() < 0.1 else 1
        if draw < 0.5:
            self.send([self.place() for _ in range(count)])
        elif draw < 0.6:
            self.amend()
        elif draw < 0.8:
            self.send([command for _ in range(count) if (command := self.cancel()) is not None])
        else:
            self.booth.sandbox.step(self.draw.randrange(1, 40))

    def send(self, commands: list[Records]) -> None:
        """Send commands in one frame."""
        if commands:
            self.booth.gateway.take(np.concatenate(commands))

    def place(self) -> Records:
        side = self.draw.choice((1, -1))
        best = self.booth.best(side)
        qty = self.draw.randrange(10, 400)
        px = self.draw.choice((0, best, best, best + side * 20, best - side * self.draw.randrange(1, 500), FAR * 2))
        flags = self.draw.choice((0, 0, 0, OrderFlag.POST_ONLY, OrderFlag.REDUCE_ONLY)) if px else 0
        time_in_force = self.draw.choice((TimeInForce.GTC,) * 3 + (TimeInForce.IOC, TimeInForce.FOK))
        if not px or flags == OrderFlag.POST_ONLY:
            time_in_force = TimeInForce.IOC if not px else TimeInForce.GTC
        order_id = self.booth.new_id()
        self.mirror.orders[order_id] = MirrorOrder(side, px, qty)
        order_type = OrderType.LIMIT if px else OrderType.MARKET
        terms = {"order_type": order_type, "time_in_force": time_in_force, "flags": flags}
        return self.booth.command(CommandKind.NEW, order_id, side=side, qty=qty, px=px, **terms)

    def amend(self) -> None:
        live = [item for item in self.mirror.orders.items() if item[1].state is OrderState.LIVE and item[1].px]
        if not live:
            return
        order_id, order = self.draw.choice(live)
        px, qty = order.px + self.draw.randrange(-20, 20), order.filled_qty + self.draw.randrange(1, 300)
        if order.ask(OrderInput.REQUEST_AMEND):
            order.pending_px, order.pending_qty = px, qty
            self.booth.send(CommandKind.AMEND, order_id, px=px, qty=qty, side=order.side, order_type=OrderType.LIMIT)

    def cancel(self) -> Records | None:
        if not self.mirror.orders:
            return None
        order_id, order = self.draw.choice(list(self.mirror.orders.items()))
        if not order.ask(OrderInput.REQUEST_CANCEL):
            return None
        return self.booth.command(CommandKind.CANCEL, order_id, side=order.side, order_type=OrderType.LIMIT)

    def past(self) -> Past:
        """What the core knows that has had the reports taken so far."""
        number = self.booth.instrument.id
        orders = self.mirror.orders
        booked = {Trade(number, order.side, trade_id) for order in orders.values() for trade_id in order.trades}
        left = [
            self.booth.left(order_id, order.state, order.side, order.qty, order.px, filled_qty=order.filled_qty)
            for order_id, order in orders.items()
            if order.state in OPEN
        ]
        left = [each._replace(is_amending=orders[each.order.order_id].pending_qty > 0) for each in left]
        for each in left:
            each.order.order_type = OrderType.LIMIT if each.order.px else OrderType.MARKET
            each.order.stage = Stage.LIVE if orders[each.order.order_id].is_accepted else Stage.PENDING
        return Past(left, {number: self.mirror.qty}, {}, booked)

    async def restart(self) -> None:
        """The gateway dies, and some of its last reports never come to the core."""
        await self.booth.gateway.close()
        untaken = len(self.booth.reports) - self.taken
        del self.booth.reports[self.taken + self.draw.randrange(untaken + 1) :]
        self.take_reports()
        await self.booth.restart(self.past())
        self.taken = 0


def check_orders(trader: Trader) -> None:
    """The orders of the reports are exactly those that the exchange has."""
    booth, mirror = trader.booth, trader.mirror
    exchange = booth.sandbox.venue.exchange
    there = {booth.known.ids.order_id(order.client_order_id): order for order in exchange.orders.values()}
    assert Counter(order.client_order_id for order in exchange.orders.values()).most_common(1)[0][1] == 1
    for order_id, order in mirror.orders.items():
        shown = there.pop(order_id, None)
        if shown is None:
            assert order.state is OrderState.REJECTED, f"{order_id} is {order.state.name} and not there"
            continue
        assert (order.state in OPEN) == shown.status.is_open
        assert order.state not in (OrderState.PENDING_NEW, OrderState.REJECTED)
        assert order.filled_qty == shown.filled_qty
        assert order.trades == {fill.trade_id for fill in booth.account.fills if fill.order is shown}
        if shown.status.is_open:
            assert (order.px, order.qty, order.state) == (shown.px, shown.qty, OrderState.LIVE)
    assert not there, "orders that nobody asked for"


def check_equal(trader: Trader) -> None:
    """The reports come to exactly what the exchange has."""
    booth, mirror = trader.booth, trader.mirror
    check_orders(trader)
    assert mirror.qty == booth.account.qty == booth.known.positions[booth.instrument.id]
    assert booth.known.cash["USDT"] == booth.account.wallet


def run_seed(seed: int, restarts: int = 0) -> None:
    """Play a seed to its end; the gateway is restarted so many times on the way."""

    @on_booth(clock=SkippingClock)
    async def body(booth: Booth) -> None:
        trader = Trader(booth, seed)
        booth.sandbox.venue.faults = FaultPlan(seed, RATES)
        restarting = {COMMANDS * (number + 1) // (restarts + 1) for number in range(restarts)}
        for number in range(COMMANDS):
            trader.act()
            for _ in range(trader.draw.randrange(60)):
                await asyncio.sleep(0)
            if number in restarting:
                await trader.restart()
            elif not restarts or trader.draw.random() < 0.2:
                trader.take_reports()
        booth.faults()
        await booth.gateway.idle()
        await booth.gateway.entry.opened.wait()
        assert await booth.gateway.reconcile(), booth.gateway.entry.why_not
        await booth.gateway.idle()
        trader.take_reports()
        check_equal(trader)

    body()


@pytest.mark.parametrize("seed", range(6))
def test_reports_come_to_what_the_exchange_has(seed: int) -> None:
    run_seed(seed)


@pytest.mark.parametrize("seed", range(20, 23))
def test_reports_come_to_what_the_exchange_has_though_the_gateway_dies(seed: int) -> None:
    run_seed(seed, restarts=2)


@pytest.mark.thorough
@pytest.mark.parametrize("restarts", [0, 3])
@pytest.mark.parametrize("seed", range(100, 200))
def test_reports_come_to_what_the_exchange_has_thoroughly(seed: int, restarts: int) -> None:
    run_seed(seed, restarts)
