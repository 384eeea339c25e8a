"""What ccxt can do at an exchange that zoms has no gateway of its own for, and what it means where it cannot."""

from __future__ import annotations

import inspect
from typing import Any, Final

from gateways.venues import Venue

NEEDED: Final = {
    "createOrder": "no order can be placed",
    "cancelOrder": "no order can be cancelled",
    "fetchOrder": "an order cannot be asked for, so that what became of one without an answer stays unknown",
    "fetchOpenOrders": "open orders cannot be listed, so that nothing can be reconciled",
    "fetchMyTrades": "fills cannot be listed, so that they cannot be told once each and with what they cost",
    "fetchBalance": "balances cannot be read",
}
"""What no trading is without, by ccxt's name, and what is missing without it."""
NEEDED_OF_POSITIONS: Final = {"fetchPositions": "positions cannot be read"}
NEEDED_OF_DATA: Final = {"watchOrderBook": "there is no live book"}

USEFUL: Final = {
    "fetchTime": "this machine's clock cannot be compared with the exchange's: keep it right",
    "watchTrades": "no trades of the market are told",
}
"""What is done without, and what is missing then."""
USEFUL_OF_POSITIONS: Final = {
    "watchMarkPrice": "no mark prices are told",
    "fetchFundingHistory": "payments of funding are told as balances that differ",
    "fetchPositionMode": "see yourself that the account is in one-way mode",
}

AMENDING: Final = {
    "binance": ("linear", "inverse"),
    "binanceusdm": ("linear",),
    "binancecoinm": ("inverse",),
    "bybit": ("spot", "linear", "inverse"),
    "coinbase": ("spot",),
    "deribit": ("linear", "inverse"),
    "gate": ("spot", "linear", "inverse"),
    "kraken": ("spot",),
    "krakenfutures": ("linear", "inverse"),
    "okx": ("spot", "linear", "inverse"),
}
"""Exchanges, and their markets, whose orders ccxt amends in place: elsewhere ``editOrder`` cancels and places anew."""

SWITCHED: Final = ("kraken", "krakenfutures", "okx", "woo")
"""Exchanges with a dead man's switch for the whole account that ccxt sets without a symbol."""


def lacks(exchange: Any, row: Venue) -> list[str]:
    """What an exchange cannot be traded without and ccxt does not have of it, a line each."""
    needed = NEEDED if row.market == "spot" else NEEDED | NEEDED_OF_POSITIONS
    found = _missing(exchange, needed)
    if not any(exchange.has.get(name) is True for name in ("watchOrders", "watchMyTrades")):
        found.append("ccxt has neither watchOrders nor watchMyTrades of it: nothing tells when an order is filled")
    if not hands_on_client_ids(exchange):
        found.append("ccxt hands on no client order ids to it: an order without an answer could not be found again")
    return found


def caveats(exchange: Any, row: Venue) -> list[str]:
    """What else is missing, and what is done instead, a line each."""
    useful = USEFUL if row.market == "spot" else USEFUL | USEFUL_OF_POSITIONS
    found = _missing(exchange, NEEDED_OF_DATA | useful)
    if not amends(row):
        found.append("orders are not amended in place there: cancel, and place another one")
    if row.exchange not in SWITCHED:
        found.append("there is no dead man's switch: when the gateway dies, its orders stay (zoms kill-switch)")
    if buys_by_cost(exchange, row):
        found.append("a buy at the market is asked for by what it may spend, so it is refused: send a limit order, IOC")
    return found


def hands_on_client_ids(exchange: Any) -> bool:
    """Whether ccxt's methods that make a new order know ``clientOrderId``; its tables do not say that."""
    kind = type(exchange)
    makers = [
        getattr(kind, name)
        for name in dir(kind)
        if name in ("create_order", "order_request") or (name.startswith("create_") and name.endswith("_request"))
    ]
    return any("clientOrderId" in inspect.getsource(maker) for maker in makers if inspect.isfunction(maker))


def amends(row: Venue) -> bool:
    """Whether an order can be amended in place."""
    return row.market in AMENDING.get(row.exchange, ())


def buys_by_cost(exchange: Any, row: Venue) -> bool:
    """Whether the exchange takes what a buy at the market may spend, and not how much to buy."""
    return row.market == "spot" and "createMarketBuyOrderRequiresPrice" in exchange.options


def _missing(exchange: Any, wanted: dict[str, str]) -> list[str]:
    return [f"ccxt has no {name} of it: {text}" for name, text in wanted.items() if exchange.has.get(name) is not True]
