"""HTX spot: its answers and messages in our integers.

Sources: the sections of the documentation named at each method. Amounts have as many decimals as it takes; they are
rounded half to even to 1e-8, as the core books them.
"""

from __future__ import annotations

from collections.abc import Mapping
from fractions import Fraction
from typing import Any, Final

from gateways.orders.cash import cash_of
from gateways.orders.htx_spot_words import AT_MARKET, KIND_OF, STANDINGS
from gateways.orders.htx_views import NS_PER_MS
from gateways.orders.htx_words import SIDE_OF
from gateways.orders.ids import number_of
from gateways.orders.views import FillView, OrderView, Standing, Told
from oms.decimals import parse_decimal
from oms.instruments import Instrument
from oms.records import Liquidity, OrderType, Reason, TimeInForce

ORDERS, CLEARING = "orders#", "trade.clearing#"
_TIMES: Final = ("lastActTime", "tradeTime", "orderCreateTime")


class HtxSpotViews:
    """Reads what the exchange writes about the instruments of a session.

    Parameters
    ----------
    instruments
        By symbol.
    """

    def __init__(self, instruments: Mapping[str, Instrument]) -> None:
        self._by_symbol = instruments

    def told(self, message: Any) -> list[Told]:
        """ "Subscribe Order Updates", and "Subscribe Trade Details & Order Cancellation post Clearing"."""
        if not isinstance(message, dict):
            return []
        channel, row = str(message.get("ch")), message.get("data")
        if not isinstance(row, dict) or row.get("symbol") not in self._by_symbol:
            return []
        if channel.startswith(ORDERS) and "orderId" in row:
            return [self._order_event(row)]
        if channel.startswith(CLEARING) and row.get("eventType") == "trade":
            return [self._fill_event(row)]
        return []

    def order(self, row: Mapping[str, Any]) -> OrderView:
        """An order of "Get the Order Detail of an Order" and of "Get All Open Orders": the one says ``field``, the
        other ``filled``."""
        filled = row["field-amount"] if "field-amount" in row else row["filled-amount"]
        ts_ms = max(int(row.get(name) or 0) for name in ("created-at", "updated-at", "finished-at", "canceled-at"))
        client_id = row.get("client-order-id") or ""
        return self._view(row["symbol"], client_id, row["id"], row, row["state"], row["amount"], filled, ts_ms)

    def _order_event(self, row: Mapping[str, Any]) -> OrderView:
        ts_ms = next(int(row[name]) for name in _TIMES if row.get(name))
        terms = {"type": row["type"], "price": row.get("orderPrice")}
        client_id = row.get("clientOrderId") or ""
        filled, size = row.get("execAmt") or "0", row.get("orderSize") or "0"
        return self._view(row["symbol"], client_id, row["orderId"], terms, row["orderStatus"], size, filled, ts_ms)

    def _view(
        self,
        symbol: str,
        client_id: str,
        venue_order_id: Any,
        terms: Mapping[str, Any],
        state: str,
        qty: str,
        filled_qty: str,
        ts_ms: int,
    ) -> OrderView:
        """A buy at the market has what it may spend as its quantity: it is none of ours."""
        instrument = self._by_symbol[symbol]
        side, _, kind = str(terms["type"]).partition("-")
        order_type, time_in_force, flags = KIND_OF.get(kind, AT_MARKET)
        standing, reason = STANDINGS[state], Reason.NONE
        if standing is Standing.CANCELLED and time_in_force is not TimeInForce.GTC:
            standing, reason = Standing.EXPIRED, Reason.NO_LIQUIDITY
        filled = self._lots(instrument, filled_qty)
        spends = order_type is OrderType.MARKET and SIDE_OF[side] > 0
        return OrderView(
            instrument.id,
            client_id,
            number_of(venue_order_id, "order id"),
            SIDE_OF[side],
            order_type,
            time_in_force,
            flags,
            standing,
            reason,
            instrument.px_to_ticks(terms["price"]) if order_type is OrderType.LIMIT else 0,
            filled if spends else self._lots(instrument, qty),
            filled,
            ts_ms * NS_PER_MS,
        )

    def fill(self, row: Mapping[str, Any]) -> FillView:
        """A fill of "Search Match Results"."""
        points = cash_of(row.get("filled-points"), "filled-points")
        return self._fill(
            row["symbol"],
            "",
            (row["order-id"], row["trade-id"]),
            str(row["type"]).partition("-")[0],
            (row["price"], row["filled-amount"]),
            row["role"].lower() == "maker",
            (row["filled-fees"], row["fee-currency"], bool(points or row.get("fee-deduct-currency"))),
            row["created-at"],
        )

    def _fill_event(self, row: Mapping[str, Any]) -> FillView:
        return self._fill(
            row["symbol"],
            row.get("clientOrderId") or "",
            (row["orderId"], row["tradeId"]),
            row["orderSide"],
            (row["tradePrice"], row["tradeVolume"]),
            row["aggressor"] is False,
            (row["transactFee"], row["feeCurrency"], bool(row.get("feeDeductType"))),
            row["tradeTime"],
        )

    def _fill(
        self,
        symbol: str,
        client_id: str,
        ids: tuple[Any, Any],
        side: str,
        numbers: tuple[str, str],
        is_maker: bool,
        fee: tuple[str, str, bool],
        ts_ms: Any,
    ) -> FillView:
        """A fee is taken of what a fill brings; one that is deducted in another currency is left to the core."""
        instrument = self._by_symbol[symbol]
        px = instrument.px_to_ticks(numbers[0])
        cash, currency, is_deducted = cash_of(fee[0], "fee"), fee[1].upper(), fee[2]
        in_base = currency == instrument.base and not is_deducted
        return FillView(
            instrument.id,
            client_id,
            number_of(ids[0], "order id"),
            number_of(ids[1], "trade id"),
            SIDE_OF[side],
            px,
            instrument.qty_to_lots(numbers[1]),
            Liquidity.MAKER if is_maker else Liquidity.TAKER,
            round(cash * px * Fraction(instrument.tick)) if in_base else cash,
            not is_deducted and currency in (instrument.base, instrument.quote),
            0,
            int(ts_ms) * NS_PER_MS,
            cash if in_base else 0,
        )

    @staticmethod
    def _lots(instrument: Instrument, text: str) -> int:
        """A quantity; what is not on the grid, as of a buy at the market, is cut."""
        return int(parse_decimal("quantity", str(text)) // parse_decimal("lot", instrument.lot))
