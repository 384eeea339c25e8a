"""Builders for tests of the core: a small core to drive, and the records that go into it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from decimal import Decimal
from functools import cache
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from oms import engine
from oms.compiled import Callback, compile_entries
from oms.core.state import BOOK_WINDOW, MAX_ACCOUNTS, State, define_account, define_instrument, new_state
from oms.currencies import Conversion, currencies_of, wallets_of
from oms.exchange_model import Latency, load_model, use_model
from oms.instruments import Instrument
from oms.money import define_money, open_wallet
from oms.records import (
    CASH_SCALE,
    COMMAND,
    EVENT,
    ORDER_ID_COUNTER_BITS,
    REPORT,
    RPC_CLIENT_BASE,
    TICK,
    CommandKind,
    EventKind,
    Liquidity,
    OrderState,
    OrderType,
    Reason,
    ReportKind,
    TickFlag,
    TickKind,
    TimeInForce,
    TradingState,
)
from strategies.loader import LoadedStrategy, define_strategy, load_strategy

Records = npt.NDArray[np.void]

START_TS: Final = 1_723_075_200_000_000_000
MS: Final = 1_000_000
SECOND: Final = 1_000_000_000
BID_PX: Final = 600_000
ASK_PX: Final = 600_001
WHOLE: Final = TickFlag.FIRST | TickFlag.LAST
BUY: Final = 1
SELL: Final = -1

PERPETUAL: Final = Instrument(
    id=0,
    symbol="BTCUSDT",
    venue="binance_usdm",
    kind="linear_perpetual",
    tick="0.1",
    lot="0.001",
    maker_fee_rate="0.0002",
    taker_fee_rate="0.0005",
    min_qty="0.002",
    max_qty="1000",
    min_notional="5",
)
SPOT: Final = Instrument(
    id=1,
    symbol="BTCUSDT",
    venue="binance_spot",
    kind="spot",
    base="BTC",
    quote="USDT",
    tick="0.01",
    lot="0.00001",
    maker_fee_rate="0.001",
    taker_fee_rate="0.001",
)
FINE: Final = Instrument(
    id=2, symbol="FINEBTC", venue="test", kind="spot", base="FINE", quote="BTC", tick="0.0000001", lot="0.001"
)
"""A grid whose tick-lot is worth less than the smallest unit of cash: every fill is rounded."""

PLENTY: Final = 2**60
"""Balance of every wallet of every account, where a test is not about funds."""

NO_LIMITS: Final[Mapping[str, int]] = {
    "max_order_qty": 2**40,
    "max_order_notional": 2**62,
    "collar_rate": CASH_SCALE,
    "max_position": 2**31 - 1,
    "max_open_orders": 2**20,
    "order_interval_ns": 0,
}
"""Limits that let through whatever the core can hold."""


def joined(parts: Iterable[Records], dtype: np.dtype[Any]) -> Records:
    """All of ``parts`` as one new array: ``np.concatenate`` compares the record types, field by field, of every two."""
    whole = bytearray()
    for part in parts:
        assert part.dtype == dtype
        whole += part.tobytes()
    return np.frombuffer(whole, dtype)


@cache
def _model(name: str) -> dict[str, Callback]:
    compile_entries()
    return load_model(name)


@cache
def loaded(path: Path) -> LoadedStrategy:
    """A strategy, compiled once a test session."""
    compile_entries()
    return load_strategy(path)


class Rig:
    """A core with two instruments and one account, which keeps every event that comes out of it.

    Parameters
    ----------
    external : bool
        True: requests leave and the test plays the exchange by its reports; False: an exchange model answers.
    limits : mapping
        Fields of LIMITS that differ from ``NO_LIMITS``, for every instrument.
    """

    def __init__(
        self,
        *,
        external: bool = True,
        model: str = "displayed",
        latency_ns: int = 0,
        trading_state: TradingState = TradingState.ACTIVE,
        instruments: Iterable[Instrument] = (PERPETUAL, SPOT, FINE),
        limits: Mapping[str, int] | None = None,
    ) -> None:
        self.st: State = new_state()
        self.s = self.st[0]
        self._events: list[Records] = [np.zeros(0, EVENT)]
        self._sent: list[Records] = [np.zeros(0, COMMAND)]
        self.now = START_TS
        define_account(self.st, 0, trading_state)
        instruments = tuple(instruments)
        for instrument in instruments:
            define_instrument(self.st, instrument)
            self.limit(instrument.id, **{"defined": 1, **NO_LIMITS, **(limits or {})})
        currencies = currencies_of(instruments, "USDT")
        self.wallets = wallets_of(instruments)
        even = dict.fromkeys(currencies, Conversion(None, False, Decimal(1)))
        define_money(self.st, instruments, self.wallets, currencies, even)
        for account in range(MAX_ACCOUNTS):
            for number in range(len(self.wallets)):
                open_wallet(self.st, account, number, PLENTY)
        use_model(self.st, _model(model), Latency(latency_ns, latency_ns))
        self.s["external"] = int(external)

    def limit(self, instrument: int, **fields: int) -> None:
        """Set fields of the account's limits for an instrument."""
        for name, value in fields.items():
            self.s["limits"][0, instrument][name] = value

    def add(self, path: Path, instrument: int = 0, /, **parameters: float) -> int:
        """Enter a strategy and return its number."""
        return define_strategy(self.st, loaded(path), account=0, instrument=instrument, parameters=parameters)

    def flush(self) -> Records:
        """Empty the core's outputs, as its host does, and return the events."""
        events: Records = self.s["events"][: self.s["event_count"]].copy()
        self._sent.append(self.s["commands"][: self.s["command_count"]].copy())
        self.s["event_count"] = self.s["command_count"] = self.s["report_count"] = self.s["parent_count"] = 0
        assert self.s["events_lost"] == 0
        self._events.append(events)
        return events

    @property
    def events(self) -> Records:
        """Every event so far."""
        self._events = [joined(self._events, EVENT)]
        return self._events[0].copy()

    @property
    def sent(self) -> Records:
        """Every request that left so far."""
        self._sent = [joined(self._sent, COMMAND)]
        return self._sent[0].copy()

    def _step(self, step: Any, records: Records, *arguments: int) -> Records:
        blocks = []
        start = 0
        while True:
            start = step(self.st, records, start, *arguments)
            blocks.append(self.flush())
            if start == len(records):
                return joined(blocks, EVENT)

    def ticks(self, *ticks: Records) -> Records:
        """Step over ticks; those without a time get the next millisecond. Returns the events."""
        records = joined(ticks, TICK)
        for i in np.flatnonzero(records["local_ts"] == 0):
            self.now += MS
            records["local_ts"][i] = self.now
        self.now = max(self.now, int(records["local_ts"][-1]))
        return self._step(engine.step_ticks, records, 0)

    def commands(self, *commands: Records) -> Records:
        """Step over commands; returns the events."""
        return self._step(engine.step_commands, joined(commands, COMMAND))

    def reports(self, *reports: Records) -> Records:
        """Step over reports; returns the events."""
        return self._step(engine.step_reports, joined(reports, REPORT))

    def definitions(self, *instruments: Instrument) -> Records:
        """Step over new versions of instruments; returns the events."""
        return self._step(engine.step_definitions, np.concatenate([each.definition() for each in instruments]))

    def open_market(self, *instruments: int, bid: int = BID_PX, ask: int = ASK_PX, qty: int = 1_000) -> Records:
        """Give instruments (all by default) a book of one level each side."""
        return self.ticks(*(snapshot(i, {bid: qty}, {ask: qty}) for i in instruments or (0, 1, 2)))

    def order(self, order_id: int) -> Any:
        """The row of an order."""
        used = self.s["orders"][: self.s["orders_used"]]
        (at,) = np.flatnonzero(used["order_id"] == order_id)
        return used[at]

    def state(self, order_id: int) -> OrderState:
        return OrderState(int(self.order(order_id)["state"]))

    def position(self, instrument: int = 0) -> Any:
        return self.s["positions"][0, instrument, 0]

    def book(self, instrument: int = 0) -> Any:
        return self.s["books"][instrument]

    def open_list(self, instrument: int = 0) -> list[int]:
        """Slots of the instrument's open orders, as linked."""
        found = []
        slot = int(self.s["order_lists"][instrument]["open_head"])
        while slot >= 0:
            found.append(slot)
            slot = int(self.s["orders"][slot]["next_open"])
        return found

    def levels(self, side: int, instrument: int = 0) -> dict[int, int]:
        """Every stored level of one side: lots by price."""
        book = self.book(instrument)
        k = (side + 1) >> 1
        rows = book["far"][k].tolist()
        found = {px: qty for px, qty in rows if qty > 0}
        base = int(book["base"])
        for at in np.flatnonzero(book["qty"][k]).tolist():
            px = base + ((at - base) % BOOK_WINDOW)
            assert px not in found, f"level {px} is stored twice"
            found[px] = int(book["qty"][k, at])
        return found


def kinds(events: Records) -> list[EventKind]:
    """The kinds of events, in order."""
    return [EventKind(int(kind)) for kind in events["kind"]]


def only(events: Records, kind: EventKind) -> Any:
    """The one event of ``kind``."""
    (found,) = events[events["kind"] == kind]
    return found


def reason_of(events: Records) -> Reason:
    """The Reason of the refusal among ``events``; NONE when there is none."""
    refused = events[events["kind"] == EventKind.ORDER_REFUSED]
    return Reason(int(refused["reason"][0])) if len(refused) else Reason.NONE


def ignored(events: Records) -> Reason:
    """Why a report was ignored; NONE when it was not."""
    found = events[events["kind"] == EventKind.REPORT_IGNORED]
    return Reason(int(found["reason"][0])) if len(found) else Reason.NONE


def record(dtype: np.dtype[Any], **fields: int) -> Records:
    """One record, zero but for ``fields``."""
    row = np.zeros(1, dtype)
    for name, value in fields.items():
        row[name] = value
    return row


def tick(kind: TickKind, *, ts: int = 0, instrument: int = 0, flags: int = WHOLE, **fields: int) -> Records:
    """One TICK; without ``ts`` the rig gives it the next millisecond."""
    return record(TICK, kind=kind, local_ts=ts, exch_ts=ts, instrument=instrument, flags=flags, **fields)


def depth(side: int, px: int, qty: int, *, update_id: int = 0, previous: int | None = None, **fields: int) -> Records:
    """A depth message of one level; without update ids it is always in step."""
    before = update_id if previous is None else previous
    return tick(TickKind.DEPTH, side=side, px=px, qty=qty, update_id=update_id, px_2=before, **fields)


def message(kind: TickKind, levels: Iterable[tuple[int, int, int]], *, update_id: int = 0, **fields: int) -> Records:
    """A message of several ``(side, px, qty)`` levels, FIRST on the first and LAST on the last."""
    rows = joined(
        (
            tick(kind, side=side, px=px, qty=qty, update_id=update_id, flags=0, **{"px_2": update_id, **fields})
            for side, px, qty in levels
        ),
        TICK,
    )
    rows["flags"][0] |= TickFlag.FIRST
    rows["flags"][-1] |= TickFlag.LAST
    return rows


def snapshot(
    instrument: int, bids: Mapping[int, int], asks: Mapping[int, int], *, update_id: int = 0, **fields: int
) -> Records:
    """A full book: lots by price."""
    levels = [(BUY, px, qty) for px, qty in bids.items()] + [(SELL, px, qty) for px, qty in asks.items()]
    return message(TickKind.SNAPSHOT, levels, update_id=update_id, instrument=instrument, **fields)


def trade(side: int, px: int, qty: int, **fields: int) -> Records:
    """A trade; ``side`` is the aggressor's."""
    return tick(TickKind.TRADE, side=side, px=px, qty=qty, **fields)


def time_tick(ts: int = 0) -> Records:
    return tick(TickKind.TIME, ts=ts)


def client_id(counter: int, client: int = RPC_CLIENT_BASE) -> int:
    """An order id of a client."""
    return client << ORDER_ID_COUNTER_BITS | counter


def command(kind: int, order_id: int, *, instrument: int = 0, **fields: int) -> Records:
    """One COMMAND of a client."""
    return record(
        COMMAND,
        kind=kind,
        order_id=order_id,
        instrument=instrument,
        **{"strategy": -1, "source": RPC_CLIENT_BASE, **fields},
    )


def new_order(order_id: int, side: int = BUY, px: int | None = None, qty: int = 10, **fields: int) -> Records:
    """A GTC limit order at the touch of its own side, unless told otherwise."""
    if px is None:
        px = BID_PX if side > 0 else ASK_PX
    terms = {"order_type": OrderType.LIMIT, "time_in_force": TimeInForce.GTC}
    return command(CommandKind.NEW, order_id, side=side, px=px, qty=qty, **{**terms, **fields})


def market_order(order_id: int, side: int = BUY, qty: int = 10, **fields: int) -> Records:
    terms = {"order_type": OrderType.MARKET, "time_in_force": TimeInForce.IOC}
    return new_order(order_id, side, 0, qty, **{**terms, **fields})


def amend(order_id: int, px: int = 0, qty: int = 0, **fields: int) -> Records:
    return command(CommandKind.AMEND, order_id, px=px, qty=qty, **fields)


def cancel(order_id: int, **fields: int) -> Records:
    return command(CommandKind.CANCEL, order_id, **fields)


def report(kind: int, order_id: int, **fields: int) -> Records:
    """One REPORT of the exchange."""
    return record(REPORT, kind=kind, order_id=order_id, **fields)


def fill(order_id: int, qty: int, px: int = BID_PX, *, side: int = BUY, trade_id: int, **fields: int) -> Records:
    """A fill; as maker at the instrument's rate unless ``fields`` say otherwise."""
    terms = {"liquidity": Liquidity.MAKER, "side": side, "px": px, "qty": qty, "trade_id": trade_id}
    return report(ReportKind.FILL, order_id, **{**terms, **fields})
