"""Views: events and commands, which are integers, as the entities that clients read."""

from __future__ import annotations

from collections import Counter
from decimal import Decimal
from enum import IntEnum
from typing import Final, cast

import msgspec
import numpy as np

from oms.config import Settings, qualified_symbol
from oms.decimals import cash_text
from oms.event_fields import EventFields
from oms.instruments import Instrument
from oms.records import (
    CASH_SCALE,
    COMMAND,
    ORDER_ID_COUNTER_BITS,
    RPC_CLIENT_BASE,
    STRATEGY_CLIENT_BASE,
    EventKind,
    Liquidity,
    OrderFlag,
    OrderState,
    OrderType,
    Reason,
    TimeInForce,
    TradingState,
)
from rpc.entities import (
    UNKNOWN,
    Fill,
    InstrumentInfo,
    LogEvent,
    Order,
    OrderTypeName,
    Position,
    Side,
    TimeInForceName,
    TradingStateEvent,
)
from rpc.ledger import Ledger
from rpc.ledger_rows import LedgerRow
from rpc.replica import KnownFill, KnownOrder, event_row


def names_of(enum: type[IntEnum]) -> dict[int, str]:
    """The enum's names in lower case by value: what messages say instead of numbers."""
    return {int(member): member.name.lower() for member in enum}


SIDES: Final = cast("dict[int, Side]", {1: "buy", -1: "sell"})
ORDER_TYPES: Final = cast("dict[int, OrderTypeName]", names_of(OrderType))
TIMES_IN_FORCE: Final = cast("dict[int, TimeInForceName]", names_of(TimeInForce))
STATES: Final = names_of(OrderState)
TRADING_STATES: Final = names_of(TradingState)
EVENT_KINDS: Final = names_of(EventKind)
LIQUIDITIES: Final = names_of(Liquidity)
REASONS: Final = {int(reason): reason.name for reason in Reason}

_OPEN_STATES: Final = frozenset(
    int(state)
    for state in (OrderState.PENDING_NEW, OrderState.LIVE, OrderState.PENDING_AMEND, OrderState.PENDING_CANCEL)
)
POST_ONLY: Final = int(OrderFlag.POST_ONLY)
REDUCE_ONLY: Final = int(OrderFlag.REDUCE_ONLY)
_MARKET: Final = int(OrderType.MARKET)


class Views:
    """Makes entities; it knows the instruments' grids and whose order an id is."""

    def __init__(self, settings: Settings, ledger: Ledger) -> None:
        self._ledger = ledger
        self._instruments = {instrument.id: instrument for instrument in settings.instruments}
        times = Counter(instrument.symbol for instrument in settings.instruments)
        self._symbols = {
            instrument.id: instrument.symbol if times[instrument.symbol] == 1 else qualified_symbol(instrument)
            for instrument in settings.instruments
        }
        self._strategies = [strategy.title for strategy in settings.strategies]
        self._client_order_ids: dict[int, str | None] = {}

    def instrument(self, number: int) -> Instrument:
        """The instrument of a number; raises ``LookupError`` when the settings do not define it."""
        instrument = self._instruments.get(number)
        if instrument is None:
            raise LookupError(f"instrument {number} is no longer defined: add it to the settings again")
        return instrument

    def symbol(self, number: int) -> str:
        """The instrument's shortest name that no other one has."""
        return self._symbols[number]

    def instruments(self) -> tuple[InstrumentInfo, ...]:
        return tuple(
            msgspec.convert(instrument, InstrumentInfo, from_attributes=True)
            for instrument in self._instruments.values()
        )

    def client(self, order_id: int) -> str | None:
        """The rpc client whose order it is; None for a strategy's, whatever its name."""
        index = order_id >> ORDER_ID_COUNTER_BITS
        return self._ledger.client_name(index) if index >= RPC_CLIENT_BASE else None

    def owner(self, order_id: int) -> str:
        """The client's or the strategy's name."""
        index = order_id >> ORDER_ID_COUNTER_BITS
        if index < RPC_CLIENT_BASE:
            return self.strategy(index - STRATEGY_CLIENT_BASE)
        return self._ledger.client_name(index) or f"client {index}"

    def strategy(self, number: int) -> str:
        return self._strategies[number] if 0 <= number < len(self._strategies) else f"strategy {number}"

    def client_order_id(self, order_id: int) -> str | None:
        """The client's own id; None for a strategy's order. Remembered, because each event of an order asks."""
        if order_id >> ORDER_ID_COUNTER_BITS < RPC_CLIENT_BASE:
            return None
        known = self._client_order_ids.get(order_id)
        if known is None:
            row = self._ledger.find_order(order_id)
            known = row.client_order_id if row else None
            self.remember(order_id, known)
        return known

    def remember(self, order_id: int, client_order_id: str | None) -> None:
        if len(self._client_order_ids) >= 10_000:
            self._client_order_ids.clear()
        self._client_order_ids[order_id] = client_order_id

    def order(self, order_id: int, known: KnownOrder, *, is_open: bool) -> Order:
        """An order of the replica; open for the core's last session but not for this one, its state is unknown."""
        return self._order(order_id, event_row(known.record), known.session, is_open=is_open)

    def settled_order(self, row: LedgerRow) -> Order:
        """An order that only the ledger knows: as its last event says, or unknown when the core never answered."""
        if row.event is not None:
            return self._order(row.order_id, event_row(row.event), row.session or 0, is_open=False)
        return self.unanswered_order(row.order_id, row.client_order_id, row.command)

    def _order(self, order_id: int, row: EventFields, session: int, *, is_open: bool) -> Order:
        instrument = self.instrument(row.instrument)
        return Order(
            order_id=order_id,
            client=self.owner(order_id),
            client_order_id=self.client_order_id(order_id),
            symbol=self._symbols[row.instrument],
            side=SIDES[row.side],
            order_type=ORDER_TYPES[row.order_type],
            time_in_force=TIMES_IN_FORCE[row.time_in_force],
            post_only=bool(row.flags & POST_ONLY),
            reduce_only=bool(row.flags & REDUCE_ONLY),
            price=None if row.order_type == _MARKET else instrument.px_from_ticks(row.px),
            qty=instrument.qty_from_lots(row.qty),
            filled_qty=instrument.qty_from_lots(row.filled_qty),
            state=UNKNOWN if row.state in _OPEN_STATES and not is_open else STATES[row.state],
            reason=REASONS.get(row.reason, str(row.reason)),
            ts=row.ts,
            session=session,
            seq=row.seq,
        )

    def unanswered_order(self, order_id: int, client_order_id: str, command: bytes) -> Order:
        """An order as it was asked for; whether it exists is not known."""
        (asked,) = np.frombuffer(command, COMMAND)
        number = int(asked["instrument"])
        instrument = self.instrument(number)
        order_type = int(asked["order_type"])
        return Order(
            order_id=order_id,
            client=self.owner(order_id),
            client_order_id=client_order_id,
            symbol=self._symbols[number],
            side=SIDES[int(asked["side"])],
            order_type=ORDER_TYPES[order_type],
            time_in_force=TIMES_IN_FORCE[int(asked["time_in_force"])],
            post_only=bool(int(asked["flags"]) & POST_ONLY),
            reduce_only=bool(int(asked["flags"]) & REDUCE_ONLY),
            price=None if order_type == _MARKET else instrument.px_from_ticks(int(asked["px"])),
            qty=instrument.qty_from_lots(int(asked["qty"])),
            filled_qty="0",
            state=UNKNOWN,
            reason=Reason.NONE.name,
            ts=0,
            session=0,
            seq=-1,
        )

    def fill(self, fill: KnownFill, row: EventFields) -> Fill:
        instrument = self.instrument(row.instrument)
        return Fill(
            order_id=row.order_id,
            client=self.owner(row.order_id),
            client_order_id=self.client_order_id(row.order_id),
            symbol=self._symbols[row.instrument],
            side=SIDES[row.side],
            price=instrument.px_from_ticks(row.last_px),
            qty=instrument.qty_from_lots(row.last_qty),
            fee=cash_text(row.fees),
            liquidity=LIQUIDITIES.get(row.liquidity, UNKNOWN),
            trade_id=row.aux,
            ts=row.ts,
            session=fill.session,
            seq=row.seq,
        )

    def position(self, row: EventFields) -> Position:
        instrument = self.instrument(row.instrument)
        tick = Decimal(instrument.tick)
        return Position(
            symbol=self._symbols[row.instrument],
            account=row.account,
            qty=instrument.qty_from_lots(row.position_qty),
            average_price=format((Decimal(row.px) * tick / CASH_SCALE).normalize(), "f"),
            mark_price=format(Decimal(row.last_px) * tick / 2, "f"),
            realized_pnl=cash_text(row.realized_pnl),
            unrealized_pnl=cash_text(row.qty),
            fees=cash_text(row.fees),
            fills=row.last_qty,
            open_orders=row.filled_qty,
            ts=row.ts,
        )

    def log(self, row: EventFields) -> LogEvent:
        of_strategy = row.kind in (EventKind.LOG, EventKind.STRATEGY_HALTED)
        source = self.strategy(row.strategy) if of_strategy else self._symbols.get(row.instrument, "")
        return LogEvent(
            kind=EVENT_KINDS[row.kind],
            source=source,
            reason=REASONS.get(row.reason, str(row.reason)),
            number=row.aux,
            arguments=(row.px, row.qty, row.last_px, row.last_qty),
            ts=row.ts,
        )

    def trading_state(self, row: EventFields) -> TradingStateEvent:
        return TradingStateEvent(
            state=TRADING_STATES.get(row.aux, UNKNOWN), reason=REASONS.get(row.reason, str(row.reason)), ts=row.ts
        )
