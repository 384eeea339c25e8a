"""Orders, fills, positions and balances as COIN-M writes them: where it differs from USD-M.

Sources: Binance, COIN-M Futures, the pages named at each method, and "Important CM-UM Integration Notice": since
2026-06-30 answers to new and amended orders say nothing of averages and costs.
"""

from __future__ import annotations

from fractions import Fraction
from typing import Final

from gateways.sandbox.accounts import Account, Fill, Order
from gateways.sandbox.binance.views import Json, Views, cash, fixed
from gateways.sandbox.exchange import Event

AVERAGE_DECIMALS: Final = 8
"""Of average prices, as the example of "Position Information" has them."""

ACCOUNT_ALIAS: Final = "zoms"
MAX_QTY: Final = "1000000"
"""How much of the base currency a position may be worth at most: nothing here depends on it."""


class CoinmViews(Views):
    """As ``Views``: quantities are contracts, what they are worth is in the base currency."""

    @property
    def pair(self) -> str:
        """What the contract is on: BTCUSD of BTCUSD_PERP."""
        return self.instrument.symbol.partition("_")[0]

    def average(self, ticks: Fraction) -> str:
        """A price on no grid."""
        return fixed(ticks * self._tick, AVERAGE_DECIMALS)

    def filled_average(self, order: Order) -> Fraction:
        """The harmonic average of what an order has filled, ticks: its contracts over what they were worth."""
        worth = self._filled_worth(order)
        return order.filled_qty * self.instrument.inverse_cash / worth if worth else Fraction(0)

    def worth(self, px: Fraction | int, lots: int) -> str:
        """What so many contracts are worth at a price in ticks, in the base currency."""
        return cash(self.exchange.ledger.notional(Fraction(px), lots))

    def _filled_worth(self, order: Order) -> Fraction:
        """Cash, not rounded."""
        worth, left = Fraction(0), order.filled_qty
        for fill in reversed(order.account.fills):
            if not left:
                break
            if fill.order is order:
                worth += self.instrument.inverse_cash * fill.qty / fill.px
                left -= fill.qty
        return worth

    def order(self, order: Order, *, queried: bool) -> Json:
        """An order ("New Order", "Query Order")."""
        view = {"pair": self.pair, **super().order(order, queried=queried)}
        del view["cumQuote"]
        if queried:
            view["cumBase"] = cash(round(self._filled_worth(order)))
        else:
            del view["avgPrice"]
        return view

    def order_update(self, event: Event) -> Json:
        """ORDER_TRADE_UPDATE ("Event: Order Update"), with the margin asset (``ma``)."""
        update = super().order_update(event)
        update["o"]["ma"] = self.asset
        return {"i": ACCOUNT_ALIAS, **update}

    def account_update(self, account: Account, ts_ms: int) -> Json:
        """ACCOUNT_UPDATE after a fill ("Event: Balance and Position Update")."""
        return {"i": ACCOUNT_ALIAS, **super().account_update(account, ts_ms)}

    def funding_update(self, account: Account, amount: int, ts_ms: int) -> Json:
        """ACCOUNT_UPDATE of funding."""
        return {"i": ACCOUNT_ALIAS, **super().funding_update(account, amount, ts_ms)}

    def trade(self, fill: Fill) -> Json:
        """A fill ("Account Trade List")."""
        view = {"pair": self.pair, "marginAsset": self.asset, **super().trade(fill)}
        del view["quoteQty"]
        return view | {"baseQty": self.worth(fill.px, fill.qty)}

    def position_risk(self, account: Account) -> Json:
        """A position ("Position Information"); there is no liquidation, and so no price of it."""
        mark_px = self.exchange.mark_px
        worth = self.worth(mark_px, account.qty) if account.qty else "0"
        return {
            "symbol": self.instrument.symbol,
            "positionAmt": self.qty(account.qty),
            "entryPrice": self.entry(account),
            "breakEvenPrice": self._break_even(account),
            "markPrice": self.average(mark_px),
            "unRealizedProfit": cash(self.exchange.ledger.unrealized_pnl(account, mark_px)),
            "liquidationPrice": "0",
            "leverage": str(account.leverage),
            "maxQty": MAX_QTY,
            "marginType": "cross",
            "isolatedMargin": "0.00000000",
            "isAutoAddMargin": "false",
            "positionSide": "BOTH",
            "notionalValue": f"-{worth}" if account.qty < 0 else worth,
            "isolatedWallet": "0",
            "updateTime": account.updated_ms,
        }

    def whole_account(self, account: Account) -> Json:
        """The whole account ("Account Information")."""
        margins = self.asset_row(account)
        position = {name: margins[name] for name in POSITION_MARGINS}
        risk = self.position_risk(account)
        position |= {name: risk[name] for name in POSITION_FACTS}
        position |= {"unrealizedProfit": risk["unRealizedProfit"], "isolated": False}
        return {
            "assets": [margins],
            "positions": [position],
            "canDeposit": True,
            "canTrade": True,
            "canWithdraw": False,
            "feeTier": 0,
            "updateTime": 0,
        }

    def balance(self, account: Account) -> Json:
        """The balance ("Futures Account Balance")."""
        row = self.asset_row(account)
        shown = {name: row[name] for name in BALANCE_FACTS}
        return {
            "accountAlias": ACCOUNT_ALIAS,
            "balance": row["walletBalance"],
            "withdrawAvailable": row["maxWithdrawAmount"],
            **shown,
        }

    def _open_notional(self, account: Account, side: int) -> str:
        opened = [order for order in account.open_orders.values() if order.side == side and order.px]
        total = sum(self.exchange.ledger.notional(Fraction(order.px), order.left) for order in opened)
        return cash(total) if total else "0"


POSITION_MARGINS: Final = ("initialMargin", "maintMargin", "positionInitialMargin", "openOrderInitialMargin")
POSITION_FACTS: Final = (
    "symbol",
    "positionAmt",
    "leverage",
    "positionSide",
    "entryPrice",
    "breakEvenPrice",
    "maxQty",
    "notionalValue",
    "updateTime",
)
BALANCE_FACTS: Final = ("asset", "crossWalletBalance", "crossUnPnl", "availableBalance", "updateTime")
"""What positions and balances of an account are told of, by name."""
