"""What ccxt can do at an exchange that zoms has no gateway of its own for, and what it means where it cannot."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, Final

from ccxt.base.errors import AuthenticationError, BaseError, NetworkError

from gateways.venues import Venue
from oms.instruments import Instrument

MOST_TEXT: Final = 300
"""Characters of an error that are told."""

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

QUESTIONS: Final = re.compile(r"(load|fetch)_\w+|is_\w+_enabled|handle_\w+_and_params")
"""Methods of ccxt's by which the making of an order asks what it has to know; what asks otherwise may be the order."""

_is_question: ContextVar[bool] = ContextVar("is_question", default=False)

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


async def why_unfit(exchange: Any, instrument: Instrument, symbol: str, client_id: str) -> str:
    """Why what ccxt would send for an order cannot be traded by; empty: it can.

    An order is made up and goes all the way through ccxt, but for the last step. No request leaves that changes
    something by its method, that holds the order's id or its price, or that is not made by one of ``QUESTIONS``: some
    exchanges take orders by GET. What would have been must hold the client order id, the price and the quantity, as
    they are.

    Parameters
    ----------
    exchange
        With its markets loaded, and nothing else asking meanwhile.
    symbol
        ccxt's of the instrument.
    client_id
        Of an order that there is none of.

    Raises
    ------
    ccxt.NetworkError, ccxt.AuthenticationError
        Where the exchange does not answer a question, or not these keys.
    """
    ticks, lots = 1_000_003, instrument.qty_to_lots(instrument.min_qty) + 7
    px, qty = instrument.px_from_ticks(ticks), instrument.qty_from_lots(lots)
    really = exchange.fetch
    wanted = {"client order id": client_id, "price": _trimmed(px), "quantity": _trimmed(qty)}

    async def fetch(url: str, method: str = "GET", headers: Any = None, body: Any = None) -> Any:
        text = f"{url} {body}"
        if method == "GET" and _is_question.get() and client_id not in text and wanted["price"] not in text:
            return await really(url, method, headers, body)
        raise _WouldSendError(text)

    questions = {name: _as_question(getattr(exchange, name)) for name in _questions_of(exchange)}
    try:
        with _instead(exchange, questions | {"fetch": fetch}):
            await exchange.create_order(symbol, "limit", "buy", qty, px, {"clientOrderId": client_id})
    except _WouldSendError as error:
        text = str(error)
    except (NetworkError, AuthenticationError):
        raise
    except _FAILURES as error:
        return f"ccxt makes no order of it: {error!r}"[:MOST_TEXT]
    else:
        return "ccxt sends nothing for an order"
    missing = [name for name, value in wanted.items() if value not in text]
    return f"ccxt does not hand on the {' and the '.join(missing)} of an order as it is" if missing else ""


def _questions_of(exchange: Any) -> list[str]:
    kind = type(exchange)
    return [
        name for name in dir(kind) if QUESTIONS.fullmatch(name) and inspect.iscoroutinefunction(getattr(kind, name))
    ]


def _as_question(method: Callable[..., Any]) -> Callable[..., Any]:
    async def ask(*arguments: Any, **named: Any) -> Any:
        before = _is_question.set(True)
        try:
            return await method(*arguments, **named)
        finally:
            _is_question.reset(before)

    return ask


@contextmanager
def _instead(exchange: Any, methods: dict[str, Any]) -> Iterator[None]:
    """Other methods of an exchange for a while."""
    before = {name: getattr(exchange, name) for name in methods}
    vars(exchange).update(methods)
    try:
        yield
    finally:
        vars(exchange).update(before)


class _WouldSendError(Exception):
    """Says what a request would have been."""


_FAILURES: Final = (
    BaseError,
    ArithmeticError,
    AssertionError,
    AttributeError,
    LookupError,
    NotImplementedError,
    TypeError,
    ValueError,
)
"""What ccxt's making of a request ends in where it makes none."""


def _trimmed(number: str) -> str:
    return number.rstrip("0").rstrip(".") if "." in number else number


def amends(row: Venue) -> bool:
    """Whether an order can be amended in place."""
    return row.market in AMENDING.get(row.exchange, ())


def buys_by_cost(exchange: Any, row: Venue) -> bool:
    """Whether the exchange takes what a buy at the market may spend, and not how much to buy."""
    return row.market == "spot" and "createMarketBuyOrderRequiresPrice" in exchange.options


def _missing(exchange: Any, wanted: dict[str, str]) -> list[str]:
    return [f"ccxt has no {name} of it: {text}" for name, text in wanted.items() if exchange.has.get(name) is not True]
