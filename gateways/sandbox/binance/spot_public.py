"""Binance spot: market data by request (Binance, Spot API: "General", "Market Data endpoints"), titles of its page."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from gateways.sandbox.binance.orders import DEFAULT_SELF_TRADE, SELF_TRADES
from gateways.sandbox.binance.parameters import MAX_PX
from gateways.sandbox.binance.spot_orders import MOST_AMENDS, STOPS, TYPES
from gateways.sandbox.binance.spot_words import (
    MAX_NOTIONAL,
    MAX_ORDERS,
    MAX_STOPS,
    MULTIPLIER_DOWN,
    MULTIPLIER_UP,
    ORDERS,
    WEIGHT,
)
from gateways.sandbox.binance.views import Json

if TYPE_CHECKING:
    from gateways.sandbox.binance.front import Call
    from gateways.sandbox.binance.spot_venue import SpotVenue

DEPTH_WEIGHTS: Final = {100: 5, 500: 25, 1000: 50, 5000: 250}
"""Of a request for at most so many rows ("Order book")."""


def exchange_info(venue: SpotVenue, _call: Call) -> Json:
    """ "Exchange information": the filters are those of the instrument."""
    instrument = venue.instrument
    lot = {"minQty": instrument.min_qty, "maxQty": instrument.max_qty, "stepSize": instrument.lot}
    multipliers = {
        f"{side}Multiplier{way}": str(value)
        for side in ("bid", "ask")
        for way, value in (("Up", MULTIPLIER_UP), ("Down", MULTIPLIER_DOWN))
    }
    filters = [
        {
            "filterType": "PRICE_FILTER",
            "minPrice": instrument.tick,
            "maxPrice": str(MAX_PX),
            "tickSize": instrument.tick,
        },
        {"filterType": "LOT_SIZE", **lot},
        {"filterType": "MARKET_LOT_SIZE", **lot},
        {"filterType": "PERCENT_PRICE_BY_SIDE", **multipliers, "avgPriceMins": 5},
        {
            "filterType": "NOTIONAL",
            "minNotional": instrument.min_notional,
            "applyMinToMarket": True,
            "maxNotional": str(MAX_NOTIONAL),
            "applyMaxToMarket": False,
            "avgPriceMins": 5,
        },
        {"filterType": "MAX_NUM_ORDERS", "maxNumOrders": MAX_ORDERS},
        {"filterType": "MAX_NUM_ALGO_ORDERS", "maxNumAlgoOrders": MAX_STOPS},
        {"filterType": "MAX_NUM_ORDER_AMENDS", "maxNumOrderAmends": MOST_AMENDS},
    ]
    symbol = {
        "symbol": instrument.symbol,
        "status": "TRADING",
        "baseAsset": instrument.base,
        "baseAssetPrecision": 8,
        "quoteAsset": instrument.quote,
        "quotePrecision": 8,
        "quoteAssetPrecision": 8,
        "baseCommissionPrecision": 8,
        "quoteCommissionPrecision": 8,
        "orderTypes": [*TYPES, *STOPS],
        "icebergAllowed": False,
        "ocoAllowed": False,
        "otoAllowed": False,
        "opoAllowed": False,
        "quoteOrderQtyMarketAllowed": False,
        "allowTrailingStop": False,
        "cancelReplaceAllowed": False,
        "amendAllowed": True,
        "pegInstructionsAllowed": False,
        "isSpotTradingAllowed": True,
        "isMarginTradingAllowed": False,
        "filters": filters,
        "permissions": [],
        "permissionSets": [["SPOT"]],
        "defaultSelfTradePreventionMode": DEFAULT_SELF_TRADE,
        "allowedSelfTradePreventionModes": list(SELF_TRADES),
    }
    return {
        "timezone": "UTC",
        "serverTime": venue.clock.now_ms,
        "rateLimits": [limit.described for limit in (WEIGHT, *ORDERS)],
        "exchangeFilters": [],
        "symbols": [symbol],
    }


def depth_weight(call: Call) -> int:
    """What a depth request weighs."""
    limit = call.parameters.limit(100, 10**6)
    return next((weight for most, weight in DEPTH_WEIGHTS.items() if limit <= most), 250)


def depth(venue: SpotVenue, call: Call) -> Json:
    """ "Order book": the recorded book as it is now, with the id of its last update."""
    call.parameters.symbol()
    limit = min(call.parameters.limit(100, 10**6), max(DEPTH_WEIGHTS))
    levels = venue.market.book()
    sides = {
        name: [
            [venue.views.px(px), venue.views.qty(qty)]
            for px, qty in levels[["px", "qty"]][levels["side"] == side][:limit].tolist()
        ]
        for name, side in (("bids", 1), ("asks", -1))
    }
    return {"lastUpdateId": int(levels["update_id"][0]), **sides}


def trades(venue: SpotVenue, call: Call) -> list[Json]:
    """ "Recent trades list"."""
    call.parameters.symbol()
    limit = call.parameters.limit(500, 1000)
    return [
        {
            "id": trade.trade_id,
            "price": venue.views.px(trade.px),
            "qty": venue.views.qty(trade.qty),
            "quoteQty": venue.views.quote(trade.px * trade.qty),
            "time": trade.ts // 1_000_000 + venue.shift_ms,
            "isBuyerMaker": trade.side < 0,
            "isBestMatch": True,
        }
        for trade in list(venue.market.trades)[-limit:]
    ]


def book_ticker(venue: SpotVenue, call: Call) -> Json | list[Json]:
    """ "Symbol order book ticker"."""
    named = call.parameters.symbol(optional=True)
    quote = venue.market.quote
    view: Json = {"symbol": venue.instrument.symbol}
    if quote is not None:
        view |= {
            "bidPrice": venue.views.px(quote.bid_px),
            "bidQty": venue.views.qty(quote.bid_qty),
            "askPrice": venue.views.px(quote.ask_px),
            "askQty": venue.views.qty(quote.ask_qty),
        }
    return view if named else [view]


def price_ticker(venue: SpotVenue, call: Call) -> Json | list[Json]:
    """ "Symbol price ticker"."""
    named = call.parameters.symbol(optional=True)
    view: Json = {"symbol": venue.instrument.symbol, "price": venue.views.px(venue.exchange.last_px)}
    return view if named else [view]
