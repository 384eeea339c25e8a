"""Every path that the sandbox answers: who may ask, how often, and what does it.

Limits are those of each section of the documentation (OKX v5), in requests per two seconds where nothing else is said.
"""

from __future__ import annotations

from collections.abc import Callable
from enum import Enum, auto
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from gateways.sandbox.okx import account, algo, orders, public
from gateways.sandbox.okx.limits import Limit

if TYPE_CHECKING:
    from gateways.sandbox.okx.venue import Call, Venue

Handler = Callable[["Venue", "Call"], list[Any]]


class Counted(Enum):
    """Whose requests a limit counts together ("Rate limit rule")."""

    ADDRESS = auto()
    """Public: without a key."""
    USER = auto()
    USER_AND_INSTRUMENT = auto()


class Route(NamedTuple):
    """One method of one path.

    Attributes
    ----------
    takes_orders : bool
        Its rows count as new or amended orders of the account.
    counts_rows : bool
        Its limit counts rows, not requests.
    """

    handler: Handler
    limit: Limit
    counted: Counted = Counted.USER
    takes_orders: bool = False
    counts_rows: bool = False


def _public(handler: Handler, most: int) -> Route:
    return Route(handler, Limit(most), Counted.ADDRESS)


def _private(handler: Handler, most: int, interval_ms: int = 2000) -> Route:
    return Route(handler, Limit(most, interval_ms))


def _trading(handler: Handler, most: int, *, takes_orders: bool = False, counts_rows: bool = False) -> Route:
    return Route(handler, Limit(most), Counted.USER_AND_INSTRUMENT, takes_orders, counts_rows)


ROUTES: Final[dict[tuple[str, str], Route]] = {
    ("GET", "/api/v5/public/time"): _public(public.server_time, 10),
    ("GET", "/api/v5/public/instruments"): _public(public.instruments, 20),
    ("GET", "/api/v5/public/mark-price"): _public(public.mark_price, 10),
    ("GET", "/api/v5/public/price-limit"): _public(public.price_limit, 20),
    ("GET", "/api/v5/public/funding-rate"): _public(public.funding_rate, 10),
    ("GET", "/api/v5/public/position-tiers"): _public(public.position_tiers, 10),
    ("GET", "/api/v5/market/books"): _public(public.books, 40),
    ("GET", "/api/v5/market/ticker"): _public(public.ticker, 20),
    ("GET", "/api/v5/market/tickers"): _public(public.tickers, 20),
    ("GET", "/api/v5/market/trades"): _public(public.trades, 100),
    ("GET", "/api/v5/system/status"): Route(public.status, Limit(1, 5000), Counted.ADDRESS),
    ("POST", "/api/v5/trade/order"): _trading(orders.place, 60, takes_orders=True),
    ("POST", "/api/v5/trade/batch-orders"): _trading(orders.place, 300, takes_orders=True, counts_rows=True),
    ("POST", "/api/v5/trade/cancel-order"): _trading(orders.cancel, 60),
    ("POST", "/api/v5/trade/cancel-batch-orders"): _trading(orders.cancel, 300, counts_rows=True),
    ("POST", "/api/v5/trade/amend-order"): _trading(orders.amend, 60, takes_orders=True),
    ("POST", "/api/v5/trade/amend-batch-orders"): _trading(orders.amend, 300, takes_orders=True, counts_rows=True),
    ("GET", "/api/v5/trade/order"): _trading(orders.query, 60),
    ("GET", "/api/v5/trade/orders-pending"): _private(orders.pending, 60),
    ("GET", "/api/v5/trade/orders-history"): _private(orders.history, 40),
    ("GET", "/api/v5/trade/fills"): _private(orders.fills, 60),
    ("GET", "/api/v5/trade/fills-history"): _private(orders.fills, 10),
    ("POST", "/api/v5/trade/cancel-all-after"): _private(orders.countdown, 1, 1000),
    ("POST", "/api/v5/trade/order-algo"): _trading(algo.new, 20),
    ("POST", "/api/v5/trade/cancel-algos"): _trading(algo.cancel, 20, counts_rows=True),
    ("GET", "/api/v5/trade/order-algo"): _private(algo.query, 20),
    ("GET", "/api/v5/trade/orders-algo-pending"): _private(algo.pending, 20),
    ("GET", "/api/v5/account/config"): _private(account.config, 5),
    ("GET", "/api/v5/account/balance"): _private(account.balance, 10),
    ("GET", "/api/v5/account/positions"): _private(account.positions, 10),
    ("GET", "/api/v5/account/instruments"): _private(public.instruments, 20),
    ("GET", "/api/v5/account/bills"): _private(account.bills, 5, 1000),
    ("GET", "/api/v5/account/bills-archive"): _private(account.bills, 5),
    ("GET", "/api/v5/account/trade-fee"): _private(account.trade_fee, 5),
    ("GET", "/api/v5/account/leverage-info"): _private(account.leverage_info, 20),
    ("POST", "/api/v5/account/set-leverage"): _private(account.set_leverage, 20),
    ("POST", "/api/v5/account/set-position-mode"): _private(account.set_position_mode, 5),
    ("GET", "/api/v5/asset/currencies"): _private(account.currencies, 6, 1000),
}
