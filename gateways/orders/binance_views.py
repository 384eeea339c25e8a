"""Binance's futures: their answers and messages in our integers.

Sources: Binance, USDⓈ-M Futures, the pages named at each method.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from gateways.orders.binance_stops import stop_event, stop_view
from gateways.orders.binance_words import ORDER_TYPES, POST_ONLY, SIDE_OF, STANDINGS, TIME_IN_FORCE_OF, end_reason
from gateways.orders.ids import number_of
from gateways.orders.views import FillView, Notice, OrderView, Told
from oms.decimals import scaled
from oms.instruments import Instrument
from oms.records import Liquidity, OrderFlag, OrderType, TimeInForce

NS_PER_MS: Final = 1_000_000


class BinanceViews:
    """Reads what the exchange writes about the instruments of a session.

    Parameters
    ----------
    instruments
        By symbol.
    """

    def __init__(self, instruments: Mapping[str, Instrument]) -> None:
        self._by_symbol = instruments

    def told(self, message: Any) -> list[Told]:
        """Of the pages "Event: Order Update", "Event: Algo Order Update", "Event: User Data Stream Expired" and "Event:
        Balance and Position Update".
        """
        kind = message.get("e") if isinstance(message, dict) else None
        if kind == "listenKeyExpired":
            return [Notice.STREAM_ENDED]
        if kind == "ACCOUNT_UPDATE":
            return [Notice.FUNDING_PAID] if message["a"]["m"] == "FUNDING_FEE" else []
        if kind == "ALGO_UPDATE":
            stop = stop_event(self._by_symbol, message)
            return [] if stop is None else [stop]
        if kind != "ORDER_TRADE_UPDATE" or message["o"]["s"] not in self._by_symbol:
            return []
        details = message["o"]
        order = self._order_event(details)
        return [self._fill_event(details), order] if details["x"] == "TRADE" else [order]

    def order(self, row: Mapping[str, Any]) -> OrderView:
        """An order of an answer."""
        return self._view(
            row["symbol"],
            row["clientOrderId"],
            row["orderId"],
            row["side"],
            row["origType"],
            row["timeInForce"],
            row["reduceOnly"] is True,
            row["status"],
            (row["price"], row["origQty"], row["executedQty"]),
            row["updateTime"],
        )

    def stop(self, row: Mapping[str, Any]) -> OrderView | None:
        """A conditional order of an answer; None for one of a kind that is not kept here."""
        return stop_view(self._by_symbol, row, int(row["updateTime"]))

    def _order_event(self, details: Mapping[str, Any]) -> OrderView:
        """An order of an event."""
        return self._view(
            details["s"],
            details["c"],
            details["i"],
            details["S"],
            details["ot"],
            details["f"],
            details["R"] is True,
            details["X"],
            (details["p"], details["q"], details["z"]),
            details["T"],
        )

    def _view(
        self,
        symbol: str,
        client_id: str,
        venue_order_id: Any,
        side: str,
        order_type: str,
        time_in_force: str,
        is_reduce_only: bool,
        status: str,
        numbers: tuple[str, str, str],
        ts_ms: Any,
    ) -> OrderView:
        instrument = self._by_symbol[symbol]
        px, qty, filled_qty = numbers
        known_type = ORDER_TYPES.get(order_type, OrderType.MARKET)
        flags = OrderFlag.POST_ONLY if time_in_force == POST_ONLY else OrderFlag(0)
        return OrderView(
            instrument.id,
            client_id,
            number_of(venue_order_id, "orderId"),
            SIDE_OF[side],
            known_type,
            TIME_IN_FORCE_OF.get(time_in_force, TimeInForce.GTC),
            flags | (OrderFlag.REDUCE_ONLY if is_reduce_only else OrderFlag(0)),
            STANDINGS[status],
            end_reason(status, known_type, time_in_force, is_reduce_only=is_reduce_only),
            instrument.px_to_ticks(px),
            instrument.qty_to_lots(qty),
            instrument.qty_to_lots(filled_qty),
            int(ts_ms) * NS_PER_MS,
        )

    def fill(self, row: Mapping[str, Any]) -> FillView:
        """A fill of the trade list."""
        return self._fill_view(
            row["symbol"],
            "",
            row["orderId"],
            row["id"],
            row["side"],
            (row["price"], row["qty"]),
            row["maker"] is True,
            (row["commission"], row["commissionAsset"]),
            row["realizedPnl"],
            row["time"],
        )

    def _fill_event(self, details: Mapping[str, Any]) -> FillView:
        """A fill of an event; without a commission nothing is said of it."""
        return self._fill_view(
            details["s"],
            details["c"],
            details["i"],
            details["t"],
            details["S"],
            (details["L"], details["l"]),
            details["m"] is True,
            (details.get("n", "0"), details.get("N", "")),
            details["rp"],
            details["T"],
        )

    def _fill_view(
        self,
        symbol: str,
        client_id: str,
        venue_order_id: Any,
        trade_id: Any,
        side: str,
        numbers: tuple[str, str],
        is_maker: bool,
        commission: tuple[str, str],
        realized_pnl: str,
        ts_ms: Any,
    ) -> FillView:
        instrument = self._by_symbol[symbol]
        fee, currency = commission
        return FillView(
            instrument.id,
            client_id,
            number_of(venue_order_id, "orderId"),
            number_of(trade_id, "trade id"),
            SIDE_OF[side],
            instrument.px_to_ticks(numbers[0]),
            instrument.qty_to_lots(numbers[1]),
            Liquidity.MAKER if is_maker else Liquidity.TAKER,
            scaled("commission", fee, "commission"),
            currency == instrument.settlement,
            scaled("realized PnL", realized_pnl, "realized PnL"),
            int(ts_ms) * NS_PER_MS,
        )
