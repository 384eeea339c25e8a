"""A core with one instrument and an exchange model, driven record by record: the test is the market and the client."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any, Final, NamedTuple

import numpy as np
import numpy.typing as npt
import pytest

from oms import engine
from oms.assembly import define_accounts, define_limits
from oms.compiled import Callback, compile_entries
from oms.config import Settings, load_settings
from oms.core.orders import OPEN_STATES
from oms.core.state import State, define_instrument, new_state
from oms.exchange_model import Latency, load_model, use_model
from oms.instruments import Instrument
from oms.money import define_money
from oms.records import (
    COMMAND,
    EVENT,
    ORDER_ID_COUNTER_BITS,
    RPC_CLIENT_BASE,
    TICK,
    CommandKind,
    EventKind,
    Liquidity,
    OrderState,
    OrderType,
    TickFlag,
    TickKind,
    TimeInForce,
    TradingState,
)
from tests.limits import WIDE_LIMITS, rich_account
from tests.oms.core.builders import joined

Rows = npt.NDArray[np.void]

STRATEGIES: Final = Path(__file__).resolve().parent / "strategies"
START_NS: Final = 1_700_000_000_000_000_000
MS: Final = 1_000_000
SIDES: Final = pytest.mark.parametrize("side", [1, -1], ids=["buy", "sell"])
BOTH: Final = int(TickFlag.FIRST | TickFlag.LAST)


def instrument(number: int = 0, **others: Any) -> Instrument:
    """A linear instrument with tick 1 and lot 1, unless ``others`` say otherwise."""
    fields: dict[str, Any] = {"tick": "1", "lot": "1", **others}
    return Instrument(id=number, symbol=f"TEST{number}", venue="binance_usdm", kind="linear_perpetual", **fields)


def settings_of(*instruments: Instrument, model: str = "displayed", **others: Any) -> Settings:
    """Settings without strategies for these instruments; ``others`` are laid over them."""
    import msgspec

    tree: dict[str, Any] = {
        "replay": {"file": "none"},
        "matching": {"model": model},
        "instruments": msgspec.to_builtins(instruments),
        "risk": {f"{each.symbol}.{each.venue}": msgspec.to_builtins(WIDE_LIMITS) for each in instruments},
        "accounts": {"paper": msgspec.to_builtins(rich_account(instruments))},
        "strategies": [],
    }
    return load_settings(None, {**tree, **others})


@cache
def compiled_model(name: str) -> dict[str, Callback]:
    compile_entries()
    return load_model(name)


def new_core(
    model: str = "displayed", *, entry_ns: int = 0, response_ns: int = 0, instruments: tuple[Instrument, ...] = ()
) -> State:
    """A core state ready to step, with limits that nothing reaches."""
    settings = settings_of(*(instruments or (instrument(),)))
    st = new_state()
    for each in settings.instruments:
        define_instrument(st, each)
        define_limits(st, settings, each)
    define_accounts(st, settings, TradingState.ACTIVE)
    define_money(st, settings.instruments, settings.wallets, settings.currency_codes, settings.conversions)
    use_model(st, compiled_model(model), Latency(entry_ns, response_ns))
    return st


class Fill(NamedTuple):
    """One fill as the core reported it."""

    ts: int
    order_id: int
    side: int
    px: int
    qty: int
    maker: bool


def fills_of(events: Rows) -> list[Fill]:
    """The fills among events, in order."""
    rows = events[events["kind"] == EventKind.ORDER_FILLED]
    return [
        Fill(
            int(row["ts"]),
            int(row["order_id"]),
            int(row["side"]),
            int(row["last_px"]),
            int(row["last_qty"]),
            bool(row["liquidity"] == Liquidity.MAKER),
        )
        for row in rows
    ]


class Venue:
    """One core with an exchange model, at a time that only the test moves.

    Prices are ticks, quantities lots, sides +1 and -1; ``number`` is the instrument's.
    """

    def __init__(self, model: str = "displayed", *, entry_ns: int = 0, response_ns: int = 0, count: int = 1) -> None:
        self.st = new_core(
            model,
            entry_ns=entry_ns,
            response_ns=response_ns,
            instruments=tuple(instrument(number) for number in range(count)),
        )
        self.now = START_NS
        self.events: list[Rows] = []
        self.kept_alive: object = None
        self._update_id = [1] * count
        self._orders = 0

    def step(self, ticks: Rows) -> None:
        """Take ticks that are stamped already."""
        start = 0
        while start < len(ticks):
            start = engine.step_ticks(self.st, ticks, start, 0)
            self._flush()

    def _flush(self) -> None:
        s = self.st[0]
        assert s["events_lost"] == 0
        self.events.append(s["events"][: s["event_count"]].copy())
        s["event_count"] = s["command_count"] = s["report_count"] = s["parent_count"] = 0

    def _message(self, kind: TickKind, rows: list[tuple[int, int, int]], number: int, previous_id: int) -> None:
        self.now += MS
        ticks = np.zeros(len(rows), TICK)
        ticks["exch_ts"] = ticks["local_ts"] = self.now
        ticks["kind"] = kind
        ticks["instrument"] = number
        ticks["side"], ticks["px"], ticks["qty"] = (np.array(column) for column in zip(*rows, strict=True))
        ticks["px_2"] = previous_id
        ticks["update_id"] = self._update_id[number]
        ticks["flags"][0] |= TickFlag.FIRST
        ticks["flags"][-1] |= TickFlag.LAST
        self.step(ticks)

    def snapshot(self, bids: dict[int, int], asks: dict[int, int], number: int = 0) -> None:
        """Show a full book: price -> quantity."""
        self._update_id[number] += 1
        levels = [(1, px, qty) for px, qty in bids.items()] + [(-1, px, qty) for px, qty in asks.items()]
        self._message(TickKind.SNAPSHOT, levels or [(0, 0, 0)], number, 0)

    def show(self, *levels: tuple[int, int, int], number: int = 0) -> None:
        """One depth message: (side, price, quantity) for each level."""
        previous_id = self._update_id[number]
        self._update_id[number] += 1
        self._message(TickKind.DEPTH, list(levels), number, previous_id)

    def show_after_gap(self, *levels: tuple[int, int, int], number: int = 0) -> None:
        """A depth message that does not follow the one before it."""
        self._update_id[number] += 10
        self._message(TickKind.DEPTH, list(levels), number, self._update_id[number] - 1)

    def trade(self, aggressor: int, px: int, qty: int, number: int = 0) -> None:
        """The market trades."""
        self._message(TickKind.TRADE, [(aggressor, px, qty)], number, 0)

    def wait(self, ns: int) -> None:
        """Let time pass in a quiet market."""
        self.now += ns
        ticks = np.zeros(1, TICK)
        ticks["exch_ts"] = ticks["local_ts"] = self.now
        ticks["kind"] = TickKind.TIME
        ticks["flags"] = BOTH
        self.step(ticks)

    def _ask(self, kind: CommandKind, order_id: int, **fields: int) -> None:
        commands = np.zeros(1, COMMAND)
        commands["kind"] = kind
        commands["order_id"] = order_id
        commands["strategy"] = -1
        commands["source"] = RPC_CLIENT_BASE
        for name, value in fields.items():
            commands[name] = value
        start = 0
        while start < 1:
            start = engine.step_commands(self.st, commands, start)
            self._flush()
        self._flush()

    def submit(
        self,
        side: int,
        px: int,
        qty: int,
        time_in_force: TimeInForce = TimeInForce.GTC,
        order_type: OrderType = OrderType.LIMIT,
        flags: int = 0,
        number: int = 0,
        **more: int,
    ) -> int:
        """Ask for a new order and return its id; ``more`` are of the command."""
        self._orders += 1
        order_id = (RPC_CLIENT_BASE << ORDER_ID_COUNTER_BITS) | self._orders
        self._ask(
            CommandKind.NEW,
            order_id,
            side=side,
            px=px,
            qty=qty,
            time_in_force=time_in_force,
            order_type=order_type,
            flags=flags,
            instrument=number,
            **more,
        )
        return order_id

    def market(self, side: int, qty: int) -> int:
        """Ask for a market order and return its id."""
        return self.submit(side, 0, qty, TimeInForce.IOC, OrderType.MARKET)

    def cancel(self, order_id: int) -> None:
        self._ask(CommandKind.CANCEL, order_id)

    def amend(self, order_id: int, px: int = 0, qty: int = 0) -> None:
        """Ask for another price or total quantity; 0 leaves it."""
        self._ask(CommandKind.AMEND, order_id, px=px, qty=qty)

    @property
    def all_events(self) -> Rows:
        return self.events_since(0)

    def events_since(self, step: int) -> Rows:
        """The events of the steps from number ``step`` on; ``len(venue.events)`` is the number of the next one."""
        return joined(self.events[step:], EVENT)

    def fills(self, order_id: int = 0) -> list[tuple[int, int]]:
        """(price, quantity) of an order's fills so far; of every order's for 0."""
        return [(fill.px, fill.qty) for fill in fills_of(self.all_events) if order_id in (0, fill.order_id)]

    def filled(self, order_id: int) -> int:
        """Lots of an order that have been filled."""
        return sum(qty for _, qty in self.fills(order_id))

    def is_maker(self, order_id: int) -> list[bool]:
        """Whether an order was the maker, fill by fill."""
        return [fill.maker for fill in fills_of(self.all_events) if fill.order_id == order_id]

    def kinds(self, order_id: int) -> list[EventKind]:
        """What has happened to an order, in order."""
        return [EventKind(int(row["kind"])) for row in self.all_events if row["order_id"] == order_id]

    def order(self, order_id: int) -> np.void:
        """The core's row of an order."""
        rows = self._order_rows()
        found: np.void = rows[np.flatnonzero(rows["order_id"] == order_id)[0]]
        return found

    def _order_rows(self) -> Rows:
        rows: Rows = self.st[0]["orders"][: self.st[0]["orders_used"]]
        return rows

    def resting(self) -> dict[int, int]:
        """Lots left of each order that rests in the model, by id."""
        rows = self.st[0]["model"]["orders"][: self.st[0]["orders_used"]]
        return {int(row["order_id"]): int(row["leaves"]) for row in rows[rows["active"] == 1]}

    def state(self, order_id: int) -> OrderState:
        return OrderState(int(self.order(order_id)["state"]))

    def open_orders(self) -> set[int]:
        """Ids of the orders that the core takes for open."""
        rows = self._order_rows()
        return {int(each) for each in rows["order_id"][np.isin(rows["state"], OPEN_STATES)]}


def mirrored_book(venue: Venue, side: int, own: dict[int, int], other: dict[int, int], number: int = 0) -> None:
    """Show a book as an order of ``side`` sees it: quantities at ticks away from 1000 on its own and the other side.

    Distance 1 is the touch of both sides: a buy's own side is below 1000 and the other above it.
    """
    own_levels = {1000 - side * away: qty for away, qty in own.items()}
    other_levels = {1000 + side * away: qty for away, qty in other.items()}
    bids, asks = (own_levels, other_levels) if side > 0 else (other_levels, own_levels)
    venue.snapshot(bids, asks, number)
