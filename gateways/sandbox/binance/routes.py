"""Every path that the sandbox answers: its weight, who may ask, what it counts as, and what does it.

Weights are those of each page of the documentation (Binance, USDⓈ-M Futures).
"""

from __future__ import annotations

from typing import Final

from gateways.sandbox.binance import account, algo, orders, public
from gateways.sandbox.binance.routing import Route, Security, public_route, without_symbol

ONE_ORDER: Final = (1, 1)
BATCH: Final = (1, 5)
"""A batch counts as one order of the minute and five of the ten seconds ("Place Multiple Orders")."""

ROUTES: Final[dict[tuple[str, str], Route]] = {
    ("GET", "/fapi/v1/ping"): public_route(public.ping),
    ("GET", "/fapi/v1/time"): public_route(public.server_time),
    ("GET", "/fapi/v1/exchangeInfo"): public_route(public.exchange_info),
    ("GET", "/fapi/v1/depth"): public_route(public.depth, public.depth_weight),
    ("GET", "/fapi/v1/trades"): public_route(public.trades, 5),
    ("GET", "/fapi/v1/aggTrades"): public_route(public.aggregate_trades, 20),
    ("GET", "/fapi/v1/premiumIndex"): public_route(public.premium_index, without_symbol(1, 10)),
    ("GET", "/fapi/v1/ticker/bookTicker"): public_route(public.book_ticker, without_symbol(2, 5)),
    ("GET", "/fapi/v1/ticker/price"): public_route(public.price_ticker, without_symbol(1, 2)),
    ("GET", "/fapi/v2/ticker/price"): public_route(public.price_ticker, without_symbol(1, 2)),
    ("GET", "/fapi/v1/ticker/24hr"): public_route(public.day_ticker, without_symbol(1, 40)),
    ("POST", "/fapi/v1/order"): Route(orders.new, 0, orders=ONE_ORDER),
    ("PUT", "/fapi/v1/order"): Route(orders.amend, 0, orders=ONE_ORDER),
    ("DELETE", "/fapi/v1/order"): Route(orders.cancel),
    ("GET", "/fapi/v1/order"): Route(orders.query),
    ("POST", "/fapi/v1/order/test"): Route(orders.test, 0),
    ("POST", "/fapi/v1/batchOrders"): Route(orders.new_batch, 5, orders=BATCH),
    ("PUT", "/fapi/v1/batchOrders"): Route(orders.amend_batch, 5, orders=BATCH),
    ("DELETE", "/fapi/v1/batchOrders"): Route(orders.cancel_batch),
    ("DELETE", "/fapi/v1/allOpenOrders"): Route(orders.cancel_all),
    ("GET", "/fapi/v1/openOrder"): Route(orders.query_open),
    ("GET", "/fapi/v1/openOrders"): Route(orders.all_open, without_symbol(1, 40)),
    ("GET", "/fapi/v1/allOrders"): Route(orders.history, 5),
    ("POST", "/fapi/v1/countdownCancelAll"): Route(orders.countdown, 10),
    ("POST", "/fapi/v1/algoOrder"): Route(algo.new, 0, orders=ONE_ORDER),
    ("DELETE", "/fapi/v1/algoOrder"): Route(algo.cancel),
    ("GET", "/fapi/v1/algoOrder"): Route(algo.query),
    ("DELETE", "/fapi/v1/algoOpenOrders"): Route(algo.cancel_all),
    ("GET", "/fapi/v1/openAlgoOrders"): Route(algo.all_open, without_symbol(1, 40)),
    ("GET", "/fapi/v1/allAlgoOrders"): Route(algo.history, 5),
    ("GET", "/fapi/v2/account"): Route(account.account_v2, 5),
    ("GET", "/fapi/v3/account"): Route(account.account_v3, 5),
    ("GET", "/fapi/v2/balance"): Route(account.balance, 5),
    ("GET", "/fapi/v3/balance"): Route(account.balance, 5),
    ("GET", "/fapi/v2/positionRisk"): Route(account.position_risk_v2, 5),
    ("GET", "/fapi/v3/positionRisk"): Route(account.position_risk_v3, 5),
    ("GET", "/fapi/v1/userTrades"): Route(account.user_trades, 5),
    ("GET", "/fapi/v1/income"): Route(account.income, 30),
    ("GET", "/fapi/v1/leverageBracket"): Route(account.leverage_brackets),
    ("GET", "/fapi/v1/commissionRate"): Route(account.commission_rate, 20),
    ("POST", "/fapi/v1/leverage"): Route(account.set_leverage),
    ("GET", "/fapi/v1/symbolConfig"): Route(account.symbol_config, 5),
    ("GET", "/fapi/v1/accountConfig"): Route(account.account_config, 5),
    ("GET", "/fapi/v1/positionSide/dual"): Route(account.position_mode, 30),
    ("POST", "/fapi/v1/positionSide/dual"): Route(account.set_position_mode),
    ("GET", "/fapi/v1/multiAssetsMargin"): Route(account.multi_assets, 30),
    ("POST", "/fapi/v1/multiAssetsMargin"): Route(account.set_multi_assets),
    ("POST", "/fapi/v1/marginType"): Route(account.set_margin_type),
    ("GET", "/fapi/v1/rateLimit/order"): Route(account.order_limits),
    ("GET", "/sapi/v1/account/apiRestrictions"): Route(account.key_permissions),
    ("POST", "/fapi/v1/listenKey"): Route(account.new_listen_key, security=Security.KEY),
    ("PUT", "/fapi/v1/listenKey"): Route(account.keep_listen_key, security=Security.KEY),
    ("DELETE", "/fapi/v1/listenKey"): Route(account.close_listen_key, security=Security.KEY),
}
