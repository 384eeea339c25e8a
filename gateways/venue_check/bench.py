"""The order gateway and the live market data of one venue, put together as a session has them, for its checks.

What the gateway tells goes to no core but to the checks. Orders are asked for by commands, as the core would; what a
check wants to know of the exchange itself it asks of ``venue``.
"""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import replace
from fractions import Fraction
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from gateways.credentials import Credentials
from gateways.live.client import DEFAULT_POLICY, Policy
from gateways.live.market import Market
from gateways.live.market_data import LOOK_S, LiveData
from gateways.live.requests import Requests
from gateways.orders.clock import Clock
from gateways.orders.gateway import OrderGateway
from gateways.orders.ids import ClientIds, IntegerIds
from gateways.orders.known import Known, Order
from gateways.orders.outcomes import REQUEST_ERRORS, told_text
from gateways.orders.venue import Venue, VenueType
from gateways.venue_check.place import Place
from gateways.venues import Role, implementation
from oms.bus import Records
from oms.instruments import Instrument
from oms.records import CASH_SCALE, COMMAND, CommandKind, OrderFlag, OrderType, ReportKind, TickKind, TimeInForce

Ticks = npt.NDArray[np.void]

OWNER: Final = "venue-check"
"""Whose orders they are: what tells them from those of a session."""
PATIENCE_S: Final = 30.0
"""How long the exchange may take with what is awaited of it."""
FAR: Final = Fraction(4, 100)
"""How far from the market an order rests that is not to be filled."""
NOTIONAL_MARGIN: Final = Fraction(3, 2)
"""Times the least value that the exchange takes is what is bought: so it can be sold again, where the fee was taken of
it too, or the price has fallen."""


ENDS: Final = (ReportKind.REJECTED, ReportKind.CANCELLED, ReportKind.EXPIRED)


class CheckError(Exception):
    """The venue does not do what it should; the message says what it did."""


class NotHereError(Exception):
    """The venue does not have what would be tried."""


class Heard:
    """What market data have brought: stands for the bus.

    Attributes
    ----------
    updates : list of array
        DEPTH records so far, frame by frame.
    counts : dict of int by TickKind
    best : set of pair
        Best bid and ask, in ticks, that quotes have said.
    """

    def __init__(self) -> None:
        self.updates: list[Ticks] = []
        self.counts = dict.fromkeys(TickKind, 0)
        self.best: set[tuple[int, int]] = set()
        self.came = asyncio.Event()

    def send(self, records: Ticks) -> None:
        """As a publisher does."""
        kinds = records["kind"]
        for kind in TickKind:
            self.counts[kind] += int((kinds == kind).sum())
        depth = records[kinds == TickKind.DEPTH]
        if len(depth):
            self.updates.append(depth)
        self.best.update(records[kinds == TickKind.QUOTE][["px", "px_2"]].tolist())
        self.came.set()

    def poll_subscribers(self) -> int:
        """Always the one."""
        return 1


class Bench:
    """What a check works with.

    Parameters
    ----------
    place, instrument
        Where, and in what.
    exchange, venue
        The ccxt that orders go by, and the order side over it.
    heard, live, requests
        Market data, and how more of them are asked for.
    clock
        The gateway's.
    patience_s
        See ``PATIENCE_S``.

    Attributes
    ----------
    reports : list of record
        What the gateway has told.
    lines : list of str
        What it has logged.
    placed : list of int
        Ids of the orders that were asked for.
    is_fit : bool
        The instrument is as the exchange has it: before that is known no order leaves.
    """

    def __init__(
        self,
        place: Place,
        instrument: Instrument,
        exchange: Any,
        venue: Venue,
        heard: Heard,
        live: LiveData,
        requests: Requests,
        clock: Clock,
        patience_s: float,
    ) -> None:
        self.place = place
        self.instrument = instrument
        self.exchange = exchange
        self.venue = venue
        self.heard = heard
        self.live = live
        self.requests = requests
        self.patience_s = patience_s
        self.reports: list[np.void] = []
        self.lines: list[str] = []
        self.placed: list[int] = []
        self.is_fit = False
        self._came = asyncio.Event()
        self._last_id = time.time_ns()
        wallets = {currency: number for number, currency in enumerate(currencies_of(instrument))}
        ids = (IntegerIds if place.venue.has_integer_ids else ClientIds)(OWNER)
        self.known = Known(0, ids, (instrument,), wallets, self._tell, clock.time_ns)
        self.gateway = OrderGateway(venue, exchange, self.known, clock, self._say, switch_s=0.0)

    @property
    def market(self) -> Market:
        """The one market."""
        return self.live.markets[0]

    @property
    def market_type(self) -> Any:
        """ccxt's description of the instrument; raises ``CheckError`` where the exchange's could not be loaded."""
        if not self.exchange.markets:
            raise CheckError("the exchange's instruments are not known")
        return next(each for each in self.exchange.markets.values() if each["id"] == self.instrument.symbol)

    # Prices and quantities

    def best(self, side: int) -> int:
        """The best price of a side, ticks; raises ``CheckError`` while there is no book."""
        book = self.market.book()
        if book is None or not (book["side"] == side).any():
            raise CheckError("there is no book to take a price from")
        return int(book["px"][book["side"] == side][0])

    def far(self, side: int) -> int:
        """A price at which an order of a side rests."""
        return int(self.best(side) * (1 - side * FAR))

    def crossing(self, side: int) -> int:
        """A price at which an order of a side takes what the other side displays."""
        best = self.best(-side)
        return best + side * max(best // 500, 1)

    def smallest(self, px: int, margin: Fraction = NOTIONAL_MARGIN) -> int:
        """The fewest lots that the exchange takes at a price, and some more where it is their value that counts."""
        limits = self.market_type["limits"]
        lots = Fraction(str(limits["amount"]["min"] or 0)) / Fraction(self.instrument.lot)
        value = Fraction(str(limits["cost"]["min"] or 0)) * margin * CASH_SCALE
        if value and not self.instrument.inverse:
            lots = max(lots, value / (self.instrument.cash_per_tick_lot * px))
        return max(math.ceil(lots), 1)

    # Orders

    def ask(
        self,
        side: int,
        qty: int,
        px: int = 0,
        time_in_force: TimeInForce = TimeInForce.GTC,
        flags: int = 0,
        **more: int,
    ) -> int:
        """Ask for an order, at the market where no price is given, and return its id; ``more`` are of the command."""
        if not (self.is_fit and self.gateway.entry.is_open):
            why = self.gateway.entry.why_not if self.is_fit else "the instrument is not as the exchange has it"
            raise CheckError(f"no order leaves: {why}")
        self._last_id += 1
        order_type = OrderType.LIMIT if px else OrderType.MARKET
        terms = {"side": side, "qty": qty, "px": px, "order_type": order_type, "flags": flags, **more}
        self.placed.append(self._last_id)
        self.send(CommandKind.NEW, self._last_id, time_in_force=time_in_force if px else TimeInForce.IOC, **terms)
        return self._last_id

    async def rest(self, times: int = 1) -> Order:
        """A new order that rests far from the market, of so many times the smallest size."""
        px = self.far(1)
        order_id = self.ask(1, times * self.smallest(px), px)
        await self.told(order_id, ReportKind.ACCEPTED)
        return self.order(order_id)

    async def end(self, order: Order) -> None:
        """Cancel an order, and wait for that to be told."""
        self.send(CommandKind.CANCEL, order.order_id, side=order.side)
        await self.told(order.order_id, ReportKind.CANCELLED)

    def send(self, kind: CommandKind, order_id: int, **fields: int) -> None:
        """Send a command."""
        command = np.zeros(1, COMMAND)
        fields |= {"order_id": order_id, "instrument": self.instrument.id, "version": self.instrument.version}
        for name, value in {"kind": int(kind), "strategy": -1, **fields}.items():
            command[name] = value
        self.gateway.take(command)

    def order(self, order_id: int) -> Order:
        """An order that was asked for."""
        order = self.known.find(self.instrument.id, self.known.ids.text(order_id), 0)
        assert order is not None
        return order

    def of(self, order_id: int, *kinds: ReportKind) -> list[np.void]:
        """The reports of these kinds about an order."""
        return [each for each in self.reports if each["order_id"] == order_id and each["kind"] in kinds]

    async def told(self, order_id: int, kind: ReportKind, times: int = 1) -> None:
        """Wait until so many reports of a kind about an order have come; raises ``CheckError`` when it is told an end
        or a refusal instead, or nothing."""
        others = [each for each in (*ENDS, ReportKind.AMEND_REJECTED, ReportKind.CANCEL_REJECTED) if each is not kind]

        def has_come() -> bool:
            return len(self.of(order_id, kind)) >= times or bool(self.of(order_id, *others))

        await self.until(has_come, f"{kind.name} of an order")
        if len(self.of(order_id, kind)) < times:
            other = ReportKind(int(self.of(order_id, *others)[0]["kind"]))
            raise CheckError(f"an order was told {other.name} instead of {kind.name}{self.last_line}")

    async def done(self, order_id: int) -> None:
        """Wait until an order has ended, and all its fills have been told."""
        known = self.known
        await self.until(lambda: known.is_known(order_id) and order_id not in known.orders, "the end of an order")

    async def pause(self) -> None:
        """Give the exchange a moment."""
        await asyncio.sleep(min(self.patience_s / 10, 1.0))

    async def until(self, reached: Callable[[], Any], what: str) -> Any:
        """Wait until ``reached()`` is true, and return it; raises ``CheckError`` when that takes too long."""
        try:
            async with asyncio.timeout(self.patience_s):
                while not (found := reached()):
                    self._came.clear()
                    self.heard.came.clear()
                    await self._something()
                    self.live.look()
                return found
        except TimeoutError:
            raise CheckError(f"{what} did not come within {self.patience_s:g} s{self.last_line}") from None

    async def _something(self) -> None:
        """Wait for a report, a line or market data; now and then it is looked anyway."""
        waits = [asyncio.ensure_future(event.wait()) for event in (self._came, self.heard.came)]
        try:
            await asyncio.wait(waits, timeout=LOOK_S, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for each in waits:
                each.cancel()

    @property
    def last_line(self) -> str:
        """What the gateway has logged last, to be put behind an error."""
        return f"; the gateway said last: {self.lines[-1]}" if self.lines else ""

    # What is left

    @property
    def net_qty(self) -> int:
        """Signed lots that the orders asked for here have filled."""
        fills = [each for each in self.reports if each["kind"] == ReportKind.FILL and each["order_id"] in self.placed]
        return sum(int(each["side"]) * int(each["qty"]) for each in fills)

    @property
    def qty_to_close(self) -> int:
        """Signed lots of those that can be traded back: of spot what the fee has left, if the exchange takes so few."""
        net = self.net_qty
        if self.place.venue.has_positions or net <= 0:
            return net
        held = Fraction(self.known.cash.get(self.instrument.base, 0), CASH_SCALE) / Fraction(self.instrument.lot)
        qty = min(net, int(held))
        return qty if qty >= self.smallest(self.best(1), Fraction(1)) else 0

    def ask_close(self, qty: int) -> int:
        """Ask for the opposite of so many signed lots at the market, and return the order's id."""
        flags = OrderFlag.REDUCE_ONLY if self.place.venue.has_positions else 0
        return self.ask(-1 if qty > 0 else 1, abs(qty), flags=flags)

    async def clear(self) -> list[str]:
        """Cancel every order that was asked for here, close what they have filled, and name what is left."""
        await self._cancel_known()
        left = await self._cancel_shown()
        qty = 0
        with suppress(CheckError):
            qty = self.qty_to_close
            if qty:
                await self.done(self.ask_close(qty))
            qty = self.qty_to_close
        if qty:
            left.append(f"{self.instrument.qty_from_lots(qty)} {self.instrument.symbol}, not closed")
        return left

    async def _cancel_known(self) -> None:
        open_ids = [order_id for order_id in self.placed if order_id in self.known.orders]
        for order_id in open_ids:
            self.send(CommandKind.CANCEL, order_id, side=self.order(order_id).side)
        with suppress(CheckError):
            await self.until(lambda: not any(each in self.known.orders for each in open_ids), "the end of orders")

    async def _cancel_shown(self) -> list[str]:
        """Cancel what the exchange still shows of orders that were asked for here; those that it shows even then."""
        try:
            for is_last in (False, True):
                shown = [
                    view
                    for view in await self.venue.open_orders(self.instrument)
                    if self.known.ids.order_id(view.client_id) in self.placed
                ]
                if not shown or is_last:
                    return [f"order {view.venue_order_id} ({view.client_id})" for view in shown]
                for view in shown:
                    order = self.order(self.known.ids.order_id(view.client_id) or 0)
                    with suppress(*REQUEST_ERRORS):
                        is_stop = view.stop is not None
                        order = replace(order, stop_id=view.venue_order_id if is_stop else 0)
                        await self.venue.cancel(replace(order, venue_order_id=0 if is_stop else view.venue_order_id))
        except REQUEST_ERRORS as error:
            return [f"orders that could not be asked for ({told_text(error)})"]
        return []

    def _tell(self, report: Records) -> None:
        self.reports.append(report[0].copy())
        self._came.set()

    def _say(self, line: str) -> None:
        self.lines.append(line)
        self._came.set()


def currencies_of(instrument: Instrument) -> tuple[str, ...]:
    """Those of an instrument's wallets."""
    return (instrument.quote, instrument.base) if instrument.kind == "spot" else (instrument.settlement,)


@asynccontextmanager
async def on_bench(
    place: Place,
    instrument: Instrument,
    credentials: Credentials,
    *,
    patience_s: float = PATIENCE_S,
    policy: Policy = DEFAULT_POLICY,
) -> AsyncIterator[Bench]:
    """A bench within the block; nothing of it runs behind it, and no order that was asked for is left without a word.

    Nothing is connected before a check does so, but market data.
    """
    clock = Clock()
    venue_type: VenueType = implementation(instrument.venue, Role.ORDERS)
    async with AsyncExitStack() as held:
        session = place.session()
        if session is not None:
            held.push_async_callback(session.close)
        exchange = venue_type.new_exchange(credentials, session)
        exchange.options = exchange.deep_extend(exchange.options, place.venue.options)
        place.turn(exchange)
        venue = venue_type(exchange, (instrument,), clock)
        held.push_async_callback(venue.close)
        heard = Heard()
        route = place.route()
        live = LiveData([instrument], route, heard, policy)
        requests = await held.enter_async_context(Requests(route))
        bench = Bench(place, instrument, exchange, venue, heard, live, requests, clock, patience_s)
        held.push_async_callback(bench.gateway.close)
        running = asyncio.ensure_future(live.run())
        held.push_async_callback(_ended, running)
        yield bench


async def _ended(task: asyncio.Task[None]) -> None:
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task
