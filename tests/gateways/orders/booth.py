"""A sandbox and an order gateway that trades on it through an unmodified ccxt, for one test each."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, Final

import numpy as np

from gateways.orders.clock import Clock
from gateways.orders.gateway import OrderGateway
from gateways.orders.generic import GenericOrders
from gateways.orders.generic_requests import REQUESTS
from gateways.orders.ids import ids_of
from gateways.orders.known import Known, Order, Stage, Trade
from gateways.orders.limiter import Limit, Limiter
from gateways.orders.past import Left, Past
from gateways.orders.venue import VenueType
from gateways.sandbox.accounts import Account
from gateways.sandbox.binance.venue import Venue
from gateways.sandbox.faults import Fault, FaultPlan
from gateways.sandbox.server import DEFAULT_BALANCE, Sandbox, credentials_of
from gateways.sidecar import open_recording
from gateways.venues import Role, find_venue, implementation
from oms.bus import Records
from oms.instruments import Instrument
from oms.records import COMMAND, CommandKind, OrderState, OrderType, ReportKind, TimeInForce
from tests.gateways.sandbox.desk import RECORDING, shipped_instrument

DEADLINE_S: Final = 20.0
GRACE_S: Final = 0.05
FAR: Final = 610_000
"""A price in ticks at which a buy rests."""


UNHURRIED: Final = ("ccxt_binance_spot", "ccxt_binanceusdm_linear")
"""Venues whose sandbox takes far more requests than ccxt says that the exchange does."""


class SkippingClock(Clock):
    """Waits take no time: what is waited for is due when everything else has had its turn.

    Waits longer than ``longest_s`` never end: those of the services that go on in the background.
    """

    def __init__(self, longest_s: float = 400.0) -> None:
        self.skipped_s = 0.0
        self.longest_s = longest_s

    def now_s(self) -> float:
        return super().now_s() + self.skipped_s

    async def sleep(self, seconds: float) -> None:
        if seconds > self.longest_s:
            await asyncio.Event().wait()
        self.skipped_s += seconds
        await asyncio.sleep(0)


class FewFaults(FaultPlan):
    """A fault happens to the next so many for which it is decided, and then never again."""

    def __init__(self, fault: Fault, times: int = 1) -> None:
        super().__init__(0, {fault: 1.0})
        self._fault = fault
        self._left = times

    def happens(self, fault: Fault) -> bool:
        happens = fault is self._fault and self._left > 0
        self._left -= happens
        return happens


class Booth:
    """One sandbox, one gateway and every report that it has made."""

    def __init__(self, sandbox: Sandbox, clock: Clock, traded: Instrument | None = None, **options: Any) -> None:
        self.sandbox = sandbox
        self.clock = clock
        self.instrument = traded or sandbox.venue.instrument
        self.reports: list[np.void] = []
        self.entries: list[np.void] = []
        """Those of whether new orders may leave, apart."""
        self.lines: list[str] = []
        self._came = asyncio.Event()
        self._session = sandbox.session()
        self._numbers = iter(range(1, 10**6))
        venue_type: VenueType = implementation(self.instrument.venue, Role.ORDERS)
        self.exchange = venue_type.new_exchange(credentials_of(0), self._session)
        self.venue: Any = venue_type(self.exchange, (self.instrument,), clock)
        if isinstance(self.venue, GenericOrders):
            self.venue.settle_s = 0.0  # the sandbox refuses a stream at once
            if self.instrument.venue in UNHURRIED:
                self.venue.limiter = Limiter((Limit(REQUESTS, 10**6, 1.0, ""),), clock)
        self._options = {"grace_s": GRACE_S, "reconcile_s": 10**6, "switch_s": 0.0, **options}
        self._begin(Past())

    @property
    def binance(self) -> Venue:
        """The sandbox's side of what is Binance's own."""
        venue = self.sandbox.venue
        assert isinstance(venue, Venue)
        return venue

    @property
    def account(self) -> Account:
        """The sandbox's side of it."""
        return self.sandbox.venue.exchange.accounts[0]

    async def open(self) -> None:
        """Have the gateway trade."""
        await self.venue.open()
        self.gateway.start()
        await self.gateway.entry.opened.wait()

    async def restart(self, past: Past) -> None:
        """End the gateway and start another one, which begins with what the core knows; it may not trade yet."""
        await self.gateway.close()
        self.reports.clear()
        self._begin(past)
        for left in past.left:
            self.gateway.recover(*left)
        self.gateway.start()

    def _begin(self, past: Past) -> None:
        wallets = {currency: number for number, currency in enumerate(currencies_of(self.instrument))}
        row = find_venue(self.instrument.venue)
        assert row is not None
        ids = ids_of("test", are_integers=row.has_integer_ids, are_short=row.has_short_ids)
        known = Known(0, ids, (self.instrument,), wallets, self._tell, self.clock.time_ns)
        known.begin(past.positions, past.cash, past.booked, past.payments)
        self.known = known
        options = {**self._options, "since_ts": past.ts}
        self.gateway = OrderGateway(self.venue, self.exchange, known, self.clock, self._say, **options)

    def past(self, **changes: Any) -> Past:
        """What a core knows that has booked everything so far; ``changes`` is what it knows otherwise."""
        number = self.instrument.id
        booked = {Trade(number, fill.order.side, fill.trade_id) for fill in self.account.fills}
        known: dict[str, Any] = {
            "positions": {number: self.account.qty},
            "cash": {self.instrument.settlement: self.account.wallet},
            "booked": booked,
        }
        return Past(**(known | changes))

    def left(self, order_id: int, state: OrderState, side: int, qty: int, px: int = FAR, **fields: Any) -> Left:
        """An order that the core has in ``state``."""
        stage = Stage.PENDING if state is OrderState.PENDING_NEW else Stage.LIVE
        terms = (side, OrderType.LIMIT, TimeInForce.GTC, 0, px, qty)
        filled_qty = fields.get("filled_qty", 0)
        client_id = fields.pop("client_id", self.known.ids.text(order_id))
        known = {"stage": stage, "said_filled_qty": filled_qty} | fields
        return Left(Order(order_id, client_id, self.instrument, *terms, **known), state)

    async def close(self) -> None:
        """End the gateway and its ccxt."""
        await self.gateway.close()
        await self.venue.close()
        await self._session.close()

    def faults(self, *faults: Fault, rate: float = 1.0, seed: int = 1) -> None:
        """Have these happen from now on, and no others."""
        self.sandbox.venue.faults = FaultPlan(seed, dict.fromkeys(faults, rate))

    def once(self, fault: Fault, times: int = 1) -> None:
        """Have a fault befall the next so many, and none after them."""
        self.sandbox.venue.faults = FewFaults(fault, times)

    def new_id(self) -> int:
        """An order id that has not been used."""
        return 1024 << 40 | next(self._numbers)

    def send(self, kind: CommandKind, order_id: int, **fields: Any) -> None:
        """Send a command."""
        self.gateway.take(self.command(kind, order_id, **fields))

    def command(self, kind: CommandKind, order_id: int, **fields: Any) -> Records:
        """A command, not sent yet."""
        command = np.zeros(1, COMMAND)
        command["kind"] = kind
        command["order_id"] = order_id
        command["instrument"] = self.instrument.id
        command["version"] = self.instrument.version
        command["strategy"] = -1
        for name, value in fields.items():
            command[name] = value
        return command

    def place(self, side: int, qty: int, px: int = 0, **fields: Any) -> int:
        """Ask for an order: at the market, or at a price in ticks; its id."""
        order_id = fields.pop("order_id", None) or self.new_id()
        order_type, time_in_force = (OrderType.LIMIT, TimeInForce.GTC) if px else (OrderType.MARKET, TimeInForce.IOC)
        terms = {"side": side, "qty": qty, "px": px, "order_type": order_type, "time_in_force": time_in_force}
        self.send(CommandKind.NEW, order_id, **(terms | fields))
        return order_id

    def amend(self, order_id: int, px: int, qty: int) -> None:
        """Ask for other terms."""
        self.send(CommandKind.AMEND, order_id, px=px, qty=qty, side=1, order_type=OrderType.LIMIT)

    def cancel(self, order_id: int) -> None:
        """Ask for an end."""
        self.send(CommandKind.CANCEL, order_id, side=1, order_type=OrderType.LIMIT, qty=1)

    def of(self, order_id: int) -> list[str]:
        """Names of the reports about an order."""
        return [ReportKind(int(report["kind"])).name for report in self.reports if report["order_id"] == order_id]

    def report(self, order_id: int, kind: ReportKind) -> np.void:
        """The only report of a kind about an order."""
        (found,) = [each for each in self.reports if each["order_id"] == order_id and each["kind"] == kind]
        return found

    async def until(self, reached: Callable[[], Any]) -> None:
        """Wait for reports and lines of the log until ``reached()`` is true."""
        while not reached():
            self._came.clear()
            await self._came.wait()

    async def done(self, order_id: int, *kinds: ReportKind) -> list[str]:
        """Wait until an order has these reports, and the gateway rests; names of all of them."""
        await self.until(lambda: {kind.name for kind in kinds} <= set(self.of(order_id)))
        await self.gateway.idle()
        return self.of(order_id)

    def market_moves(self, reached: Callable[[], Any], most: int = 20_000) -> None:
        """Let recorded messages come until ``reached()`` is true."""
        for _ in range(most):
            if reached():
                return
            self.sandbox.step()
        raise AssertionError("the recording did not bring it")

    def best(self, side: int) -> int:
        """Best displayed price of a side, ticks."""
        levels = self.sandbox.venue.market.book()
        return int(side * (side * levels["px"][levels["side"] == side]).max())

    def _say(self, line: str) -> None:
        self.lines.append(line)
        self._came.set()

    def _tell(self, report: Records) -> None:
        told = self.entries if report["kind"][0] == ReportKind.ORDER_ENTRY else self.reports
        told.append(report[0].copy())
        self._came.set()


def currencies_of(instrument: Instrument) -> tuple[str, ...]:
    """Those of an instrument's wallets, by number."""
    return (instrument.quote, instrument.base) if instrument.kind == "spot" else (instrument.settlement,)


def answered_by(booth: Booth, name: str, answer: Callable[[Any], Awaitable[Any]]) -> None:
    """Have one of ccxt's methods answered otherwise, the first time."""
    real = getattr(booth.exchange, name)

    async def method(*request: Any, **more: Any) -> Any:
        setattr(booth.exchange, name, real)
        return await answer(lambda: real(*request, **more))

    setattr(booth.exchange, name, method)


def on_booth(
    clock: Callable[[], Clock] = Clock, **options: Any
) -> Callable[[Callable[[Booth], Awaitable[None]]], Callable[[], None]]:
    """Turn a coroutine over a ``Booth`` whose gateway trades into a test; options are the gateway's."""

    def decorate(body: Callable[[Booth], Awaitable[None]]) -> Callable[[], None]:
        def test() -> None:
            asyncio.run(_run(body, clock(), options))

        test.__name__ = body.__name__
        test.__doc__ = body.__doc__
        return test

    return decorate


async def _run(body: Callable[[Booth], Awaitable[None]], clock: Clock, options: dict[str, Any]) -> None:
    options = dict(options)
    is_open = options.pop("is_open", True)
    deadline_s = options.pop("deadline_s", DEADLINE_S)
    recording = open_recording(options.pop("recording", RECORDING))
    instrument = options.pop("instrument", None) or shipped_instrument(recording.path)
    balance = options.pop("balance", DEFAULT_BALANCE)
    async with Sandbox(recording, instrument, balance=balance) as sandbox:
        sandbox.step(50)
        booth = Booth(sandbox, clock, **options)
        try:
            async with asyncio.timeout(deadline_s):
                if is_open:
                    await booth.open()
                await body(booth)
        except TimeoutError:
            raise AssertionError(f"nothing more came; the gateway said: {booth.lines[-20:]}") from None
        finally:
            await booth.close()
