"""Binance spot: its answers and messages in our integers.

Sources: Binance, Spot API, the pages named at each method.
"""

from __future__ import annotations

from collections.abc import Mapping
from fractions import Fraction
from typing import Any, NamedTuple

from gateways.orders.binance_spot_words import ORDER_TYPES, POST_ONLY
from gateways.orders.binance_views import NS_PER_MS
from gateways.orders.binance_words import SIDE_OF, STANDINGS, TIME_IN_FORCE_OF, end_reason
from gateways.orders.ids import number_of
from gateways.orders.views import FillView, Notice, OrderView, Told
from oms.decimals import scaled
from oms.instruments import Instrument
from oms.records import Liquidity, OrderFlag, OrderType, TimeInForce


class _Fee(NamedTuple):
    """A commission: what it is worth in the quote currency, and what of the base currency was taken; cash."""

    value: int
    is_known: bool
    base: int = 0


class BinanceSpotViews:
    """Reads what the exchange writes about the instruments of a session.

    Parameters
    ----------
    instruments
        By symbol.
    """

    def __init__(self, instruments: Mapping[str, Instrument]) -> None:
        self._by_symbol = instruments

    def told(self, message: Any) -> list[Told]:
        """ "User Data Streams": each event in the envelope of its subscription."""
        event = message.get("event") if isinstance(message, dict) else None
        kind = event.get("e") if isinstance(event, dict) else None
        if event is None or kind == "eventStreamTerminated":
            return [Notice.STREAM_ENDED] if kind else []
        if kind in ("balanceUpdate", "externalLockUpdate"):
            return [Notice.BALANCE_CHANGED]
        if kind != "executionReport" or event["s"] not in self._by_symbol:
            return []
        order = self._order_event(event)
        return [self._fill_event(event), order] if event["x"] == "TRADE" else [order]

    def order(self, row: Mapping[str, Any]) -> OrderView:
        """An order of an answer; one about a cancel or an amend names the order's own id as the original one."""
        return self._view(
            row["symbol"],
            row.get("origClientOrderId") or row["clientOrderId"],
            row["orderId"],
            row["side"],
            row["type"],
            row["timeInForce"],
            row["status"],
            (row["price"], row.get("origQty") or row["qty"], row["executedQty"]),
            row["updateTime"] if "updateTime" in row else row["transactTime"],
        )

    def _order_event(self, event: Mapping[str, Any]) -> OrderView:
        """An order of "Order Update": ``c`` is the cancel's own id where it was cancelled, ``C`` the order's."""
        return self._view(
            event["s"],
            event["C"] if event["x"] == "CANCELED" and event["C"] else event["c"],
            event["i"],
            event["S"],
            event["o"],
            event["f"],
            event["X"],
            (event["p"], event["q"], event["z"]),
            event["T"],
        )

    def _view(
        self,
        symbol: str,
        client_id: str,
        venue_order_id: Any,
        side: str,
        order_type: str,
        time_in_force: str,
        status: str,
        numbers: tuple[str, str, str],
        ts_ms: Any,
    ) -> OrderView:
        instrument = self._by_symbol[symbol]
        px, qty, filled_qty = numbers
        known_type = ORDER_TYPES.get(order_type, OrderType.MARKET)
        return OrderView(
            instrument.id,
            client_id,
            number_of(venue_order_id, "orderId"),
            SIDE_OF[side],
            known_type,
            TIME_IN_FORCE_OF.get(time_in_force, TimeInForce.GTC),
            OrderFlag.POST_ONLY if order_type == POST_ONLY else OrderFlag(0),
            STANDINGS[status],
            end_reason(status, known_type, time_in_force, is_reduce_only=False),
            instrument.px_to_ticks(px) if known_type is OrderType.LIMIT else 0,
            instrument.qty_to_lots(qty),
            instrument.qty_to_lots(filled_qty),
            int(ts_ms) * NS_PER_MS,
        )

    def fill(self, row: Mapping[str, Any]) -> FillView:
        """A fill of "Account trade list"."""
        return self._fill_view(
            row["symbol"],
            "",
            (row["orderId"], row["id"]),
            1 if row["isBuyer"] is True else -1,
            (row["price"], row["qty"]),
            row["isMaker"] is True,
            (row["commission"], row["commissionAsset"]),
            row["time"],
        )

    def _fill_event(self, event: Mapping[str, Any]) -> FillView:
        """A fill of "Order Update"."""
        return self._fill_view(
            event["s"],
            event["c"],
            (event["i"], event["t"]),
            SIDE_OF[event["S"]],
            (event["L"], event["l"]),
            event["m"] is True,
            (event["n"], event["N"] or ""),
            event["T"],
        )

    def _fill_view(
        self,
        symbol: str,
        client_id: str,
        ids: tuple[Any, Any],
        side: int,
        numbers: tuple[str, str],
        is_maker: bool,
        commission: tuple[str, str],
        ts_ms: Any,
    ) -> FillView:
        instrument = self._by_symbol[symbol]
        px = instrument.px_to_ticks(numbers[0])
        fee = self._fee(instrument, px, *commission)
        return FillView(
            instrument.id,
            client_id,
            number_of(ids[0], "orderId"),
            number_of(ids[1], "trade id"),
            side,
            px,
            instrument.qty_to_lots(numbers[1]),
            Liquidity.MAKER if is_maker else Liquidity.TAKER,
            fee.value,
            fee.is_known,
            0,
            int(ts_ms) * NS_PER_MS,
            fee.base,
        )

    @staticmethod
    def _fee(instrument: Instrument, px: int, amount: str, currency: str) -> _Fee:
        cash = scaled("commission", amount, "commission")
        if not cash or currency == instrument.quote:
            return _Fee(cash, is_known=True)
        if currency == instrument.base:
            return _Fee(round(cash * px * Fraction(instrument.tick)), is_known=True, base=cash)
        return _Fee(0, is_known=False)
