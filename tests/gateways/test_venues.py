"""The table of venues: what implements each role keeps its contract, and which venue a process serves."""

from __future__ import annotations

import pytest

from gateways.live.binance import COINM, SPOT, USDM
from gateways.live.htx import LINEAR as HTX_LINEAR
from gateways.live.htx import SPOT as HTX_SPOT
from gateways.live.okx import MARKET_DATA as OKX
from gateways.live.venue import MarketDataVenue
from gateways.orders.binance_coinm import BinanceCoinm
from gateways.orders.binance_spot import BinanceSpot
from gateways.orders.binance_usdm import BinanceUsdm
from gateways.orders.htx_linear import HtxLinear
from gateways.orders.htx_spot import HtxSpot
from gateways.orders.okx import Okx
from gateways.orders.okx_spot import OkxSpot
from gateways.orders.venue import VenueType as OrdersType
from gateways.sandbox.binance.coinm_venue import CoinmVenue
from gateways.sandbox.binance.spot_venue import SpotVenue
from gateways.sandbox.binance.venue import Venue as BinanceSandbox
from gateways.sandbox.htx.linear_venue import LinearVenue
from gateways.sandbox.htx.spot_venue import SpotVenue as HtxSpotSandbox
from gateways.sandbox.okx.spot_venue import SpotVenue as OkxSpotSandbox
from gateways.sandbox.okx.venue import Venue as OkxSandbox
from gateways.sandbox.venue import VenueType as SandboxType
from gateways.venues import VENUES, Role, find_venue, implementation, venue_among
from oms.checks import ConfigError

# The types are the test: each is checked against its contract.
MARKET_DATA: tuple[MarketDataVenue, ...] = (USDM, SPOT, COINM, OKX, OKX, HTX_SPOT, HTX_LINEAR)
ORDERS: tuple[OrdersType, ...] = (BinanceUsdm, BinanceSpot, BinanceCoinm, Okx, OkxSpot, HtxLinear, HtxSpot)
SANDBOXES: tuple[SandboxType, ...] = (
    BinanceSandbox,
    SpotVenue,
    CoinmVenue,
    OkxSandbox,
    OkxSpotSandbox,
    LinearVenue,
    HtxSpotSandbox,
)


@pytest.mark.parametrize(
    ("role", "known"), [(Role.MARKET_DATA, MARKET_DATA), (Role.ORDERS, ORDERS), (Role.SANDBOX, SANDBOXES)]
)
def test_every_role_of_the_table_is_implemented(role: Role, known: tuple[object, ...]) -> None:
    found = [implementation(name, role) for name, venue in VENUES.items() if role in venue.roles]
    assert sorted(map(repr, found)) == sorted(map(repr, known))


def test_the_only_venue_that_is_implemented_needs_no_name() -> None:
    assert venue_among(["bitmex", "binance_usdm", "binance_usdm"], Role.ORDERS).name == "binance_usdm"


@pytest.mark.parametrize(
    ("names", "chosen", "said"),
    [
        ([], "", "of no venue: name one"),
        (["deribit"], "", "deribit: zoms has no orders for it, but for"),
        (["binance_usdm"], "bitmex", "no instrument of bitmex is defined"),
        (["binance_usdm", "deribit"], "deribit", "deribit: zoms has no orders for it"),
    ],
)
def test_venue_that_cannot_be_served_is_refused(names: list[str], chosen: str, said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        venue_among(names, Role.ORDERS, chosen)


@pytest.mark.parametrize("role", Role)
@pytest.mark.parametrize("name", ["bitmex", "bitmex_inverse"])
def test_bitmex_is_refused_for_it_has_closed(name: str, role: Role) -> None:
    with pytest.raises(ConfigError, match=f"{name}: BitMEX closed on 2026-09-23, .*; its recordings are read"):
        venue_among([name], role)


@pytest.mark.parametrize(
    "names",
    [
        ("okx", "okx_spot", "ccxt_okx_linear", "ccxt_okx_inverse", "ccxt_okx_spot"),
        ("binance_usdm", "ccxt_binanceusdm_linear", "ccxt_binance_linear"),
        ("binance_coinm", "ccxt_binancecoinm_inverse", "ccxt_binance_inverse"),
        ("binance_spot", "ccxt_binance_spot"),
        ("htx_spot", "ccxt_htx_spot"),
        ("htx_linear", "ccxt_htx_linear"),
        ("ccxt_htx_inverse",),
        ("ccxt_bybit_linear",),
        ("ccxt_bybit_spot",),
        ("ccxt_kraken_spot",),
    ],
)
def test_venues_that_reach_one_account_of_a_login_have_one_wallet(names: tuple[str, ...]) -> None:
    (wallet,) = {venue.wallet for name in names if (venue := find_venue(name)) is not None}
    others = {venue.wallet for name, venue in VENUES.items() if name not in names}
    assert wallet not in others
