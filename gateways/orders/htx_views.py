"""HTX's USDT-margined contracts: answers and messages in our integers.

Sources: the sections of the documentation named at each method. Nearly everything is text. Amounts have as many
decimals as it takes; they are rounded half to even to 1e-8, as the core books them.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final

from gateways.orders.cash import cash_of
from gateways.orders.htx_words import (
    BY_SYSTEM,
    EXPIRIES,
    POST_ONLY,
    SIDE_OF,
    STANDINGS,
    TIME_IN_FORCE_OF,
    TYPE_OF,
)
from gateways.orders.ids import number_of
from gateways.orders.views import FillView, FundingView, OrderView, PositionView, Standing, Told
from oms.instruments import Instrument
from oms.records import Liquidity, OrderFlag, OrderType, Reason

NS_PER_MS: Final = 1_000_000
ORDERS: Final = "orders"


class HtxLinearViews:
    """Reads what the exchange writes about the instruments of a session.

    Parameters
    ----------
    instruments
        By symbol.
    """

    def __init__(self, instruments: Mapping[str, Instrument]) -> None:
        self._by_symbol = instruments

    def told(self, message: Any) -> list[Told]:
        """ "Subscribe to order data": fills are asked for, as the stream does not say what they cost.

        An order that is matched with several others at once is told of in as many messages, all of them with the state
        that it has come to: only the last of them, which has all that it has filled, says that it has ended.
        """
        if not isinstance(message, dict) or message.get("op") != "notify" or message.get("topic") != ORDERS:
            return []
        row = message["data"]
        if row["contract_code"] not in self._by_symbol:
            return []
        view = self.order(row)
        unfilled_qty = view.qty - view.filled_qty
        if view.standing is not Standing.OPEN and unfilled_qty and not self._is_last(row, unfilled_qty):
            view = view._replace(standing=Standing.OPEN, reason=Reason.NONE)
        return [view]

    def order(self, row: Mapping[str, Any]) -> OrderView:
        """An order of "Get Order Info", "Get Current Orders" and "Subscribe to order data"."""
        instrument = self._by_symbol[row["contract_code"]]
        order_type = TYPE_OF[row["type"]]
        is_post_only, is_reduce_only = row["type"] == POST_ONLY, row["reduce_only"] in (True, "true", 1)
        standing, filled_qty = STANDINGS[row["state"]], instrument.qty_to_lots(row["trade_volume"] or "0")
        reason = Reason.NONE
        if standing is Standing.CANCELLED:
            why = (row.get("cancel_reason") or "").strip()
            reason = EXPIRIES.get(why, Reason.NONE)
            if why == BY_SYSTEM and is_post_only and not filled_qty:
                reason = Reason.POST_ONLY_WOULD_CROSS
            elif why == BY_SYSTEM and is_reduce_only:
                reason = Reason.REDUCE_ONLY
        flags = OrderFlag.POST_ONLY if is_post_only else OrderFlag(0)
        client_id = row["client_order_id"] or ""
        return OrderView(
            instrument.id,
            "" if client_id == row["order_id"] else client_id,
            number_of(row["order_id"], "order_id"),
            SIDE_OF[row["side"]],
            order_type,
            TIME_IN_FORCE_OF[row["time_in_force"].lower()],
            flags | (OrderFlag.REDUCE_ONLY if is_reduce_only else OrderFlag(0)),
            Standing.EXPIRED if reason else standing,
            reason,
            instrument.px_to_ticks(row["price"]) if order_type is OrderType.LIMIT else 0,
            instrument.qty_to_lots(row["volume"]),
            filled_qty,
            int(row["updated_time"]) * NS_PER_MS,
        )

    def fills(self, rows: Iterable[Mapping[str, Any]]) -> list[FillView]:
        """Fills of "Get Execution Details (last 3 days)", by trade id.

        Raises
        ------
        ValueError
            When two fills of an order have one trade id, by which they are told apart.
        """
        queries: dict[tuple[str, str], str] = {}
        for row in rows:
            trade = (row["order_id"], row["trade_id"])
            if queries.setdefault(trade, row["id"]) != row["id"]:
                raise ValueError(f"two fills of order {trade[0]} have the trade id {trade[1]}")
        return sorted((self._fill(row) for row in rows), key=lambda fill: fill.trade_id)

    def _fill(self, row: Mapping[str, Any]) -> FillView:
        """A fee that is taken is positive there, too."""
        instrument = self._by_symbol[row["contract_code"]]
        return FillView(
            instrument.id,
            "",
            number_of(row["order_id"], "order_id"),
            number_of(row["trade_id"], "trade_id"),
            SIDE_OF[row["side"]],
            instrument.px_to_ticks(row["trade_price"]),
            instrument.qty_to_lots(row["trade_volume"]),
            Liquidity.MAKER if row["role"].lower() == "maker" else Liquidity.TAKER,
            cash_of(row["trade_fee"], "trade_fee"),
            row["fee_currency"] == instrument.settlement,
            cash_of(row["profit"], "profit"),
            int(row["created_time"]) * NS_PER_MS,
        )

    def position(self, row: Mapping[str, Any]) -> PositionView | None:
        """A position of "Get Current Position"; None: of another instrument."""
        instrument = self._by_symbol.get(row["contract_code"])
        if instrument is None:
            return None
        qty = SIDE_OF[row["direction"]] * instrument.qty_to_lots(row["volume"], "position")
        return PositionView(
            instrument.id, qty, *(instrument.average_to_ticks(row["open_avg_price"]) if qty else (0, 0))
        )

    def funding(self, row: Mapping[str, Any]) -> FundingView | None:
        """A payment of "Query Financial Records"; None: of another instrument."""
        instrument = self._by_symbol.get(row["contract_code"])
        if instrument is None:
            return None
        paid = -cash_of(row["amount"], "amount")
        return FundingView(instrument.id, number_of(row["id"], "id"), paid, int(row["created_time"]) * NS_PER_MS)

    def _is_last(self, row: Mapping[str, Any], unfilled_qty: int) -> bool:
        """Whether a message is the last of an order that has ended with something unfilled."""
        instrument = self._by_symbol[row["contract_code"]]
        if STANDINGS[row["state"]] is Standing.FILLED:
            return False
        return not row.get("cancel_volume") or instrument.qty_to_lots(row["cancel_volume"]) == unfilled_qty
