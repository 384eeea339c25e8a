"""OKX: its answers and messages in our integers.

Sources: OKX v5, the sections named at each method. Everything is text, and empty where there is nothing. Amounts have
as many decimals as it takes; they are rounded half to even to 1e-8, as the core books them.
"""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Any, Final

from gateways.orders.cash import cash_of
from gateways.orders.ids import number_of
from gateways.orders.okx_words import AT_MARKET, EXPIRIES, SIDE_OF, STANDINGS, TYPE_OF
from gateways.orders.views import FillView, FundingView, Notice, OrderView, PositionView, Standing, Told, TradeView
from oms.instruments import Instrument
from oms.records import Liquidity, OrderFlag, Reason

NS_PER_MS: Final = 1_000_000

ORDERS, ACCOUNT = "orders", "balance_and_position"
CLOSING: Final = "64008"
"""Code of the notice that a connection will be closed."""

FUNDING_EVENT: Final = "funding_fee"


class OkxViews:
    """Reads what the exchange writes about the instruments of a session.

    Parameters
    ----------
    instruments
        By symbol.
    """

    def __init__(self, instruments: Mapping[str, Instrument]) -> None:
        self._by_symbol = instruments

    def told(self, message: Any) -> list[Told]:
        """ "WS / Order channel", "WS / Balance and position channel", "Notification"."""
        if not isinstance(message, dict):
            return []
        if message.get("event") == "notice" and message.get("code") == CLOSING:
            return [Notice.STREAM_ENDED]
        channel = message.get("arg", {}).get("channel")
        rows = message.get("data", [])
        if channel == ACCOUNT:
            return [each for row in rows for each in self._account_event(row)]
        if channel != ORDERS:
            return []
        told: list[Told] = []
        for row in rows:
            if row["instId"] in self._by_symbol:
                told += [self._fill_event(row)] if _has_fill(row) else []
                told.append(self.order(row))
        return told

    def _account_event(self, row: Mapping[str, Any]) -> list[Told]:
        """What moved balances and positions: the trades of it have fills on the other channel."""
        traded = [
            TradeView(self._by_symbol[trade["instId"]].id, number_of(trade["tradeId"], "tradeId"))
            for trade in row.get("trades", ())
            if trade["instId"] in self._by_symbol
        ]
        return [Notice.FUNDING_PAID] if row.get("eventType") == FUNDING_EVENT else [*traded]

    def order(self, row: Mapping[str, Any]) -> OrderView:
        """An order of "Order details", of "Order List" and of the order channel."""
        instrument = self._by_symbol[row["instId"]]
        order_type, time_in_force, flags = TYPE_OF.get(row["ordType"], AT_MARKET)
        standing = STANDINGS[row["state"]]
        reason = (
            EXPIRIES.get(row.get("cancelSource", ""), Reason.NONE) if standing is Standing.CANCELLED else Reason.NONE
        )
        return OrderView(
            instrument.id,
            _client_id(row),
            number_of(row["ordId"], "ordId"),
            SIDE_OF[row["side"]],
            order_type,
            time_in_force,
            flags | (OrderFlag.REDUCE_ONLY if row["reduceOnly"] in ("true", True) else OrderFlag(0)),
            Standing.EXPIRED if reason else standing,
            reason,
            instrument.px_to_ticks(row["px"] or "0"),
            instrument.qty_to_lots(row["sz"]),
            instrument.qty_to_lots(row["accFillSz"] or "0"),
            int(row["uTime"]) * NS_PER_MS,
        )

    def fill(self, row: Mapping[str, Any]) -> FillView:
        """A fill of "Transaction details"."""
        return self._fill(row, row["fee"], row["feeCcy"], row["fillPnl"], row["fillTime"] or row["ts"])

    def _fill_event(self, row: Mapping[str, Any]) -> FillView:
        """The fill that a message of the order channel tells of."""
        return self._fill(row, row["fillFee"], row["fillFeeCcy"], row["fillPnl"], row["fillTime"])

    def _fill(self, row: Mapping[str, Any], fee: str, currency: str, realized_pnl: str, ts_ms: str) -> FillView:
        instrument = self._by_symbol[row["instId"]]
        fill = FillView(
            instrument.id,
            _client_id(row),
            number_of(row["ordId"], "ordId"),
            number_of(row["tradeId"], "tradeId"),
            SIDE_OF[row["side"]],
            instrument.px_to_ticks(row["fillPx"]),
            instrument.qty_to_lots(row["fillSz"]),
            Liquidity.MAKER if row["execType"] == "M" else Liquidity.TAKER,
            0,
            False,
            cash_of(realized_pnl, "fillPnl"),
            int(ts_ms) * NS_PER_MS,
        )
        return self.with_fee(fill, instrument, -cash_of(fee, "fee"), currency)

    def with_fee(self, fill: FillView, instrument: Instrument, cash: int, currency: str) -> FillView:
        """A fill with its fee, which the exchange writes as a negative number where it is taken, and is positive
        here."""
        return fill._replace(fee=cash, fee_known=currency == instrument.settlement)

    def position(self, row: Mapping[str, Any]) -> PositionView | None:
        """A position of "Get positions"; None: of another instrument."""
        instrument = self._by_symbol.get(row["instId"])
        if instrument is None:
            return None
        qty = instrument.qty_to_lots(row["pos"] or "0", "position")
        return PositionView(instrument.id, qty, *(instrument.average_to_ticks(row["avgPx"]) if qty else (0, 0)))

    def funding(self, row: Mapping[str, Any]) -> FundingView | None:
        """A payment of "Get bills details"; None: of another instrument."""
        instrument = self._by_symbol.get(row["instId"])
        if instrument is None:
            return None
        paid = -cash_of(row["balChg"], "balChg")
        return FundingView(instrument.id, number_of(row["billId"], "billId"), paid, int(row["ts"]) * NS_PER_MS)


def _client_id(row: Mapping[str, Any]) -> str:
    """The client's id of an order, or of the stop that it was."""
    client_id: str = row["clOrdId"] or row.get("algoClOrdId", "")
    return client_id


def _has_fill(row: Mapping[str, Any]) -> bool:
    return bool(row.get("tradeId")) and Decimal(row.get("fillSz") or "0") > 0
