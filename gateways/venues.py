"""The venues, a row for each: what zoms and ccxt call it, its host names, and what implements each of its roles.

This is the one place where venues are listed; everything else goes by a row. An exchange that is not listed has a row
too, made of its name: it is traded by ccxt's unified methods. What implements a role is named by module
and is imported when it is asked for, for the kill switch and the doctor must work when nothing else does.
"""

from __future__ import annotations

import importlib
import re
from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import asynccontextmanager
from enum import Enum
from functools import cache
from pathlib import Path
from typing import Any, Final

import msgspec

from gateways.credentials import Credentials
from oms.checks import ConfigError

REQUEST_S: Final = 10.0
"""How long one request may take."""


_QUERY: Final = re.compile(r"\?\S+=\S*")
_KEY: Final = re.compile(r"ZOMS_(CCXT_[A-Z0-9_]+)_KEY")


class Role(Enum):
    """What a venue can be implemented for; the value says it in a message."""

    MARKET_DATA = "live market data"
    """A ``gateways.live.venue.MarketDataVenue``."""
    ORDERS = "orders"
    """A ``gateways.orders.venue.VenueType``."""
    SANDBOX = "sandbox exchange"
    """A ``gateways.sandbox.venue.VenueType``."""


class Testnet(msgspec.Struct, frozen=True, kw_only=True):
    """A venue's own copy of itself, where nothing is worth anything."""

    switch: str
    """ccxt's method that turns to it."""
    hosts: Mapping[str, str]
    """Its host names, each by the venue's that it stands for."""
    headers: Mapping[str, str] = {}
    """What tells it apart where it has the venue's own host name."""


class OwnKind(msgspec.Struct, frozen=True, kw_only=True):
    """A kind of orders for which ccxt has only the exchange's own requests, and those requests' words."""

    opened: str
    """ccxt's method that lists those that are open."""
    cancel: str
    """Its method that cancels some of them, by a list of ids called ``ids``."""
    ids: str
    names: Mapping[str, str]
    """Of ccxt's words for an order the exchange's."""


class Venue(msgspec.Struct, frozen=True, kw_only=True):
    """One exchange's market."""

    name: str
    family: str
    """The exchange that it is a market of."""
    exchange: str
    """ccxt's name of it."""
    hosts: tuple[str, ...]
    """Host names that a sandbox stands for."""
    options: Mapping[str, Any]
    order_kinds: Mapping[str, Mapping[str, Any]]
    """Kinds of orders that it keeps apart, and the parameters by which ccxt is asked for each."""
    cancelled_singly: tuple[str, ...] = ()
    """Kinds whose orders ccxt cancels one by one only: where several are meant it cancels orders of another kind."""
    own_kinds: Mapping[str, OwnKind] = {}
    """Further kinds, that ccxt has no word for."""
    unseen_kinds: tuple[str, ...] = ()
    """Kinds that the kill switch does not look for, as ccxt does not know them."""
    has_positions: bool = True
    """False where what is bought is a balance."""
    has_passphrase: bool = False
    """Whether keys have a third part."""
    wallet: str
    """Whose money it trades, of all that one login has: venues that name the same trade the same account."""
    has_integer_ids: bool = False
    """Whether its client order ids are whole numbers."""
    has_short_ids: bool = False
    """Whether its client order ids have 18 characters at most."""
    market: str = ""
    """Of a venue that is traded by ccxt's unified methods: one of ``MARKETS``; empty: zoms has a gateway of its own."""
    receive_window_s: float
    """How old a request may be when the exchange takes it."""
    testnet: Testnet | None = None
    roles: Mapping[Role, str]
    """``MODULE:NAME`` of what implements each; of a venue with a ``market``, of what makes that of this row."""


HTX_HOSTS: Final = ("api.huobi.pro", "api.hbdm.com", "api.hbdm.vn")
"""The last is where ccxt asks."""

OKX_HOSTS: Final = ("www.okx.com", "ws.okx.com")
OKX_ALGO_KINDS: Final = {
    "trigger order": "trigger",
    "conditional order": "conditional,oco",
    "trailing stop": "move_order_stop",
    "iceberg order": "iceberg",
    "twap order": "twap",
}
"""By ``ordType``, of which the exchange takes one a request, but for the two that go together ("Algo order list")."""
OKX_TESTNET: Final = Testnet(
    switch="set_sandbox_mode",
    hosts={"www.okx.com": "www.okx.com", "ws.okx.com": "wspap.okx.com"},
    headers={"x-simulated-trading": "1"},
)
HTX_ALGO_KINDS: Final = {
    "trigger order": {"trigger": True},
    "stop loss": {"stopLoss": True},
    "take profit": {"takeProfit": True},
    "take profit and stop loss": {"stopLossTakeProfit": True},
    "trailing stop": {"trailing": True},
}
"""Of its contracts."""

VENUES: Final = {
    venue.name: venue
    for venue in (
        Venue(
            name="binance_usdm",
            family="binance",
            exchange="binanceusdm",
            wallet="binance linear",
            hosts=("api.binance.com", "fapi.binance.com", "fstream.binance.com"),
            options={
                "fetchCurrencies": False,
                "fetchMargins": False,
                "fetchMarkets": {"types": ["linear"]},
                "fetchOpenOrders": {"warnWithoutSymbol": False},
            },
            order_kinds={"order": {}, "conditional order": {"trigger": True}},
            receive_window_s=10.0,
            testnet=Testnet(
                switch="enable_demo_trading",
                hosts={"fapi.binance.com": "demo-fapi.binance.com", "fstream.binance.com": "fstream.binancefuture.com"},
            ),
            roles={
                Role.MARKET_DATA: "gateways.live.binance:USDM",
                Role.ORDERS: "gateways.orders.binance_usdm:BinanceUsdm",
                Role.SANDBOX: "gateways.sandbox.binance.venue:Venue",
            },
        ),
        Venue(
            name="binance_spot",
            family="binance",
            exchange="binance",
            wallet="binance spot",
            hosts=("api.binance.com", "stream.binance.com", "ws-api.binance.com"),
            options={
                "fetchCurrencies": False,
                "fetchMargins": False,
                "fetchMarkets": {"types": ["spot"]},
                "fetchOpenOrders": {"warnWithoutSymbol": False},
            },
            order_kinds={"order": {}},
            has_positions=False,
            receive_window_s=10.0,
            testnet=Testnet(
                switch="enable_demo_trading",
                hosts={
                    "api.binance.com": "demo-api.binance.com",
                    "stream.binance.com": "demo-stream.binance.com",
                    "ws-api.binance.com": "demo-ws-api.binance.com",
                },
            ),
            roles={
                Role.MARKET_DATA: "gateways.live.binance:SPOT",
                Role.ORDERS: "gateways.orders.binance_spot:BinanceSpot",
                Role.SANDBOX: "gateways.sandbox.binance.spot_venue:SpotVenue",
            },
        ),
        Venue(
            name="binance_coinm",
            family="binance",
            exchange="binancecoinm",
            wallet="binance inverse",
            hosts=("api.binance.com", "dapi.binance.com", "dstream.binance.com"),
            options={
                "fetchCurrencies": False,
                "fetchMargins": False,
                "fetchMarkets": {"types": ["inverse"]},
                "fetchOpenOrders": {"warnWithoutSymbol": False},
            },
            order_kinds={"order": {}, "conditional order": {"trigger": True}},
            receive_window_s=10.0,
            testnet=Testnet(
                switch="enable_demo_trading",
                hosts={"dapi.binance.com": "demo-dapi.binance.com", "dstream.binance.com": "dstream.binancefuture.com"},
            ),
            roles={
                Role.MARKET_DATA: "gateways.live.binance:COINM",
                Role.ORDERS: "gateways.orders.binance_coinm:BinanceCoinm",
                Role.SANDBOX: "gateways.sandbox.binance.coinm_venue:CoinmVenue",
            },
        ),
        Venue(
            name="okx",
            family="okx",
            exchange="okx",
            wallet="okx",
            hosts=OKX_HOSTS,
            options={"fetchMarkets": {"types": ["swap", "spot"]}},
            order_kinds={
                "order": {},
                **{kind: {"trigger": True, "ordType": name} for kind, name in OKX_ALGO_KINDS.items()},
            },
            unseen_kinds=("chase orders", "smart iceberg orders"),
            has_passphrase=True,
            receive_window_s=30.0,
            testnet=OKX_TESTNET,
            roles={
                Role.MARKET_DATA: "gateways.live.okx:MARKET_DATA",
                Role.ORDERS: "gateways.orders.okx:Okx",
                Role.SANDBOX: "gateways.sandbox.okx.venue:Venue",
            },
        ),
        Venue(
            name="okx_spot",
            family="okx",
            exchange="okx",
            wallet="okx",
            hosts=OKX_HOSTS,
            options={"fetchMarkets": {"types": ["spot"]}},
            order_kinds={
                "order": {"instType": "SPOT"},
                **{
                    kind: {"trigger": True, "ordType": name, "instType": "SPOT"}
                    for kind, name in OKX_ALGO_KINDS.items()
                },
            },
            unseen_kinds=("smart iceberg orders",),
            has_positions=False,
            has_passphrase=True,
            receive_window_s=30.0,
            testnet=OKX_TESTNET,
            roles={
                Role.MARKET_DATA: "gateways.live.okx:MARKET_DATA",
                Role.ORDERS: "gateways.orders.okx_spot:OkxSpot",
                Role.SANDBOX: "gateways.sandbox.okx.spot_venue:SpotVenue",
            },
        ),
        Venue(
            name="htx_spot",
            family="htx",
            exchange="htx",
            wallet="htx spot",
            hosts=HTX_HOSTS,
            options={"fetchMarkets": {"types": {"spot": True, "linear": False, "inverse": False}}},
            order_kinds={"order": {}},
            own_kinds={
                "conditional order": OwnKind(
                    opened="v2PrivateGetAlgoOrdersOpening",
                    cancel="v2PrivatePostAlgoOrdersCancellation",
                    ids="clientOrderIds",
                    names={
                        "id": "clientOrderId",
                        "side": "orderSide",
                        "amount": "orderSize",
                        "price": "orderPrice",
                        "triggerPrice": "stopPrice",
                    },
                )
            },
            has_positions=False,
            receive_window_s=300.0,
            roles={
                Role.MARKET_DATA: "gateways.live.htx:SPOT",
                Role.ORDERS: "gateways.orders.htx_spot:HtxSpot",
                Role.SANDBOX: "gateways.sandbox.htx.spot_venue:SpotVenue",
            },
        ),
        Venue(
            name="htx_linear",
            family="htx",
            exchange="htx",
            wallet="htx linear",
            hosts=HTX_HOSTS,
            options={
                "defaultType": "swap",
                "fetchMarkets": {"types": {"spot": False, "linear": True, "inverse": False}},
            },
            order_kinds={"order": {}, **HTX_ALGO_KINDS},
            cancelled_singly=tuple(HTX_ALGO_KINDS),
            has_integer_ids=True,
            receive_window_s=300.0,
            roles={
                Role.MARKET_DATA: "gateways.live.htx:LINEAR",
                Role.ORDERS: "gateways.orders.htx_linear:HtxLinear",
                Role.SANDBOX: "gateways.sandbox.htx.linear_venue:LinearVenue",
            },
        ),
    )
}


MARKETS: Final[Mapping[str, Mapping[str, Any]]] = {
    "spot": {"defaultType": "spot"},
    "linear": {"defaultType": "swap", "defaultSubType": "linear"},
    "inverse": {"defaultType": "swap", "defaultSubType": "inverse"},
}
"""Markets of an exchange that zoms has no gateway of its own for, and ccxt's options for each."""

ANY_EXCHANGE: Final = re.compile(rf"ccxt_([a-z0-9]+)_({'|'.join(MARKETS)})")
"""The name of such a venue: ``ccxt_bybit_linear`` is bybit's market of linear perpetuals."""

SHORT_IDS: Final = ("kraken",)
"""Exchanges, by ccxt's name, whose client order ids have 18 characters at most."""


@cache
def find_venue(name: str) -> Venue | None:
    """The row of a venue: one of ``VENUES``, or one for any exchange of ccxt's; None: it is neither.

    Whether ccxt has such an exchange is found out when it is asked for. Where zoms knows the market by another name
    too, that one's hosts and options are this one's, so that a sandbox can stand for it.
    """
    found = ANY_EXCHANGE.fullmatch(name)
    if found is None:
        return VENUES.get(name)
    exchange, market = found.groups()
    same = [each for each in VENUES.values() if each.exchange == exchange]
    alike = [each for each in same if each.has_positions == (market != "spot")]
    bare = Venue(
        name=name,
        family=exchange,
        exchange=exchange,
        wallet="",
        hosts=(),
        options={},
        order_kinds={"order": {}},
        has_positions=market != "spot",
        has_short_ids=exchange in SHORT_IDS,
        receive_window_s=60.0,
        roles={},
    )
    known = alike[0] if alike else bare
    return msgspec.structs.replace(
        known,
        name=name,
        family=exchange,
        wallet=_wallet_of(exchange, market),
        hosts=tuple(dict.fromkeys(host for each in same for host in each.hosts)),
        options={**MARKETS[market], **known.options},
        market=market,
        testnet=None,
        roles={
            Role.MARKET_DATA: "gateways.live.generic:market_data_of",
            Role.ORDERS: "gateways.orders.generic:orders_of",
        },
    )


def _wallet_of(exchange: str, market: str) -> str:
    """``Venue.wallet`` by ccxt's names: that of the row for the same market, whichever way it is traded."""
    family = next((each.family for each in VENUES.values() if each.exchange == exchange), exchange)
    is_shared = any(each.wallet == family for each in VENUES.values())
    return family if is_shared else f"{family} {market}"


CLOSED: Final = {"bitmex": "BitMEX closed on 2026-09-23, so that nothing of it can be live; its recordings are read"}
"""Exchanges that are no more, by family, and what to say of them."""


def why_closed(name: str) -> str:
    """Why a venue can only be read from recordings; empty when its exchange is there."""
    return CLOSED.get(name.partition("_")[0], "")


def with_role(role: Role) -> list[Venue]:
    """The venues that are implemented for a role."""
    return [each for each in VENUES.values() if role in each.roles]


def implementation(name: str, role: Role) -> Any:
    """What implements a venue's role.

    Raises
    ------
    ConfigError
        When the venue is unknown, is not implemented for that, or has closed.
    """
    if why := why_closed(name):
        raise ConfigError(f"{name}: {why}")
    venue = find_venue(name)
    if venue is None or role not in venue.roles:
        known = ", ".join(each.name for each in with_role(role))
        others = "" if role is Role.SANDBOX else "; by ccxt any exchange, as ccxt_bybit_linear or ccxt_kraken_spot"
        raise ConfigError(f"{name}: zoms has no {role.value} for it, but for {known}{others}")
    module, _, attribute = venue.roles[role].partition(":")
    found = getattr(importlib.import_module(module), attribute)
    return found(venue) if venue.market else found


def venue_among(names: Iterable[str], role: Role, chosen: str = "") -> Venue:
    """The venue of a process that serves one.

    Parameters
    ----------
    names
        Venues of the instruments.
    chosen
        One of them; empty: the only one.

    Raises
    ------
    ConfigError
        When that says no venue, or several, or one that is not implemented for the role.
    """
    present = list(dict.fromkeys(names))
    if chosen and chosen not in present:
        raise ConfigError(f"no instrument of {chosen} is defined: add one, or leave its gateway out")
    served = (
        [chosen] if chosen else [name for name in present if (row := find_venue(name)) and role in row.roles] or present
    )
    if len(served) != 1:
        said = ", ".join(served) or "no venue"
        raise ConfigError(f"a process of {role.value} serves one venue, and the instruments are of {said}: name one")
    implementation(served[0], role)
    venue = find_venue(served[0])
    assert venue is not None
    return venue


class Sandbox(msgspec.Struct, frozen=True):
    """A sandbox exchange on this machine that stands for the venue."""

    port: int
    ca: Path
    """Its authority's certificate."""


@asynccontextmanager
async def connected(venue: Venue, credentials: Credentials, sandbox: Sandbox | None = None) -> AsyncIterator[Any]:
    """A ccxt exchange within the block, which asks the venue, or the sandbox that stands for it.

    Raises
    ------
    ImportError
        When ccxt is not installed.
    """
    import ccxt.async_support as ccxt

    given: dict[str, Any] = {
        "apiKey": credentials.key,
        "secret": credentials.secret,
        "password": credentials.passphrase,
    }
    given |= {"options": dict(venue.options), "enableRateLimit": False, "timeout": int(REQUEST_S * 1000)}
    if sandbox is not None:
        from gateways.sandbox.pointing import pointed_session

        given["session"] = pointed_session(sandbox.port, sandbox.ca.read_bytes(), venue.hosts)
    made = getattr(ccxt, venue.exchange, None)
    if made is None:
        raise ConfigError(f"{venue.name}: ccxt {ccxt.__version__} has no exchange {venue.exchange!r}")
    exchange = made(given)
    if venue.market:
        exchange.has["fetchCurrencies"] = False  # it takes keys at many, and nothing here needs it
    try:
        yield exchange
    finally:
        await exchange.close()
        if sandbox is not None:
            await given["session"].close()  # ccxt leaves it to whoever gave it


def venues_with_keys(environment: Mapping[str, str]) -> list[str]:
    """Names of venues that are none of ``VENUES`` and have a key in the environment."""
    keys = [match for name in environment if (match := _KEY.fullmatch(name))]
    return [name for match in keys if find_venue(name := match[1].lower()) is not None]


def one_line(error: BaseException) -> str:
    """An exchange's error in one line, with its type; such a text may be a whole page, or have a signed request."""
    return f"{type(error).__name__} {without_query(error)}".strip()[:300]


def without_query(error: BaseException) -> str:
    """An error's text in one line, without the parameters and the signature of a request."""
    return _QUERY.sub("?...", " ".join(str(error).split()))
