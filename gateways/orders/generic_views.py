"""ccxt's unified structures of orders, fills, positions and balances in our integers, of any exchange.

ccxt is told to keep numbers as the exchange's own text (``exchange.number = str``), so that nothing goes through binary
floating point. What a structure leaves out is left out here too, or makes it unfit: nothing is guessed.
"""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Iterable, Mapping
from fractions import Fraction
from hashlib import blake2b
from typing import Any, Final, NamedTuple

from gateways.orders.averages import Averages
from gateways.orders.cash import cash_of
from gateways.orders.ids import MOST, ours_in
from gateways.orders.known import Trade
from gateways.orders.views import FillView, FundingView, OrderView, PositionView, Standing
from oms.instruments import Instrument
from oms.records import Liquidity, OrderFlag, OrderType, Reason, TimeInForce

NS_PER_MS: Final = 1_000_000

SIDES: Final = {"buy": 1, "sell": -1}
WAYS: Final = {side: way for way, side in SIDES.items()}
ORDER_TYPES: Final = {"limit": OrderType.LIMIT, "market": OrderType.MARKET}
TIMES_IN_FORCE: Final = {
    "GTC": TimeInForce.GTC,
    "PO": TimeInForce.GTC,
    "IOC": TimeInForce.IOC,
    "FOK": TimeInForce.FOK,
    "GTD": TimeInForce.GTD,
}
STANDINGS: Final = {
    "open": Standing.OPEN,
    "closed": Standing.FILLED,
    "canceled": Standing.CANCELLED,
    "canceling": Standing.OPEN,
    "expired": Standing.EXPIRED,
    "rejected": Standing.REJECTED,
}
LIQUIDITIES: Final = {"maker": Liquidity.MAKER, "taker": Liquidity.TAKER}
POSITION_SIDES: Final = {"long": 1, "short": -1}

ID_BITS: Final = 62
"""Of a digest that stands for an id which is no whole number."""
DIGEST_BITS: Final = 20
"""Of the digest of a trade's id, behind its time."""


REMEMBERED_ORDERS: Final = 50_000
"""Orders whose ids are known, and when they were made."""
REMEMBERED: Final = 20_000
"""Trades of which it is known when they were and what they realized; one that is said again later has been told."""


class _Seen(NamedTuple):
    """A trade that has been read: the exchange's id, its time, and what it realized."""

    text: str
    ts_ms: int
    realized_pnl: int


class UnfitError(ValueError):
    """A structure of ccxt's that lacks what nothing can be done without."""


class TextIds:
    """An exchange's ids of orders as our integers, and back: whole numbers are themselves, a digest is any other."""

    def __init__(self) -> None:
        self._texts: OrderedDict[int, str] = OrderedDict()

    def number(self, text: str) -> int:
        """The integer of an id; raises ``UnfitError`` when another one has it."""
        if text.isascii() and text.isdigit() and text[0] != "0" and int(text) <= MOST:
            return int(text)
        digest = blake2b(text.encode(), digest_size=8).digest()
        number = int.from_bytes(digest, "little") % (1 << ID_BITS) | 1
        if self._texts.setdefault(number, text) != text:
            raise UnfitError(f"orders {text} and {self._texts[number]} cannot be told apart")
        self._texts.move_to_end(number)  # those that are open are said again with each reconciliation
        if len(self._texts) > REMEMBERED_ORDERS:
            self._texts.popitem(last=False)
        return number

    def text(self, number: int) -> str:
        """The id of an integer; of one that has never come here, the number itself."""
        return self._texts.get(number) or str(number)


class GenericViews:
    """Reads what ccxt makes of an exchange's answers about the instruments of a session.

    Parameters
    ----------
    instruments
        By ccxt's symbol.
    """

    def __init__(self, instruments: Mapping[str, Instrument]) -> None:
        self._by_symbol = instruments
        self.order_ids = TextIds()
        self.created_ms: OrderedDict[int, int] = OrderedDict()
        """When orders were made, by their ids at the venue, as far as has been said."""
        self.averages = Averages()
        self._newest_ts = 0
        self._trades: OrderedDict[Trade, _Seen] = OrderedDict()

    def is_ours(self, structure: Mapping[str, Any]) -> bool:
        """Whether it is about one of the instruments."""
        return structure.get("symbol") in self._by_symbol

    def is_whole(self, order: Mapping[str, Any]) -> bool:
        """Whether an order says how it stands: those of streams leave a good deal out."""
        needed = ("id", "side", "status", "amount", "filled")
        has_price = order.get("type") != "limit" or order.get("price") is not None
        return has_price and all(order.get(name) is not None for name in needed) and order["status"] in STANDINGS

    def order(self, order: Mapping[str, Any]) -> OrderView:
        """An order; raises ``UnfitError`` where it is not whole."""
        if not self.is_whole(order):
            raise UnfitError(f"ccxt does not say how order {order.get('id')} stands: {_outline(order)}")
        instrument = self._by_symbol[order["symbol"]]
        px = instrument.px_to_ticks(order["price"]) if order["price"] is not None and order["type"] != "market" else 0
        qty, filled_qty = (instrument.qty_to_lots(order[name]) for name in ("amount", "filled"))
        order_type = ORDER_TYPES.get(order["type"] or "", OrderType.LIMIT if px else OrderType.MARKET)
        time_in_force = TIMES_IN_FORCE.get(order.get("timeInForce") or "GTC", TimeInForce.GTC)
        standing = STANDINGS[order["status"]]
        if standing is Standing.FILLED and filled_qty < qty:
            standing = Standing.CANCELLED  # an exchange that has one word for both
        is_for_now = order_type is OrderType.MARKET or time_in_force in (TimeInForce.IOC, TimeInForce.FOK)
        if standing is Standing.CANCELLED and is_for_now:
            standing = Standing.EXPIRED
        flags = OrderFlag(0)
        if order.get("postOnly") or order.get("timeInForce") == "PO":
            flags |= OrderFlag.POST_ONLY
        if order.get("reduceOnly"):
            flags |= OrderFlag.REDUCE_ONLY
        number = self.order_ids.number(order["id"])
        if order.get("timestamp"):
            self.made(number, order["timestamp"])
        return OrderView(
            instrument.id,
            ours_in(order.get("clientOrderId") or ""),
            number,
            SIDES[order["side"]],
            order_type,
            time_in_force,
            flags,
            standing,
            Reason.NO_LIQUIDITY if standing is Standing.EXPIRED and is_for_now else Reason.NONE,
            px,
            qty,
            filled_qty,
            self._heard_ts(order.get("lastUpdateTimestamp")),
        )

    def made(self, number: int, ts_ms: int) -> None:
        """Note since when there may be fills of an order, ms: the earliest, as streams may state an event's time."""
        self.created_ms[number] = min(ts_ms, self.created_ms.get(number, ts_ms))
        if len(self.created_ms) > REMEMBERED_ORDERS:
            self.created_ms.popitem(last=False)

    def fills(self, trades: Iterable[Mapping[str, Any]]) -> list[FillView]:
        """Fills of the account, in the order in which they came about."""
        ours = [each for each in trades if self.is_ours(each)]
        return [self.fill(each) for each in sorted(ours, key=_moment)]

    def fill(self, trade: Mapping[str, Any]) -> FillView:
        """One of them; raises ``UnfitError`` where it cannot be told from others."""
        if (
            not trade.get("id")
            or not trade.get("order")
            or not trade.get("timestamp")
            or trade.get("side") not in SIDES
        ):
            raise UnfitError(f"ccxt does not say which trade of which order this is: {_outline(trade)}")
        instrument, side = self._by_symbol[trade["symbol"]], SIDES[trade["side"]]
        px, qty = instrument.px_to_ticks(trade["price"]), instrument.qty_to_lots(trade["amount"])
        fee, is_known, base_fee = self._fee(instrument, px, trade)
        number = trade_number(trade["id"], trade["timestamp"])
        return FillView(
            instrument.id,
            "",
            self.order_ids.number(trade["order"]),
            number,
            side,
            px,
            qty,
            LIQUIDITIES.get(trade.get("takerOrMaker") or "", Liquidity.NONE),
            fee,
            is_known,
            self._realized(instrument, Trade(instrument.id, side, number), trade["id"], trade["timestamp"], px, qty),
            trade["timestamp"] * NS_PER_MS,
            base_fee,
        )

    def traded_ms(self, instrument: Instrument, number: int) -> int | None:
        """When a trade was; None: it is none of those that have been read."""
        seen = (self._trades.get(Trade(instrument.id, side, number)) for side in WAYS)
        return next((each.ts_ms for each in seen if each is not None), None)

    def position(self, position: Mapping[str, Any]) -> PositionView | None:
        """A position; None where it is flat. Raises ``UnfitError`` for one leg of two."""
        if position.get("hedged"):
            raise UnfitError(f"{position['symbol']} has legs for long and short: set the account to one-way mode")
        instrument = self._by_symbol[position["symbol"]]
        qty = instrument.qty_to_lots(position.get("contracts") or "0")
        if not qty:
            return None
        side = POSITION_SIDES[position["side"]]
        px, fraction = instrument.average_to_ticks(position.get("entryPrice") or "0")
        return PositionView(instrument.id, side * abs(qty), px, fraction)

    def funding(self, payment: Mapping[str, Any]) -> FundingView | None:
        """A payment of funding; None where it is not ours. What is received is above 0 with ccxt."""
        if not self.is_ours(payment) or not payment.get("id") or not payment.get("timestamp"):
            return None
        instrument = self._by_symbol[payment["symbol"]]
        number = trade_number(payment["id"], payment["timestamp"])
        return FundingView(
            instrument.id, number, -cash_of(payment["amount"], "amount"), payment["timestamp"] * NS_PER_MS
        )

    def _heard_ts(self, stated_ms: int | None) -> int:
        """When an order was as it is said to be, ns: now, where the exchange does not say."""
        self._newest_ts = max(self._newest_ts, (stated_ms or 0) * NS_PER_MS)
        return stated_ms * NS_PER_MS if stated_ms else max(time.time_ns(), self._newest_ts)

    def _realized(self, instrument: Instrument, trade: Trade, text: str, ts_ms: int, px: int, qty: int) -> int:
        """What a trade realizes: worked out when it is read the first time."""
        seen = self._trades.get(trade)
        if seen is None:
            seen = _Seen(text, ts_ms, self.averages.realized(instrument, trade.side, px, qty))
            self._trades[trade] = seen
            if len(self._trades) > REMEMBERED:
                self._trades.popitem(last=False)
        if seen.text != text:
            raise UnfitError(f"trades {text} and {seen.text} cannot be told apart")
        return seen.realized_pnl

    @staticmethod
    def _fee(instrument: Instrument, px: int, trade: Mapping[str, Any]) -> tuple[int, bool, int]:
        """What a fill cost in cash, whether that is known, and what of it was taken of the base currency."""
        stated = [each for each in (trade.get("fees") or [trade.get("fee")]) if each and each.get("cost") is not None]
        if len(stated) != 1:
            return 0, False, 0
        (fee,) = stated
        cash, currency = cash_of(fee["cost"], "fee"), fee.get("currency")
        if not cash or currency == instrument.settlement:
            return cash, True, 0
        if instrument.kind == "spot" and currency == instrument.base:
            return round(cash * px * Fraction(instrument.tick)), True, cash
        return 0, False, 0


def trade_number(text: str, timestamp_ms: int) -> int:
    """The integer of a trade or a payment: its id, where that is a whole number; else its time and a digest of its id.

    One source says the time of a trade always alike, so that it has the same integer in every session.
    """
    number = int(text) if text.isascii() and text.isdigit() else 0
    if 0 < number <= MOST:
        return number
    digest = int.from_bytes(blake2b(text.encode(), digest_size=8).digest(), "little")
    return timestamp_ms << DIGEST_BITS | digest % (1 << DIGEST_BITS)


def _moment(trade: Mapping[str, Any]) -> tuple[int, int]:
    """By which trades are put in order: ccxt sorts their ids as text."""
    ts_ms = trade.get("timestamp") or 0
    return ts_ms, trade_number(trade.get("id") or "", ts_ms)


def _outline(structure: Mapping[str, Any]) -> str:
    return ", ".join(f"{name} {structure.get(name)}" for name in ("symbol", "status", "type", "side", "amount"))
