"""Every path that the spot sandbox answers; weights are those of the page (Binance, Spot API, "Public Rest API")."""

from __future__ import annotations

from typing import Final

from gateways.sandbox.binance import account, public, spot_orders, spot_public
from gateways.sandbox.binance.front import Call
from gateways.sandbox.binance.routing import Route, public_route, without_symbol

ONE_ORDER: Final = (1, 1)


def trades_weight(call: Call) -> int:
    """Of "Account trade list"."""
    return 5 if "orderId" in call.parameters else 20


ROUTES: Final[dict[tuple[str, str], Route]] = {
    ("GET", "/api/v3/ping"): public_route(public.ping),
    ("GET", "/api/v3/time"): public_route(public.server_time),
    ("GET", "/api/v3/exchangeInfo"): public_route(spot_public.exchange_info, 20),
    ("GET", "/api/v3/depth"): public_route(spot_public.depth, spot_public.depth_weight),
    ("GET", "/api/v3/trades"): public_route(spot_public.trades, 25),
    ("GET", "/api/v3/ticker/bookTicker"): public_route(spot_public.book_ticker, without_symbol(2, 4)),
    ("GET", "/api/v3/ticker/price"): public_route(spot_public.price_ticker, without_symbol(2, 4)),
    ("POST", "/api/v3/order"): Route(spot_orders.new, orders=ONE_ORDER),
    ("POST", "/api/v3/order/test"): Route(spot_orders.test),
    ("GET", "/api/v3/order"): Route(spot_orders.query, 4),
    ("DELETE", "/api/v3/order"): Route(spot_orders.cancel),
    ("PUT", "/api/v3/order/amend/keepPriority"): Route(spot_orders.amend, 4),
    ("GET", "/api/v3/openOrders"): Route(spot_orders.all_open, without_symbol(6, 80)),
    ("DELETE", "/api/v3/openOrders"): Route(spot_orders.cancel_all),
    ("GET", "/api/v3/allOrders"): Route(spot_orders.history, 20),
    ("GET", "/api/v3/myTrades"): Route(spot_orders.my_trades, trades_weight),
    ("GET", "/api/v3/account"): Route(spot_orders.account, 20),
    ("GET", "/sapi/v1/account/apiRestrictions"): Route(account.key_permissions),
}
