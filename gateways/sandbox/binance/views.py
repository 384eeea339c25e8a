"""Orders, fills, positions and balances as the venue writes them.

Sources: Binance, USDⓈ-M Futures, the pages named at each function; field by field as its own client library models
them. Numbers are strings, with the decimals of the instrument.
"""

from __future__ import annotations

from decimal import Decimal
from fractions import Fraction
from typing import Any, Final

from gateways.sandbox.accounts import Account, Fill, Ledger, Order
from gateways.sandbox.conditionals import Conditional, Waiting
from gateways.sandbox.exchange import Event, Exchange, What
from oms.decimals import Grid
from oms.instruments import Instrument
from oms.records import CASH_SCALE, OrderType, TimeInForce

Json = dict[str, Any]

SIDES: Final = {"BUY": 1, "SELL": -1}
SIDE_NAMES: Final = {side: name for name, side in SIDES.items()}
EXECUTIONS: Final = {
    What.NEW: "NEW",
    What.TRADE: "TRADE",
    What.AMENDED: "AMENDMENT",
    What.CANCELED: "CANCELED",
    What.EXPIRED: "EXPIRED",
}
"""Execution types ("Event: Order Update")."""

EXTRA_DECIMALS: Final = 3
"""Decimals of averages beyond those of prices."""


class Views:
    """Writes what belongs to one instrument.

    Parameters
    ----------
    px_decimals
        With which the recording writes prices: the venue pads them, so 61800.2 is ``61800.20``.
    """

    def __init__(self, exchange: Exchange[Ledger], instrument: Instrument, px_decimals: int) -> None:
        self.exchange = exchange
        self.instrument = instrument
        self.px_decimals = px_decimals
        self._tick = Fraction(instrument.tick)
        self._lot = Fraction(instrument.lot)
        self._px_grid = Grid(Decimal(instrument.tick), px_decimals)

    def px(self, ticks: int) -> str:
        """A price."""
        return self._px_grid.text(ticks) if ticks else "0"

    def average(self, ticks: Fraction) -> str:
        """A price on no grid."""
        return fixed(ticks * self._tick, self.px_decimals + EXTRA_DECIMALS)

    def qty(self, lots: int) -> str:
        """A quantity."""
        return self.instrument.qty_from_lots(lots)

    def quote(self, tick_lots: int) -> str:
        """A cost in the quote currency."""
        return fixed(tick_lots * self._tick * self._lot, self.px_decimals + EXTRA_DECIMALS)

    def filled_average(self, order: Order) -> Fraction:
        """Average price of what an order has filled, ticks; 0: it has filled nothing."""
        return Fraction(order.filled_cost, order.filled_qty) if order.filled_qty else Fraction(0)

    @property
    def asset(self) -> str:
        """What margin and fees are in."""
        return self.instrument.settlement

    def order(self, order: Order, *, queried: bool) -> Json:
        """An order ("New Order", "Query Order"): an answer to a request about it, or to a query."""
        average = self.filled_average(order)
        conditional_type = _type_of(order)
        view: Json = {
            "orderId": order.order_id,
            "symbol": self.instrument.symbol,
            "status": order.status.value,
            "clientOrderId": order.client_order_id,
            "price": self.px(order.px) if order.px else self.px(0),
            "avgPrice": self.average(average) if order.filled_qty else "0.00000",
            "origQty": self.qty(order.qty),
            "executedQty": self.qty(order.filled_qty),
        }
        if not queried:
            view["cumQty"] = self.qty(order.filled_qty)
        view |= {
            "cumQuote": self.quote(order.filled_cost),
            "timeInForce": tif_name(order),
            "type": conditional_type,
            "reduceOnly": order.is_reduce_only,
            "closePosition": False,
            "side": SIDE_NAMES[order.side],
            "positionSide": "BOTH",
            "stopPrice": "0",
            "workingType": "CONTRACT_PRICE",
            "priceProtect": False,
            "origType": conditional_type,
            "priceMatch": "NONE",
            "selfTradePreventionMode": self_trade_name(order),
            "goodTillDate": 0,
        }
        if queried:
            view["time"] = order.created_ms
        view["updateTime"] = order.updated_ms
        return view

    def order_update(self, event: Event) -> Json:
        """ORDER_TRADE_UPDATE ("Event: Order Update")."""
        order, fill = event.order, event.fill
        average = self.filled_average(order)
        kind = _type_of(order)
        details: Json = {
            "s": self.instrument.symbol,
            "c": order.client_order_id,
            "S": SIDE_NAMES[order.side],
            "o": kind,
            "f": tif_name(order),
            "q": self.qty(order.qty),
            "p": self.px(order.px),
            "ap": self.average(average) if order.filled_qty else "0",
            "sp": "0",
            "x": EXECUTIONS[event.what],
            "X": order.status.value,
            "i": order.order_id,
            "l": self.qty(fill.qty) if fill else "0",
            "z": self.qty(order.filled_qty),
            "L": self.px(fill.px) if fill else "0",
            "n": cash(fill.fee) if fill else "0",
            "N": self.asset,
            "T": event.ts_ms,
            "t": fill.trade_id if fill else 0,
            "b": self._open_notional(order.account, 1),
            "a": self._open_notional(order.account, -1),
            "m": bool(fill and fill.is_maker),
            "R": order.is_reduce_only,
            "wt": "CONTRACT_PRICE",
            "ot": kind,
            "ps": "BOTH",
            "cp": False,
            "rp": cash(fill.realized_pnl) if fill else "0",
            "pP": False,
            "si": 0,
            "ss": 0,
            "V": self_trade_name(order),
            "pm": "NONE",
            "gtd": 0,
        }
        return {"e": "ORDER_TRADE_UPDATE", "T": event.ts_ms, "E": event.ts_ms, "o": details}

    def account_update(self, account: Account, ts_ms: int) -> Json:
        """ACCOUNT_UPDATE after a fill ("Event: Balance and Position Update"); ``bc`` leaves out PnL and fees."""
        mark_px = self.exchange.mark_px
        position = {
            "s": self.instrument.symbol,
            "pa": self.qty(account.qty),
            "ep": self.entry(account),
            "bep": self._break_even(account),
            "cr": cash(account.realized_pnl),
            "up": cash(self.exchange.ledger.unrealized_pnl(account, mark_px)),
            "mt": "cross",
            "iw": "0",
            "ps": "BOTH",
        }
        changed = {"B": [self._changed_balance(account, 0)], "P": [position], "m": "ORDER"}
        return {"e": "ACCOUNT_UPDATE", "T": ts_ms, "E": ts_ms, "a": changed}

    def funding_update(self, account: Account, amount: int, ts_ms: int) -> Json:
        """ACCOUNT_UPDATE of funding on a crossed position: the balance, and no position."""
        changed = {"B": [self._changed_balance(account, amount)], "P": [], "m": "FUNDING_FEE"}
        return {"e": "ACCOUNT_UPDATE", "T": ts_ms, "E": ts_ms, "a": changed}

    def _changed_balance(self, account: Account, change: int) -> Json:
        return {"a": self.asset, "wb": cash(account.wallet), "cw": cash(account.wallet), "bc": cash(change)}

    def trade(self, fill: Fill) -> Json:
        """A fill ("Account Trade List")."""
        return {
            "symbol": self.instrument.symbol,
            "id": fill.trade_id,
            "orderId": fill.order.order_id,
            "side": SIDE_NAMES[fill.order.side],
            "price": self.px(fill.px),
            "qty": self.qty(fill.qty),
            "realizedPnl": cash(fill.realized_pnl),
            "quoteQty": self.quote(fill.px * fill.qty),
            "commission": cash(fill.fee),
            "commissionAsset": self.asset,
            "time": fill.ts_ms,
            "positionSide": "BOTH",
            "maker": fill.is_maker,
            "buyer": fill.order.side > 0,
        }

    def entry(self, account: Account) -> str:
        """The position's entry price."""
        return self.average(self.exchange.ledger.entry_px(account)) if account.qty else "0.0"

    def position_risk(self, account: Account) -> Json:
        """A position ("Position Information V3"); there is no liquidation, and so no price of it."""
        ledger, mark_px = self.exchange.ledger, self.exchange.mark_px
        notional = ledger.value(account.qty * mark_px)
        position_margin = ledger.position_margin(account, mark_px)
        initial_margin = ledger.initial_margin(account, mark_px)
        return {
            "symbol": self.instrument.symbol,
            "positionSide": "BOTH",
            "positionAmt": self.qty(account.qty),
            "entryPrice": self.entry(account),
            "breakEvenPrice": self._break_even(account),
            "markPrice": self.average(mark_px),
            "unRealizedProfit": cash(ledger.unrealized_pnl(account, mark_px)),
            "liquidationPrice": "0",
            "isolatedMargin": "0",
            "notional": cash(notional),
            "marginAsset": self.asset,
            "isolatedWallet": "0",
            "initialMargin": cash(initial_margin),
            "maintMargin": cash(ledger.maintenance_margin(account, mark_px)),
            "positionInitialMargin": cash(position_margin),
            "openOrderInitialMargin": cash(initial_margin - position_margin),
            "adl": 0,
            "bidNotional": self._open_notional(account, 1),
            "askNotional": self._open_notional(account, -1),
            "updateTime": account.updated_ms,
        }

    def position_risk_v2(self, account: Account) -> Json:
        """The same as version 2 shows it ("Position Information V2")."""
        view = self.position_risk(account)
        for name in ("initialMargin", "maintMargin", "positionInitialMargin", "openOrderInitialMargin", "adl"):
            del view[name]
        del view["bidNotional"], view["askNotional"], view["marginAsset"]
        return view | {
            "leverage": str(account.leverage),
            "maxNotionalValue": MAX_NOTIONAL,
            "marginType": "cross",
            "isAutoAddMargin": "false",
        }

    def margins(self, account: Account) -> dict[str, str]:
        """What the account has and needs of its asset, by the names that accounts and assets have in common."""
        ledger, mark_px = self.exchange.ledger, self.exchange.mark_px
        unrealized = ledger.unrealized_pnl(account, mark_px)
        initial = ledger.initial_margin(account, mark_px)
        position_margin = ledger.position_margin(account, mark_px)
        return {
            "InitialMargin": cash(initial),
            "MaintMargin": cash(ledger.maintenance_margin(account, mark_px)),
            "WalletBalance": cash(account.wallet),
            "UnrealizedProfit": cash(unrealized),
            "MarginBalance": cash(account.wallet + unrealized),
            "PositionInitialMargin": cash(position_margin),
            "OpenOrderInitialMargin": cash(initial - position_margin),
            "CrossWalletBalance": cash(account.wallet),
            "CrossUnPnl": cash(unrealized),
        }

    def asset_row(self, account: Account) -> Json:
        """The account's asset, in a list of them."""
        available = self._available(account)
        row: Json = {"asset": self.asset}
        row |= {name[0].lower() + name[1:]: value for name, value in self.margins(account).items()}
        return row | {"availableBalance": available, "maxWithdrawAmount": available, "updateTime": account.wallet_ms}

    def _available(self, account: Account) -> str:
        return cash(self.exchange.ledger.available(account, self.exchange.mark_px))

    def account(self, account: Account, *, version: int) -> Json:
        """The whole account ("Account Information V3" and "V2")."""
        shared = self.margins(account)
        available = self._available(account)
        asset = self.asset_row(account)
        view: Json = {"total" + name: value for name, value in shared.items()}
        view |= {"availableBalance": available, "maxWithdrawAmount": available}
        position = self._account_position(account, version=version)
        if version == 2:
            asset["marginAvailable"] = True
            view = {**ACCOUNT_SETTINGS, "feeBurn": False, **view}
        view["assets"] = [asset]
        view["positions"] = [position] if version == 2 or account.qty or account.open_orders else []
        return view

    def balance(self, account: Account) -> Json:
        """The balance ("Futures Account Balance V3")."""
        ledger, mark_px = self.exchange.ledger, self.exchange.mark_px
        available = cash(ledger.available(account, mark_px))
        return {
            "accountAlias": "zoms",
            "asset": self.asset,
            "balance": cash(account.wallet),
            "crossWalletBalance": cash(account.wallet),
            "crossUnPnl": cash(ledger.unrealized_pnl(account, mark_px)),
            "availableBalance": available,
            "maxWithdrawAmount": available,
            "marginAvailable": True,
            "updateTime": account.wallet_ms,
        }

    def conditional(self, conditional: Conditional) -> Json:
        """A conditional order ("New Algo Order", "Query Algo Order")."""
        order = conditional.order
        return {
            "algoId": conditional.algo_id,
            "clientAlgoId": conditional.client_id,
            "algoType": "CONDITIONAL",
            "orderType": conditional.kind,
            "symbol": self.instrument.symbol,
            "side": SIDE_NAMES[conditional.side],
            "positionSide": "BOTH",
            "timeInForce": conditional.time_in_force.name,
            "quantity": self.qty(conditional.qty),
            "algoStatus": conditional.state.value,
            "actualOrderId": str(order.order_id) if order and order.order_id else "",
            "actualPrice": self.average(self.filled_average(order)) if order and order.filled_qty else "0.00000",
            "triggerPrice": self.px(conditional.trigger_px),
            "price": self.px(conditional.px),
            "icebergQuantity": None,
            "selfTradePreventionMode": "EXPIRE_MAKER",
            "workingType": conditional.source.value,
            "priceMatch": "NONE",
            "closePosition": conditional.closes_position,
            "priceProtect": False,
            "reduceOnly": conditional.is_reduce_only,
            "activatePrice": self.px(conditional.trigger_px) if conditional.callback else "",
            "callbackRate": f"{float(conditional.callback * 100):g}" if conditional.callback else "",
            "createTime": conditional.created_ms,
            "updateTime": conditional.updated_ms,
            "triggerTime": conditional.triggered_ms,
            "goodTillDate": 0,
        }

    def conditional_update(self, conditional: Conditional) -> Json:
        """ALGO_UPDATE ("Event: Algo Order Update")."""
        order = conditional.order
        details: Json = {
            "caid": conditional.client_id,
            "aid": conditional.algo_id,
            "at": "CONDITIONAL",
            "o": conditional.kind,
            "s": self.instrument.symbol,
            "S": SIDE_NAMES[conditional.side],
            "ps": "BOTH",
            "f": conditional.time_in_force.name,
            "q": self.qty(conditional.qty),
            "X": conditional.state.value,
            "ai": str(order.order_id) if order and order.order_id else "",
        }
        if conditional.state in (Waiting.TRIGGERED, Waiting.FINISHED) and order is not None:
            details |= {
                "ap": self.average(self.filled_average(order)),
                "aq": self.qty(order.filled_qty),
                "act": order.order_type.name,
            }
        details |= {
            "tp": self.px(conditional.trigger_px),
            "p": self.px(conditional.px),
            "V": "EXPIRE_MAKER",
            "wt": conditional.source.value,
            "pm": "NONE",
            "cp": conditional.closes_position,
            "pP": False,
            "R": conditional.is_reduce_only,
            "tt": conditional.triggered_ms,
            "gtd": 0,
            "rm": conditional.failure,
        }
        ts_ms = conditional.updated_ms
        return {"e": "ALGO_UPDATE", "T": ts_ms, "E": ts_ms, "o": details}

    def _account_position(self, account: Account, *, version: int) -> Json:
        risk = self.position_risk(account)
        risk["unrealizedProfit"] = risk.pop("unRealizedProfit")
        names = [
            "symbol",
            "positionSide",
            "positionAmt",
            "unrealizedProfit",
            "initialMargin",
            "maintMargin",
            "updateTime",
        ]
        if version == 3:
            return {name: risk[name] for name in [*names, "isolatedMargin", "notional", "isolatedWallet"]}
        names += ["positionInitialMargin", "openOrderInitialMargin", "entryPrice", "bidNotional", "askNotional"]
        view = {name: risk[name] for name in names}
        return view | {"leverage": str(account.leverage), "isolated": False, "maxNotional": MAX_NOTIONAL}

    def _open_notional(self, account: Account, side: int) -> str:
        tick_lots = sum(order.px * order.left for order in account.open_orders.values() if order.side == side)
        return cash(self.exchange.ledger.value(tick_lots)) if tick_lots else "0"

    def _break_even(self, account: Account) -> str:
        """The entry price, and the fee to leave again."""
        if not account.qty:
            return "0.0"
        fee = Fraction(self.instrument.taker_fee_rate)
        return self.average(self.exchange.ledger.entry_px(account) * (1 + (fee if account.qty > 0 else -fee)))


MAX_NOTIONAL: Final = "9223372036854775807"
"""As the venue states that there is no cap."""

ACCOUNT_SETTINGS: Final[Json] = {
    "feeTier": 0,
    "canTrade": True,
    "canDeposit": True,
    "canWithdraw": False,
    "dualSidePosition": False,
    "updateTime": 0,
    "multiAssetsMargin": False,
    "tradeGroupId": -1,
}
"""What does not change here ("Account Config")."""


def cash(amount: int) -> str:
    """Cash with its eight decimals."""
    return f"{Decimal(amount) / CASH_SCALE:.8f}"


def tif_name(order: Order) -> str:
    """GTX is the venue's word for post-only; an order at the market has GTC."""
    if order.order_type is OrderType.MARKET:
        return TimeInForce.GTC.name
    return "GTX" if order.is_post_only else order.time_in_force.name


def self_trade_name(order: Order) -> str:
    return order.self_trade.name or "NONE" if order.self_trade else "NONE"


def _type_of(order: Order) -> str:
    return order.order_type.name


def fixed(value: Fraction, decimals: int) -> str:
    """Rounded half to even."""
    scaled = round(value * 10**decimals)
    return f"{Decimal(scaled).scaleb(-decimals):.{decimals}f}"
