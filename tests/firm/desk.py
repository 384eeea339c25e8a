"""One session with real orders on a sandbox, in pieces that can be killed one by one.

The core is a process of its own. Market data and orders run in this one, on the event loop of the sandbox; the clock of
the orders skips what it waits for.
"""

from __future__ import annotations

import asyncio
import os
import random
import signal
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final

import msgspec
import numpy as np

from gateways.credentials import variable
from gateways.live.client import Policy
from gateways.live.market_data import LiveData
from gateways.live.route import route_of
from gateways.orders.conditional import Conditional
from gateways.orders.ids import ids_of
from gateways.orders.process import serve
from gateways.sandbox.accounts import Account, Fill, Order
from gateways.sandbox.exchange import Event, What
from gateways.sandbox.faults import FaultPlan
from gateways.sandbox.server import Sandbox
from gateways.venues import VENUES, Role, implementation
from oms.bus import Publisher, Puller, Pusher, Subscriber, _is_listened_to, new_context
from oms.config import LiveSettings, SandboxSettings, Settings, write_session
from oms.core.state import State, new_state
from oms.lifecycle import decode_heartbeat
from oms.records import (
    COMMAND,
    RPC_CLIENT_BASE,
    CommandKind,
    OrderFlag,
    OrderState,
    OrderType,
    RecordKind,
    Source,
    TimeInForce,
    TradingState,
    Trigger,
    TriggerSource,
)
from oms.recovery import OPEN_STATES
from oms.snapshot import read_snapshot, snapshots
from tests.firm.settings import Market, firm_settings
from tests.firm.zygote import Zygote
from tests.gateways.orders.booth import SkippingClock

POLICY: Final = Policy(silent_s=30.0, first_wait_s=0.005, longest_wait_s=0.02, snapshot_every_s=0.005)
PATIENCE_S: Final = 30.0


class OwnLife:
    """The orders' lifecycle: it ends when it is told to."""

    def __init__(self) -> None:
        self.stopping = False
        self.core_ended = False
        self.counters: dict[str, float] = {}

    def beat(self, counters: Mapping[str, float], state: str = "") -> bool:
        self.counters = dict(counters)
        return True


class FirmDesk:
    """One session.

    Parameters
    ----------
    sandbox
        Open, with its first messages taken.
    zygote
        Forks the core.
    folder
        Of the session's data.

    Attributes
    ----------
    settings : Settings
    broken : list of str
        Limits that the exchange has seen passed.
    """

    def __init__(
        self, sandbox: Sandbox, zygote: Zygote, folder: Path, market: Market, more: str = "", **given: Any
    ) -> None:
        self.sandbox = sandbox
        self.market = market
        self._zygote = zygote
        ca_file = folder / "ca.pem"
        settings = firm_settings(folder, more=more, market=market, **given)
        ca_file.write_bytes(sandbox.ca_pem)
        stands = SandboxSettings(port=sandbox.port, ca=os.fspath(ca_file))
        live = LiveSettings(instruments=(market.symbol,), sandbox={market.venue: stands})
        self.settings: Settings = msgspec.structs.replace(settings, live=live)
        self.session_file = write_session(self.settings)
        self.context = new_context()
        self.instrument = self.settings.instrument(market.symbol)
        self.account: Account = sandbox.venue.exchange.accounts[0]
        self.broken: list[str] = []
        self.life = OwnLife()
        self._environment = {
            variable(market.venue, part): sandbox.login[name]
            for part, name in (("key", "apiKey"), ("secret", "secret"), ("passphrase", "password"))
        }
        self._heartbeats = Puller(self.context, self.settings.heartbeat_endpoint)
        self._ticks = Publisher(
            self.context, self.settings.live_ticks_endpoint(market.venue), RecordKind.TICK, Source.GATEWAY
        )
        self._commands = Pusher(self.context, self.settings.core_endpoint, RecordKind.COMMAND, Source.RPC)
        self._events = Subscriber(self.context, [self.settings.events_endpoint], [RecordKind.EVENT])
        self._core = 0
        self._core_ready = False
        self._numbers = iter(range(1, 10**6))
        self._orders: asyncio.Task[int] | None = None
        self._data: asyncio.Task[None] | None = None
        limits = self.settings.risk_limits(self.instrument)
        assert limits is not None
        self._most_qty = self.instrument.qty_to_lots(limits.max_order_qty)
        self._most_position = self.instrument.qty_to_lots(limits.max_position)
        self._most_open = limits.max_open_orders
        sandbox.venue.exchange.listeners.append(self._watch)

    # ---- pieces

    def start_core(self) -> None:
        """Fork a core."""
        self._core_ready = False
        self._core = self._zygote.core(self.session_file)

    async def core_is_ready(self) -> None:
        """Wait for the core's word."""

        def heard() -> bool:
            while self._heartbeats.socket.poll(0):
                beat = decode_heartbeat(self._heartbeats.socket.recv())
                if beat is not None and beat.pid == self._core:
                    self._core_ready = self._core_ready or beat.state == "ready"
            return self._core_ready

        await self.until(heard)

    async def kill_core(self) -> None:
        """End it as SIGKILL does."""
        await self._end_core(signal.SIGKILL)

    async def stop_core(self) -> None:
        """End it in good order."""
        await self._end_core(signal.SIGTERM)

    async def _end_core(self, number: int) -> None:
        descriptor = os.pidfd_open(self._core)
        signal.pidfd_send_signal(descriptor, number)
        ended = asyncio.Event()
        loop = asyncio.get_running_loop()
        loop.add_reader(descriptor, ended.set)
        async with asyncio.timeout(PATIENCE_S):
            await ended.wait()
        loop.remove_reader(descriptor)
        os.close(descriptor)
        self._core = 0

    async def start_orders(self) -> None:
        """Begin to send orders, once nobody else takes them."""
        path = self.settings.orders_endpoint(self.market.venue).removeprefix("ipc://")
        await self.until(lambda: not _is_listened_to(path))
        self.life = OwnLife()
        clock = SkippingClock()
        self._orders = asyncio.ensure_future(
            serve(self.settings, self.life, self.context, self._environment, self.market.venue, clock, audit_s=0.2)
        )

    async def orders_leave(self) -> None:
        """Wait until they may."""
        await self.until(lambda: self.life.counters.get("trades"))

    async def kill_orders(self) -> None:
        """End the orders' side in the middle of whatever it does."""
        assert self._orders is not None
        self._orders.cancel()
        await asyncio.wait((self._orders,))

    async def stop_orders(self) -> None:
        """End it in good order."""
        assert self._orders is not None
        self.life.stopping = True
        async with asyncio.timeout(PATIENCE_S):
            await self._orders

    def start_data(self) -> None:
        """Begin to publish market data."""
        route = route_of(self.settings.live.sandbox[self.market.venue], VENUES[self.market.venue].hosts)
        live = LiveData([self.instrument], route, self._ticks, POLICY)

        async def look() -> None:
            while True:
                live.look()
                await asyncio.sleep(0.01)

        async def run() -> None:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(live.run())
                tasks.create_task(look())

        self._data = asyncio.ensure_future(run())

    async def close(self) -> None:
        """End whatever still runs."""
        if self._core:
            await self.kill_core()
        tasks = [task for task in (self._orders, self._data) if task is not None]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        for socket in (self._heartbeats, self._ticks, self._commands, self._events):
            socket.close()
        self.context.destroy(linger=0)

    async def until(self, reached: Callable[[], Any]) -> None:
        """Let everything go on until ``reached()`` is true."""
        try:
            async with asyncio.timeout(PATIENCE_S):
                while not reached():
                    for task in (self._orders, self._data):
                        if task is not None and task.done() and not task.cancelled():
                            task.result()  # raises what ended it
                    await asyncio.sleep(0.001)
        except TimeoutError:
            raise AssertionError(f"it did not come about; orders said {self.life.counters}") from None

    # ---- what a client does

    def new_id(self) -> int:
        """An order id of a client."""
        return RPC_CLIENT_BASE << 40 | next(self._numbers)

    def send(self, kind: CommandKind, **fields: int) -> None:
        """Send the core a command."""
        command = np.zeros(1, COMMAND)
        given = {"kind": kind, "source": RPC_CLIENT_BASE, "strategy": -1, "instrument": self.instrument.id}
        for name, value in (given | fields).items():
            command[name] = value
        self._commands.send(command)

    def resume(self) -> None:
        """Let the account trade again."""
        self.send(CommandKind.SET_TRADING_STATE, instrument=-1, value=TradingState.ACTIVE)

    # ---- what it comes to

    @property
    def keeps_stops(self) -> bool:
        """Whether stops stand at the exchange."""
        return issubclass(implementation(self.market.venue, Role.ORDERS), Conditional)

    @property
    def qty(self) -> int:
        """What the exchange's fills come to, lots."""
        return sum(fill.order.side * fill.qty for fill in self.account.fills)

    def holdings(self) -> dict[str, int]:
        """What the exchange says that the account has, cash by currency."""
        if self.instrument.kind == "spot":
            return {self.instrument.base: self.account.base_wallet, self.instrument.quote: self.account.wallet}
        return {self.instrument.settlement: self.account.wallet}

    def state(self) -> State:
        """The tables that the core has left behind."""
        st = new_state()
        snapshot = read_snapshot(snapshots(self.settings.snapshot_dir)[0])
        assert snapshot.clean
        for name, table in snapshot.tables.items():
            if name in ("orders", "positions", "wallets", "orders_used"):
                st[0][name] = table.reshape(st[0][name].shape) if np.ndim(st[0][name]) else table.item()
        return st

    def check_equal(self) -> None:
        """The core has exactly what the exchange has."""
        exchange = self.sandbox.venue.exchange
        ids = ids_of(self.settings.account, are_integers=VENUES[self.market.venue].has_integer_ids)
        there: dict[int, Order] = {}
        for order in exchange.orders.values():
            order_id = ids.order_id(order.client_order_id)
            assert order_id, f"order {order.client_order_id} is not ours"
            assert order_id not in there, f"order {order_id} was placed twice"
            there[order_id] = order
        waiting = self.sandbox.venue.conditionals.open_of(self.account) if self.keeps_stops else ()
        stops = {ids.order_id(stop.client_id): stop for stop in waiting}
        s = self.state()[0]
        rows = s["orders"][: int(s["orders_used"])]
        for row in rows[rows["order_id"] > 0]:
            order_id, state = int(row["order_id"]), OrderState(int(row["state"]))
            shown = there.pop(order_id, None)
            stop = stops.pop(order_id, None)
            stands = state in OPEN_STATES and not row["held_for"] and bool(row["flags"] & OrderFlag.AT_EXCHANGE)
            assert stands == (stop is not None), f"{order_id} is {state.name} and stands or not"
            if stop is not None:
                shown_terms = (stop.qty, stop.px, stop.trigger_px)
                assert (int(row["qty"]), int(row["px"]), int(row["trigger_px"])) == shown_terms
                continue
            if shown is None:
                assert state not in OPEN_STATES or row["held_for"], f"{order_id} is {state.name} and not there"
                continue
            assert (state in OPEN_STATES) == shown.status.is_open, f"{order_id}: {state.name}, {shown.status.name}"
            assert int(row["filled_qty"]) == shown.filled_qty, f"{order_id} is filled otherwise"
            if shown.status.is_open:
                assert (int(row["px"]), int(row["qty"])) == (shown.px, shown.qty), f"{order_id} has other terms"
        assert not there, f"the core does not know {list(there)}"
        assert not stops, f"the core does not know the stops {list(stops)}"
        position = s["positions"][0, self.instrument.id, 0]
        assert int(position["qty"]) == self.qty
        wallets = {
            each.currency: int(s["wallets"][0, number]["balance"])
            for number, each in enumerate(self.settings.wallets)
            if each.venue == self.market.venue
        }
        assert wallets == self.holdings(), (wallets, self.holdings())
        assert not self.broken, self.broken

    def _watch(self, event: Event) -> None:
        """Note a limit that has been passed; more is open at an exchange than the core knows only while it cancels."""
        if event.what is What.NEW and event.order.qty > self._most_qty:
            self.broken.append(f"an order of {event.order.qty} lots")
        if event.what is What.NEW and len(self.account.open_orders) > self._most_open:
            self.broken.append(f"{len(self.account.open_orders)} open orders")
        if isinstance(event.fill, Fill) and abs(self.qty) > self._most_position:
            self.broken.append(f"a position of {self.qty} lots")


class Chaos:
    """Random commands, moves of the market and deaths, from a seed."""

    def __init__(self, desk: FirmDesk, seed: int) -> None:
        self.desk = desk
        self.draw = random.Random(seed)
        self.ids: list[int] = []
        self.deaths = 0

    async def run(self, actions: int, plan: FaultPlan) -> None:
        """Do so many things while what the plan says goes wrong, then let everything come to rest."""
        desk = self.desk
        desk.sandbox.venue.faults = plan
        for _ in range(actions):
            await self.act()
            await asyncio.sleep(self.draw.random() * 0.004)
        desk.sandbox.venue.faults = FaultPlan()
        await desk.core_is_ready()
        await desk.orders_leave()

    async def act(self) -> None:
        """One thing."""
        draw = self.draw.random()
        if draw < 0.45:
            self.desk.sandbox.step(self.draw.randrange(1, 60))
        elif draw < 0.7:
            self.place()
        elif draw < 0.8:
            self.amend()
        elif draw < 0.95:
            self.cancel()
        elif draw < 0.965:
            await self.die()
        elif self.desk.keeps_stops:
            self.place_stop()

    def place(self) -> None:
        venue = self.desk.sandbox.venue
        side = self.draw.choice((1, -1))
        best = venue.exchange.bid_px if side > 0 else venue.exchange.ask_px
        px = self.draw.choice((0, best, best + side * 5, best - side * self.draw.randrange(1, 300)))
        flags = self.draw.choice((0, 0, OrderFlag.POST_ONLY, OrderFlag.REDUCE_ONLY)) if px else 0
        terms = (OrderType.LIMIT, TimeInForce.GTC) if px else (OrderType.MARKET, TimeInForce.IOC)
        order_id = self.desk.new_id()
        self.ids.append(order_id)
        self.desk.send(
            CommandKind.NEW,
            order_id=order_id,
            side=side,
            px=px,
            qty=self.draw.randrange(*self.desk.market.qty),
            flags=int(flags),
            order_type=terms[0],
            time_in_force=terms[1],
        )

    def place_stop(self) -> None:
        """One that stands at the exchange: the market is near it, at it, or past it already."""
        side = self.draw.choice((1, -1))
        exchange = self.desk.sandbox.venue.exchange
        trigger_px = exchange.last_px + side * self.draw.randrange(-5, 60)
        px = self.draw.choice((0, trigger_px + 20 * side))
        flags = OrderFlag.AT_EXCHANGE | self.draw.choice((0, OrderFlag.REDUCE_ONLY))
        order_id = self.desk.new_id()
        self.ids.append(order_id)
        self.desk.send(
            CommandKind.NEW,
            order_id=order_id,
            side=side,
            px=px,
            qty=self.draw.randrange(*self.desk.market.qty),
            flags=int(flags),
            order_type=OrderType.LIMIT if px else OrderType.MARKET,
            time_in_force=TimeInForce.GTC,
            trigger=Trigger.STOP,
            trigger_source=TriggerSource.LAST,
            trigger_px=trigger_px,
        )

    def amend(self) -> None:
        if self.ids:
            venue = self.desk.sandbox.venue
            px = venue.exchange.bid_px - self.draw.randrange(-20, 200)
            qty = self.draw.randrange(*self.desk.market.qty)
            self.desk.send(CommandKind.AMEND, order_id=self.draw.choice(self.ids), px=px, qty=qty)

    def cancel(self) -> None:
        if self.ids:
            self.desk.send(CommandKind.CANCEL, order_id=self.draw.choice(self.ids))

    async def die(self) -> None:
        """The core or the orders' side is killed, and started again as the supervisor would."""
        desk = self.desk
        self.deaths += 1
        if self.draw.random() < 0.5:
            await desk.kill_orders()
            await desk.start_orders()
            return
        await desk.core_is_ready()
        await desk.kill_core()
        if self.draw.random() < 0.5:
            await desk.kill_orders()
        desk.start_core()
        await desk.core_is_ready()
        if desk._orders is not None and desk._orders.done():
            await desk.start_orders()
        desk.resume()
