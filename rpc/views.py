"""Views: events and commands, which are integers, as the entities that clients read."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from decimal import ROUND_FLOOR, Decimal
from enum import IntEnum
from operator import attrgetter
from typing import Final, NamedTuple, cast

import msgspec

from oms.config import Settings, qualified_symbol
from oms.core.state import MAX_ACCOUNTS
from oms.decimals import cash_text
from oms.definitions import Definitions
from oms.instruments import Instrument
from oms.record_fields import CommandFields, EventFields, command_fields, event_fields
from oms.records import (
    ALGORITHM_CLIENT,
    CASH_SCALE,
    EVERY_PRICE,
    EXCHANGE_CLIENT,
    ORDER_ID_COUNTER_BITS,
    RPC_CLIENT_BASE,
    STRATEGY_CLIENT_BASE,
    Contingency,
    EventKind,
    Liquidity,
    OrderFlag,
    OrderState,
    OrderType,
    Reason,
    TimeInForce,
    TradingState,
    TrailUnit,
    Trigger,
    TriggerSource,
)
from rpc.algorithm_terms import TermsBook
from rpc.entities import (
    OPEN_STATES,
    UNKNOWN,
    ContingencyName,
    Fill,
    InstrumentInfo,
    LogEvent,
    Order,
    Position,
    PositionSide,
    Side,
    Standing,
    TimeInForceName,
    TradingStateEvent,
    TrailUnitName,
    TriggerBy,
)
from rpc.ledger import Ledger
from rpc.ledger_rows import LedgerRow
from rpc.order_forms import NAMES
from rpc.replica import NO_FILLS, FillTotals, KnownFill, KnownOrder, KnownTerms, owner_index


def names_of(enum: type[IntEnum]) -> dict[int, str]:
    """The enum's names in lower case by value: what messages say instead of numbers."""
    return {int(member): member.name.lower() for member in enum}


SIDES: Final = cast("dict[int, Side]", {1: "buy", -1: "sell"})
TIMES_IN_FORCE: Final = cast("dict[int, TimeInForceName]", names_of(TimeInForce))
STATES: Final = names_of(OrderState)
TRADING_STATES: Final = names_of(TradingState)
EVENT_KINDS: Final = names_of(EventKind)
LIQUIDITIES: Final = names_of(Liquidity)
REASONS: Final = {int(reason): reason.name for reason in Reason}

TRIGGER_SOURCES: Final = cast("dict[int, TriggerBy]", names_of(TriggerSource))
TRAIL_UNITS: Final = cast("dict[int, TrailUnitName]", names_of(TrailUnit))
CONTINGENCIES: Final = cast(
    "dict[int, ContingencyName]", {key: name for key, name in names_of(Contingency).items() if key}
)

_OPEN_STATES: Final = frozenset(int(state) for state in OrderState if state.name.lower() in OPEN_STATES)
OPEN_STATE_NAMES: Final = OPEN_STATES | {UNKNOWN}
"""States in which an order may yet trade."""
NO_TERMS: Final = KnownTerms(0, 0, 0, 0, 0)
POST_ONLY: Final = int(OrderFlag.POST_ONLY)
REDUCE_ONLY: Final = int(OrderFlag.REDUCE_ONLY)
SHORT_LEG: Final = int(OrderFlag.SHORT_LEG)
AT_EXCHANGE: Final = int(OrderFlag.AT_EXCHANGE)
_MARKET: Final = int(OrderType.MARKET)


class Asked(NamedTuple):
    """What a client asked for with an order and no event says again."""

    client_order_id: str
    trigger_source: int
    expire_ts: int
    terms: KnownTerms


_terms_of: Final = attrgetter(*KnownTerms._fields)


def _asked(client_order_id: str, command: CommandFields) -> Asked:
    return Asked(client_order_id, command.trigger_source, command.expire_ts, KnownTerms(*_terms_of(command)))


def _trail_text(instrument: Instrument, terms: KnownTerms) -> str | None:
    """A trailing distance in its unit; None where the order does not trail."""
    if not terms.trail:
        return None
    return instrument.px_from_ticks(terms.trail) if terms.trail_unit == TrailUnit.PRICE else str(terms.trail)


def _liquidation_texts(row: EventFields, tick: Decimal) -> tuple[str | None, str | None]:
    """Liquidation price of a POSITION event, and its distance from the mark as a fraction of that, rounded down."""
    never = 0 if row.position_qty > 0 else EVERY_PRICE
    if row.position_qty == 0 or row.order_id in (0, never):
        return None, None
    ticks = Decimal(row.order_id) / CASH_SCALE
    price = format((ticks * tick).normalize(), "f")
    mark = Decimal(row.last_px) / 2
    if mark <= 0:
        return price, None
    room = (mark - ticks if row.position_qty > 0 else ticks - mark) / mark
    return price, format(room.quantize(Decimal(1) / CASH_SCALE, ROUND_FLOOR).normalize(), "f")


class Views:
    """Makes entities; it knows the instruments' grids and whose order an id is."""

    def __init__(
        self,
        settings: Settings,
        definitions: Definitions,
        ledger: Ledger,
        terms: Mapping[int, KnownTerms],
        totals: Mapping[int, FillTotals],
        terms_book: TermsBook,
    ) -> None:
        self.terms_book = terms_book
        self._ledger = ledger
        self._definitions = definitions
        self._terms = terms
        self._totals = totals
        self._settings = settings
        self._accounts = settings.account_names
        self._hedging = {
            number for number, name in enumerate(self._accounts) if settings.accounts[name].position_mode == "hedging"
        }
        times = Counter(instrument.symbol for instrument in settings.instruments)
        self._symbols = {
            instrument.id: instrument.symbol if times[instrument.symbol] == 1 else qualified_symbol(instrument)
            for instrument in settings.instruments
        }
        self._strategies = [strategy.title for strategy in settings.strategies]
        self._known: dict[int, Asked | None] = {}

    def instrument(self, number: int, version: int) -> Instrument:
        """An instrument's definition; raises ``LookupError`` when it is not known."""
        instrument = self._definitions.of(number, version)
        if instrument is None:
            raise LookupError(f"version {version} of instrument {number} is no longer defined: add it to the settings")
        return instrument

    def symbol(self, number: int) -> str:
        """The instrument's shortest name that no other one has."""
        instrument = self._definitions.in_force(number)
        return self._symbols.get(number) or (instrument.symbol if instrument else f"instrument {number}")

    def instruments(self) -> tuple[InstrumentInfo, ...]:
        return tuple(
            msgspec.convert(self._definitions.in_force(number), InstrumentInfo, from_attributes=True)
            for number in self._symbols
        )

    def client(self, order_id: int) -> str | None:
        """The rpc client whose order it is; None for a strategy's, whatever its name."""
        index = owner_index(order_id, self._terms)
        return self._ledger.client_name(index) if index >= RPC_CLIENT_BASE else None

    def owner(self, order_id: int) -> str:
        """The client's or the strategy's name."""
        index = owner_index(order_id, self._terms)
        if index == ALGORITHM_CLIENT:
            return "algorithm"  # its parent is no longer known
        if index == EXCHANGE_CLIENT:
            return "exchange"
        if index < RPC_CLIENT_BASE:
            return self.strategy(index - STRATEGY_CLIENT_BASE)
        return self._ledger.client_name(index) or f"client {index}"

    def strategy(self, number: int) -> str:
        return self._strategies[number] if 0 <= number < len(self._strategies) else f"strategy {number}"

    def client_order_id(self, order_id: int) -> str | None:
        """The client's own id; None for a strategy's order."""
        asked = self._asked(order_id)
        return asked.client_order_id if asked else None

    def _asked(self, order_id: int) -> Asked | None:
        """What the client asked for; None for a strategy's order. Remembered, because each event of an order asks."""
        if order_id >> ORDER_ID_COUNTER_BITS < RPC_CLIENT_BASE:
            return None
        known = self._known.get(order_id)
        if known is None:
            row = self._ledger.find_order(order_id)
            return self.remember(row, command_fields(row.command)) if row is not None else None
        return known

    def remember(self, row: LedgerRow, command: CommandFields) -> Asked:
        """Keep what a client asked for at hand: the command of its ledger's row."""
        if len(self._known) >= 10_000:
            self._known.clear()
        asked = self._known[row.order_id] = _asked(row.client_order_id, command)
        return asked

    def order(self, order_id: int, known: KnownOrder, *, is_open: bool) -> Order:
        """An order of the replica; open for the core's last session but not for this one, its state is unknown."""
        return self._order(order_id, event_fields(known.record), known.session, is_open=is_open)

    def settled_order(self, row: LedgerRow) -> Order:
        """An order that only the ledger knows: as its last event says, or unknown when the core never answered."""
        if row.event is not None:
            return self._order(row.order_id, event_fields(row.event), row.session or 0, is_open=False)
        return self.unanswered_order(row)

    def _order(self, order_id: int, row: EventFields, session: int, *, is_open: bool) -> Order:
        state = UNKNOWN if row.state in _OPEN_STATES and not is_open else STATES[row.state]
        asked = self._asked(order_id)
        terms = self._terms.get(order_id) or (asked.terms if asked else NO_TERMS)
        return self._entity(order_id, row, terms, asked, state=state, session=session)

    def unanswered_order(self, row: LedgerRow) -> Order:
        """An order as it was asked for; whether it exists is not known."""
        command = command_fields(row.command)
        asked = _asked(row.client_order_id, command)
        event = _event_of(command)
        return self._entity(row.order_id, event, asked.terms, asked, state=UNKNOWN, session=0)

    def _entity(
        self, order_id: int, row: EventFields, terms: KnownTerms, asked: Asked | None, *, state: str, session: int
    ) -> Order:
        instrument = self.instrument(row.instrument, row.version)
        filled_qty = row.filled_qty if row.seq >= 0 else 0
        totals = self._totals.get(order_id, NO_FILLS)
        all_known = totals.qty == filled_qty
        return Order(
            order_id=order_id,
            client=self.owner(order_id),
            client_order_id=asked.client_order_id if asked else None,
            symbol=self.symbol(row.instrument),
            side=SIDES[row.side],
            order_type=NAMES[row.order_type, row.trigger],
            algorithm=self._algorithm(order_id, row),
            account=self.account(row.account),
            time_in_force=TIMES_IN_FORCE[row.time_in_force],
            good_till_ts=asked.expire_ts if asked else 0,
            post_only=bool(row.flags & POST_ONLY),
            reduce_only=bool(row.flags & REDUCE_ONLY),
            at_exchange=bool(row.flags & AT_EXCHANGE),
            position_side=self._position_side(row),
            price=None if row.order_type == _MARKET else instrument.px_from_ticks(row.px),
            qty=instrument.qty_from_lots(row.qty),
            filled_qty=instrument.qty_from_lots(filled_qty) if row.seq >= 0 else "0",
            realized_pnl=cash_text(totals.realized_pnl) if all_known else None,
            fees=cash_text(totals.fees) if all_known else None,
            display_qty=instrument.qty_from_lots(terms.display_qty) if terms.display_qty else None,
            trigger_price=instrument.px_from_ticks(terms.trigger_px) if terms.trigger_px else None,
            trigger_by=TRIGGER_SOURCES.get(asked.trigger_source) if asked else None,
            trail_by=_trail_text(instrument, terms),
            trail_unit=TRAIL_UNITS.get(terms.trail_unit),
            contingency=CONTINGENCIES.get(row.contingency),
            parent_order_id=terms.parent_id or None,
            state=state,
            reason=REASONS.get(row.reason, str(row.reason)),
            ts=row.ts,
            session=session,
            seq=row.seq,
        )

    def _algorithm(self, order_id: int, row: EventFields) -> str | None:
        if row.trigger != Trigger.ALGORITHM:
            return None
        return self.terms_book.name_of(order_id) or UNKNOWN

    def account(self, number: int) -> str:
        """The account's name."""
        return self._accounts[number] if 0 <= number < len(self._accounts) else f"account {number}"

    def _position_side(self, row: EventFields) -> PositionSide | None:
        if row.account not in self._hedging:
            return None
        return "short" if row.flags & SHORT_LEG else "long"

    def fill(self, fill: KnownFill, row: EventFields) -> Fill:
        instrument = self.instrument(row.instrument, row.version)
        return Fill(
            order_id=row.order_id,
            client=self.owner(row.order_id),
            client_order_id=self.client_order_id(row.order_id),
            symbol=self.symbol(row.instrument),
            side=SIDES[row.side],
            price=instrument.px_from_ticks(row.last_px),
            qty=instrument.qty_from_lots(row.last_qty),
            fee=cash_text(row.fees),
            realized_pnl=cash_text(row.realized_pnl),
            liquidity=LIQUIDITIES.get(row.liquidity, UNKNOWN),
            trade_id=row.aux,
            ts=row.ts,
            session=fill.session,
            seq=row.seq,
        )

    def position(self, row: EventFields) -> Position:
        instrument = self.instrument(row.instrument, row.version)
        tick = Decimal(instrument.tick)
        liquidation_price, liquidation_distance = _liquidation_texts(row, tick)
        return Position(
            symbol=self.symbol(row.instrument),
            account=self.account(row.account),
            strategy=self.strategy(row.strategy) if row.strategy >= 0 else None,
            position_side=self._position_side(row),
            currency=instrument.settlement,
            qty=instrument.qty_from_lots(row.position_qty),
            average_price=format((Decimal(row.px) * tick / CASH_SCALE).normalize(), "f"),
            mark_price=format(Decimal(row.last_px) * tick / 2, "f"),
            realized_pnl=cash_text(row.realized_pnl),
            unrealized_pnl=cash_text(row.qty),
            fees=cash_text(row.fees),
            liquidation_price=liquidation_price,
            liquidation_distance=liquidation_distance,
            fills=row.last_qty,
            open_orders=row.filled_qty,
            ts=row.ts,
        )

    def standing(self, scope: int, row: EventFields | None, trading: tuple[int, int]) -> Standing:
        """How an account or a strategy stands.

        Parameters
        ----------
        scope : int
            An account's number, or ``MAX_ACCOUNTS`` and a strategy's.
        row : EventFields or None
            Its last SCOPE event, where there was one.
        trading : (int, int)
            Its trading state and the reason.
        """
        strategy = scope - MAX_ACCOUNTS
        account = scope
        if strategy >= 0:
            known = strategy < len(self._strategies)
            account = self._settings.account_number(self._settings.strategies[strategy].account) if known else -1
        values = row or NOTHING
        return Standing(
            account=self.account(account),
            strategy=self.strategy(strategy) if strategy >= 0 else None,
            trading_state=TRADING_STATES.get(trading[0], UNKNOWN),
            trading_reason=REASONS.get(trading[1], UNKNOWN),
            currency=self._settings.reporting_currency,
            pnl=cash_text(values.px),
            day_pnl=cash_text(values.px - values.filled_qty),
            drawdown=cash_text(max(values.qty - values.px, 0)),
            gross_exposure=cash_text(values.last_qty),
            net_exposure=cash_text(values.position_qty),
            margin=cash_text(values.realized_pnl),
            open_orders=values.fees,
            next_reset_ts=values.last_px,
            ts=values.ts,
        )

    def log(self, row: EventFields) -> LogEvent:
        of_strategy = row.kind in (EventKind.LOG, EventKind.STRATEGY_HALTED)
        source = (
            self.strategy(row.strategy) if of_strategy else (self.symbol(row.instrument) if row.instrument >= 0 else "")
        )
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
            account=self.account(row.account),
            strategy=self.strategy(row.strategy) if row.strategy >= 0 else None,
            state=TRADING_STATES.get(row.aux, UNKNOWN),
            reason=REASONS.get(row.reason, str(row.reason)),
            ts=row.ts,
        )


NOTHING: Final = EventFields(*(0 for _ in EventFields._fields))
"""An event in which nothing is said."""


def _event_of(command: CommandFields) -> EventFields:
    """An order that is only asked for, in the form of its events."""
    same = (
        "side",
        "order_type",
        "time_in_force",
        "instrument",
        "version",
        "account",
        "flags",
        "trigger",
        "contingency",
    )
    return NOTHING._replace(seq=-1, **{name: getattr(command, name) for name in (*same, "px", "qty")})
