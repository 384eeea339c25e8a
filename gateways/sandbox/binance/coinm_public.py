"""Market data of COIN-M by request (Binance, COIN-M Futures: "Market Data Endpoints"), where it differs from USD-M's.

The titles below are of its pages. Tickers and prices of one symbol come in a list, too.
"""

from __future__ import annotations

from fractions import Fraction
from typing import TYPE_CHECKING, Final

from gateways.sandbox.binance import public
from gateways.sandbox.binance.limits import ORDERS, WEIGHT
from gateways.sandbox.binance.orders import CONDITIONAL_TYPES, TIMES_IN_FORCE, TYPES
from gateways.sandbox.binance.parameters import MAX_CONDITIONALS, MAX_ORDERS, MAX_PX, PERCENT
from gateways.sandbox.binance.views import Json, cash

if TYPE_CHECKING:
    from gateways.sandbox.binance.coinm_venue import CoinmVenue
    from gateways.sandbox.binance.front import Call

LISTED_MS: Final = 1_596_006_000_000
"""Of BTCUSD_PERP, as the example of "Exchange Information" has it."""


def exchange_info(venue: CoinmVenue, _call: Call) -> Json:
    """ "Exchange Information": contracts have a size and a status of their own name, and no least notional."""
    instrument = venue.instrument
    lot = {"minQty": instrument.min_qty, "maxQty": instrument.max_qty, "stepSize": instrument.lot}
    filters = [
        {
            "filterType": "PRICE_FILTER",
            "minPrice": instrument.tick,
            "maxPrice": str(MAX_PX),
            "tickSize": instrument.tick,
        },
        {"filterType": "LOT_SIZE", **lot},
        {"filterType": "MARKET_LOT_SIZE", **lot},
        {"filterType": "MAX_NUM_ORDERS", "limit": MAX_ORDERS},
        {"filterType": "MAX_NUM_ALGO_ORDERS", "limit": MAX_CONDITIONALS},
        {
            "filterType": "PERCENT_PRICE",
            "multiplierUp": f"{1 + PERCENT:.4f}",
            "multiplierDown": f"{1 - PERCENT:.4f}",
            "multiplierDecimal": "4",
        },
    ]
    symbol = {
        "symbol": instrument.symbol,
        "pair": venue.views.pair,
        "contractType": "PERPETUAL",
        "deliveryDate": public.NEVER_MS,
        "onboardDate": LISTED_MS,
        "contractStatus": "TRADING",
        "contractSize": int(instrument.multiplier),
        "marginAsset": instrument.settlement,
        "maintMarginPercent": "2.5000",
        "requiredMarginPercent": "5.0000",
        "baseAsset": instrument.base,
        "quoteAsset": instrument.quote,
        "pricePrecision": venue.market.px_decimals,
        "quantityPrecision": venue.market.qty_decimals,
        "baseAssetPrecision": 8,
        "quotePrecision": 8,
        "equalQtyPrecision": 4,
        "triggerProtect": "0.0500",
        "liquidationFee": "0.010000",
        "marketTakeBound": f"{PERCENT}",
        "underlyingType": "COIN",
        "underlyingSubType": [],
        "filters": filters,
        "orderTypes": [*TYPES, *CONDITIONAL_TYPES],
        "timeInForce": list(TIMES_IN_FORCE),
    }
    return {
        "timezone": "UTC",
        "serverTime": venue.clock.now_ms,
        "rateLimits": [limit.described for limit in (WEIGHT, *ORDERS)],
        "exchangeFilters": [],
        "symbols": [symbol],
    }


def depth(venue: CoinmVenue, call: Call) -> Json:
    """ "Order Book", with its fields in the order of a recorded answer."""
    found = public.depth(venue, call)
    named = {"symbol": venue.instrument.symbol, "pair": venue.views.pair}
    return {name: found[name] for name in ("lastUpdateId", "E", "T")} | named | found


def trades(venue: CoinmVenue, call: Call) -> list[Json]:
    """ "Recent Trades List"."""
    rows = public.trades(venue, call)
    known = list(venue.market.trades)[-len(rows) :] if rows else []
    for row, trade in zip(rows, known, strict=True):
        del row["quoteQty"], row["isRPITrade"]
        row["baseQty"] = venue.views.worth(trade.px, trade.qty)
    return rows


def premium_index(venue: CoinmVenue, call: Call) -> list[Json]:
    """ "Index Price and Mark Price"."""
    return _of_pair(venue, public.premium_index(venue, call))


def book_ticker(venue: CoinmVenue, call: Call) -> list[Json]:
    """ "Symbol Order Book Ticker"."""
    return _of_pair(venue, public.book_ticker(venue, call))


def price_ticker(venue: CoinmVenue, call: Call) -> list[Json]:
    """ "Symbol Price Ticker"."""
    rows = _of_pair(venue, public.price_ticker(venue, call))
    return [{("ps" if name == "pair" else name): value for name, value in row.items()} for row in rows]


def day_ticker(venue: CoinmVenue, call: Call) -> list[Json]:
    """ "24hr Ticker Price Change Statistics"."""
    rows = _of_pair(venue, public.day_ticker(venue, call))
    for row in rows:
        if row.pop("quoteVolume", None) is not None:
            ledger = venue.exchange.ledger
            row["baseVolume"] = cash(sum(ledger.notional(Fraction(each.px), each.qty) for each in venue.market.trades))
    return rows


def _of_pair(venue: CoinmVenue, found: Json | list[Json]) -> list[Json]:
    rows = found if isinstance(found, list) else [found]
    return [{**row, "pair": venue.views.pair} for row in rows]
