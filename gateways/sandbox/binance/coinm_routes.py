"""Every path of COIN-M that the sandbox answers; see ``gateways.sandbox.binance.routes``.

Weights are those of each page of the documentation (Binance, COIN-M Futures). Orders count as USD-M's: both markets'
limits are one ("Important CM-UM Integration Notice", A.3). The paths of conditional orders are those of the notice,
their weights USD-M's.
"""

from __future__ import annotations

from typing import Final

from gateways.sandbox.binance import account, algo, coinm_account, coinm_public, orders, public
from gateways.sandbox.binance.routes import BATCH, ONE_ORDER
from gateways.sandbox.binance.routing import Route, Security, public_route, without_symbol

ROUTES: Final[dict[tuple[str, str], Route]] = {
    ("GET", "/dapi/v1/ping"): public_route(public.ping),
    ("GET", "/dapi/v1/time"): public_route(public.server_time),
    ("GET", "/dapi/v1/exchangeInfo"): public_route(coinm_public.exchange_info),
    ("GET", "/dapi/v1/depth"): public_route(coinm_public.depth, public.depth_weight),
    ("GET", "/dapi/v1/trades"): public_route(coinm_public.trades, 5),
    ("GET", "/dapi/v1/aggTrades"): public_route(public.aggregate_trades, 20),
    ("GET", "/dapi/v1/premiumIndex"): public_route(coinm_public.premium_index, 10),
    ("GET", "/dapi/v1/ticker/bookTicker"): public_route(coinm_public.book_ticker, without_symbol(2, 5)),
    ("GET", "/dapi/v1/ticker/price"): public_route(coinm_public.price_ticker, without_symbol(1, 2)),
    ("GET", "/dapi/v1/ticker/24hr"): public_route(coinm_public.day_ticker, without_symbol(1, 40)),
    ("POST", "/dapi/v1/order"): Route(orders.new, 0, orders=ONE_ORDER),
    ("PUT", "/dapi/v1/order"): Route(orders.amend, 1, orders=ONE_ORDER),
    ("DELETE", "/dapi/v1/order"): Route(orders.cancel),
    ("GET", "/dapi/v1/order"): Route(orders.query),
    ("POST", "/dapi/v1/batchOrders"): Route(orders.new_batch, 5, orders=BATCH),
    ("PUT", "/dapi/v1/batchOrders"): Route(orders.amend_batch, 5, orders=BATCH),
    ("DELETE", "/dapi/v1/batchOrders"): Route(orders.cancel_batch),
    ("DELETE", "/dapi/v1/allOpenOrders"): Route(orders.cancel_all),
    ("GET", "/dapi/v1/openOrder"): Route(orders.query_open),
    ("GET", "/dapi/v1/openOrders"): Route(orders.all_open, without_symbol(1, 40)),
    ("GET", "/dapi/v1/allOrders"): Route(orders.history, 20),
    ("POST", "/dapi/v1/countdownCancelAll"): Route(orders.countdown, 10),
    ("POST", "/dapi/v1/algoOrder"): Route(algo.new, 0, orders=ONE_ORDER),
    ("DELETE", "/dapi/v1/algoOrder"): Route(algo.cancel),
    ("GET", "/dapi/v1/algoOrder"): Route(algo.query),
    ("DELETE", "/dapi/v1/algoOpenOrders"): Route(algo.cancel_all),
    ("GET", "/dapi/v1/openAlgoOrders"): Route(algo.all_open, without_symbol(1, 40)),
    ("GET", "/dapi/v1/allAlgoOrders"): Route(algo.history, 5),
    ("GET", "/dapi/v1/account"): Route(coinm_account.information, 5),
    ("GET", "/dapi/v1/balance"): Route(account.balance),
    ("GET", "/dapi/v1/positionRisk"): Route(coinm_account.position_risk),
    ("GET", "/dapi/v1/userTrades"): Route(coinm_account.user_trades, without_symbol(20, 40)),
    ("GET", "/dapi/v1/income"): Route(coinm_account.income, 20),
    ("GET", "/dapi/v2/leverageBracket"): Route(coinm_account.leverage_brackets),
    ("GET", "/dapi/v1/commissionRate"): Route(account.commission_rate, 20),
    ("POST", "/dapi/v1/leverage"): Route(coinm_account.set_leverage),
    ("GET", "/dapi/v1/positionSide/dual"): Route(account.position_mode, 30),
    ("POST", "/dapi/v1/positionSide/dual"): Route(account.set_position_mode),
    ("POST", "/dapi/v1/marginType"): Route(account.set_margin_type),
    ("GET", "/sapi/v1/account/apiRestrictions"): Route(account.key_permissions),
    ("POST", "/dapi/v1/listenKey"): Route(account.new_listen_key, security=Security.KEY),
    ("PUT", "/dapi/v1/listenKey"): Route(account.keep_listen_key, security=Security.KEY),
    ("DELETE", "/dapi/v1/listenKey"): Route(account.close_listen_key, security=Security.KEY),
}
