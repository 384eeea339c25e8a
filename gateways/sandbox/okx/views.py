"""Orders, fills, positions and balances as the exchange writes them.

Sources: OKX v5, the sections named at each function. All values are text.
"""

from __future__ import annotations

from fractions import Fraction
from typing import Any, Final, NamedTuple

from gateways.sandbox.accounts import Account, Fill, Order, Status
from gateways.sandbox.conditionals import Conditional, Source, Waiting
from gateways.sandbox.engine.records import OperationFlag
from gateways.sandbox.exchange import Event, Exchange
from gateways.sandbox.okx.contract import Contract, Json, cash, decimal_text
from oms.records import OrderType, TimeInForce

SIDES: Final = {"buy": 1, "sell": -1}
SIDE_NAMES: Final = {side: name for name, side in SIDES.items()}

STATES: Final = {
    Status.NEW: "live",
    Status.PARTIALLY_FILLED: "partially_filled",
    Status.FILLED: "filled",
    Status.CANCELED: "canceled",
    Status.EXPIRED: "canceled",
    Status.EXPIRED_IN_MATCH: "canceled",
}

BY_SYSTEM, BY_USER, FOK_UNFILLED, IOC_REST, TIMED_OUT = "0", "1", "13", "14", "20"
REDUCE_ONLY_CUT, POST_ONLY_TAKES, SELF_TRADE = "23", "31", "32"
"""Values of ``cancelSource`` ("WS / Order channel")."""

SELF_TRADES: Final = {
    "cancel_maker": OperationFlag.EXPIRE_MAKER,
    "cancel_taker": OperationFlag.EXPIRE_TAKER,
    "cancel_both": OperationFlag.EXPIRE_BOTH,
}
SELF_TRADE_NAMES: Final = {flag: name for name, flag in SELF_TRADES.items()}

FIRST_BILL_ID: Final = 1_760_000_000_000_000_000
"""Bill ids are of this size, and in the order of what they are about."""

ALGO_STATES: Final = {
    Waiting.NEW: "live",
    Waiting.TRIGGERING: "effective",
    Waiting.TRIGGERED: "effective",
    Waiting.FINISHED: "effective",
    Waiting.CANCELED: "canceled",
    Waiting.REJECTED: "order_failed",
    Waiting.EXPIRED: "order_failed",
}
"""By state of a conditional order; ``effective``: it has become an order."""

TRIGGER_PRICES: Final = {"last": Source.LAST, "mark": Source.MARK, "index": Source.MARK}
"""There is no index here: the mark price stands for it."""

AT_MARKET: Final = "-1"
"""``orderPx`` of a conditional order that becomes one at the market."""


def stop_kind(conditional: Conditional) -> str:
    """Which of the three prices a conditional order has: of a ``trigger`` order, a stop-loss or a take-profit."""
    if conditional.kind == "trigger":
        return conditional.kind
    return "sl" if conditional.rises == conditional.side else "tp"


class Booking(NamedTuple):
    """What a fill brought of a currency, cash, and the fee that was taken of it."""

    currency: str
    amount: int
    fee: int


def bill_id(fill_number: int, part: int = 0) -> int:
    """Of a booking of a fill: an account's fills are counted from 0."""
    return FIRST_BILL_ID + 2 * fill_number + part


def order_type_of(order: Order) -> str:
    """``ordType``."""
    if order.order_type is OrderType.MARKET:
        return "market"
    if order.is_post_only:
        return "post_only"
    return {TimeInForce.IOC: "ioc", TimeInForce.FOK: "fok"}.get(order.time_in_force, "limit")


class Views:
    """Writes what belongs to one instrument.

    Attributes
    ----------
    cancel_sources : dict of str by order id
        Why an order was cancelled, where its state does not tell.
    """

    def __init__(self, exchange: Exchange[Any], contract: Contract) -> None:
        self.exchange = exchange
        self.contract = contract
        self.cancel_sources: dict[int, str] = {}

    def fee_currency(self, _side: int) -> str:
        """What the fee of a fill is in."""
        return self.contract.currency

    def bookings(self, fill: Fill) -> list[Booking]:
        """What a fill moved in the account."""
        return [Booking(self.contract.currency, fill.realized_pnl - fill.fee, fill.fee)]

    def order(self, order: Order) -> Json:
        """A row of "Order details"."""
        average = Fraction(order.filled_cost, order.filled_qty) if order.filled_qty else Fraction(0)
        fills = [fill for fill in order.account.fills if fill.order is order] if order.filled_qty else []
        last = self._fill_parts(fills[-1] if fills else None)
        return {
            "accFillSz": self.contract.sz(order.filled_qty),
            "algoClOrdId": "",
            "algoId": str(order.of_conditional) if order.of_conditional else "",
            "avgPx": self.contract.average(average),
            "cTime": str(order.created_ms),
            "cancelSource": self.cancel_source(order),
            "cancelSourceReason": "",
            "category": "normal",
            "ccy": "",
            "clOrdId": order.client_order_id,
            "fee": cash(-sum(fill.fee for fill in fills)),
            "feeCcy": self.fee_currency(order.side),
            **last,
            "instId": self.contract.inst_id,
            "instType": self.contract.inst_type,
            "isTpLimit": "false",
            "lever": "" if self.contract.is_spot else str(order.account.leverage),
            "ordId": str(order.order_id),
            "ordType": order_type_of(order),
            "pnl": cash(sum(fill.realized_pnl for fill in fills)),
            "posSide": "net",
            "px": self.contract.px(order.px),
            "quickMgnType": "",
            "rebate": "0",
            "rebateCcy": self.contract.currency,
            "reduceOnly": "true" if order.is_reduce_only else "false",
            "side": SIDE_NAMES[order.side],
            "source": "7" if order.of_conditional else "",
            "state": STATES[order.status],
            "stpId": "",
            "stpMode": SELF_TRADE_NAMES.get(order.self_trade, "cancel_maker"),
            "sz": self.contract.sz(order.qty),
            "tag": "",
            "tdMode": self.contract.trade_mode,
            "tgtCcy": "base_ccy" if self.contract.is_spot else "",
            "uTime": str(order.updated_ms),
        }

    def order_event(self, event: Event, request_id: str = "", amend_result: str = "") -> Json:
        """A row of "WS / Order channel"."""
        fill = event.fill
        return {
            **self.order(event.order),
            **self._fill_parts(fill),
            "amendResult": amend_result,
            "amendSource": "1" if amend_result else "",
            "code": "0",
            "execType": self._liquidity(fill),
            "fillFee": cash(-fill.fee) if fill else "0",
            "fillFeeCcy": self.fee_currency(event.order.side) if fill else "",
            "fillPnl": cash(fill.realized_pnl) if fill else "0",
            "lastPx": self.contract.px(self.exchange.last_px),
            "msg": "",
            "reqId": request_id,
        }

    def cancel_source(self, order: Order) -> str:
        """``cancelSource`` of an order; empty while it is not cancelled."""
        if STATES[order.status] != "canceled":
            return ""
        known = self.cancel_sources.get(order.order_id)
        if known is not None:
            return known
        if order.status is Status.EXPIRED_IN_MATCH:
            return SELF_TRADE
        if order.status is Status.CANCELED:
            return BY_USER
        if order.time_in_force is TimeInForce.FOK:
            return FOK_UNFILLED
        if order.time_in_force is TimeInForce.IOC or order.order_type is OrderType.MARKET:
            return IOC_REST
        return REDUCE_ONLY_CUT if order.is_reduce_only else BY_SYSTEM

    def _fill_parts(self, fill: Fill | None) -> Json:
        if fill is None:
            return {"fillPx": "", "fillSz": "0", "fillTime": "", "tradeId": ""}
        return {
            "fillPx": self.contract.px(fill.px),
            "fillSz": self.contract.sz(fill.qty),
            "fillTime": str(fill.ts_ms),
            "tradeId": str(fill.trade_id),
        }

    @staticmethod
    def _liquidity(fill: Fill | None) -> str:
        if fill is None:
            return ""
        return "M" if fill.is_maker else "T"

    def fill(self, number: int, fill: Fill) -> Json:
        """A row of "Get transaction details"; ``number`` counts the account's fills from 0."""
        return {
            "billId": str(bill_id(number)),
            "clOrdId": fill.order.client_order_id,
            "execType": self._liquidity(fill),
            "fee": cash(-fill.fee),
            "feeCcy": self.fee_currency(fill.order.side),
            "feeRate": "",
            "fillIdxPx": "",
            "fillMarkPx": "",
            "fillPnl": cash(fill.realized_pnl),
            **self._fill_parts(fill),
            "instId": self.contract.inst_id,
            "instType": self.contract.inst_type,
            "ordId": str(fill.order.order_id),
            "posSide": "net",
            "side": SIDE_NAMES[fill.order.side],
            "subType": "",
            "tag": "",
            "ts": str(fill.ts_ms),
        }

    def positions(self, account: Account) -> list[Json]:
        """Of an account: one that is flat is among them once there was one."""
        return [self.position(account)] if account.updated_ms else []

    def position(self, account: Account) -> Json:
        """A row of "Get positions"; there is no liquidation, and so no price of it."""
        ledger, mark_px = self.exchange.ledger, self.exchange.mark_px
        margin = ledger.position_margin(account, mark_px)
        upl = ledger.unrealized_pnl(account, mark_px)
        return {
            "adl": "0",
            "availPos": "",
            "avgPx": self.contract.average(ledger.entry_px(account)),
            "cTime": str(account.updated_ms),
            "ccy": self.contract.currency,
            "imr": cash(margin),
            "instId": self.contract.inst_id,
            "instType": self.contract.inst_type,
            "last": self.contract.px(self.exchange.last_px),
            "lever": str(account.leverage),
            "liqPx": "",
            "margin": "",
            "markPx": self.contract.average(mark_px),
            "mgnMode": "cross",
            "mgnRatio": "",
            "mmr": cash(ledger.maintenance_margin(account, mark_px)),
            "notionalUsd": cash(ledger.notional(mark_px, account.qty)),
            "pos": self.contract.sz(account.qty),
            "posCcy": "",
            "posId": str(FIRST_BILL_ID + account.number),
            "posSide": "net",
            "realizedPnl": cash(account.realized_pnl),
            "tradeId": str(account.fills[-1].trade_id) if account.fills else "",
            "uTime": str(account.updated_ms),
            "upl": cash(upl),
            "uplRatio": decimal_text(Fraction(upl, margin)) if margin else "",
        }

    def balance(self, account: Account) -> Json:
        """The row of "Get balance"."""
        ledger, mark_px = self.exchange.ledger, self.exchange.mark_px
        upl = ledger.unrealized_pnl(account, mark_px)
        equity = account.wallet + upl
        frozen = ledger.initial_margin(account, mark_px)
        available = cash(ledger.available(account, mark_px))
        detail = {
            "availBal": available,
            "availEq": available,
            "cashBal": cash(account.wallet),
            "ccy": self.contract.currency,
            "crossLiab": "",
            "eq": cash(equity),
            "eqUsd": cash(equity),
            "frozenBal": cash(frozen),
            "isoEq": "0",
            "ordFrozen": cash(frozen - ledger.position_margin(account, mark_px)),
            "uTime": str(account.wallet_ms),
            "upl": cash(upl),
        }
        return {
            "adjEq": "",
            "details": [detail],
            "imr": cash(frozen),
            "isoEq": "0",
            "mgnRatio": "",
            "mmr": cash(ledger.maintenance_margin(account, mark_px)),
            "notionalUsd": "",
            "ordFroz": "",
            "totalEq": cash(equity),
            "uTime": str(self.exchange.now_ms),
        }

    def balance_and_position(self, account: Account, event: str) -> Json:
        """A row of "WS / Balance and position channel"."""
        now_ms = str(self.exchange.now_ms)
        balances = [
            {name: detail[name] for name in ("ccy", "cashBal", "uTime")} for detail in self.balance(account)["details"]
        ]
        names = (
            "posId",
            "tradeId",
            "instId",
            "instType",
            "mgnMode",
            "posSide",
            "pos",
            "ccy",
            "posCcy",
            "avgPx",
            "uTime",
        )
        positions = [{name: each[name] for name in names} for each in self.positions(account)]
        trades = (
            [{"instId": self.contract.inst_id, "tradeId": str(account.fills[-1].trade_id)}] if event == "filled" else []
        )
        return {
            "pTime": now_ms,
            "eventType": event,
            "balData": balances,
            "posData": positions,
            "trades": trades,
        }

    def conditional(self, conditional: Conditional) -> Json:
        """A row of "Algo order list"."""
        source = next(name for name, each in TRIGGER_PRICES.items() if each is conditional.source)
        px = self.contract.px(conditional.px) or AT_MARKET
        kinds = {"trigger": ("", "ordPx"), "sl": ("sl", "slOrdPx"), "tp": ("tp", "tpOrdPx")}
        terms: Json = {}
        for kind, (prefix, px_name) in kinds.items():
            is_it = kind == stop_kind(conditional)
            trigger_name = f"{prefix}TriggerPx" if prefix else "triggerPx"
            terms[trigger_name] = self.contract.px(conditional.trigger_px) if is_it else ""
            terms[f"{trigger_name}Type"] = source if is_it else ""
            terms[px_name] = px if is_it else ""
        return {
            "actualPx": "",
            "actualSide": "",
            "actualSz": "",
            "algoClOrdId": conditional.client_id,
            "algoId": str(conditional.algo_id),
            "cTime": str(conditional.created_ms),
            "ccy": "",
            "closeFraction": "1" if conditional.closes_position else "",
            "failCode": conditional.failure,
            "instId": self.contract.inst_id,
            "instType": self.contract.inst_type,
            "last": self.contract.px(self.exchange.last_px),
            "lever": "" if self.contract.is_spot else str(conditional.account.leverage),
            "ordId": str(conditional.order.order_id) if conditional.order else "",
            "ordIdList": [str(conditional.order.order_id)] if conditional.order else [],
            "ordType": conditional.kind,
            "posSide": "net",
            "reduceOnly": "true" if conditional.is_reduce_only else "false",
            "side": SIDE_NAMES[conditional.side],
            "state": ALGO_STATES[conditional.state],
            "sz": self.contract.sz(conditional.qty),
            "tag": "",
            "tdMode": self.contract.trade_mode,
            "tgtCcy": "base_ccy" if self.contract.is_spot else "",
            **terms,
            "triggerTime": str(conditional.triggered_ms) if conditional.triggered_ms else "",
            "uTime": str(conditional.updated_ms),
        }
