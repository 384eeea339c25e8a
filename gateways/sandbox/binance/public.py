"""Market data by request (Binance, USDⓈ-M Futures: "Market Data Endpoints"); the titles below are of its pages."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING, Final

from gateways.sandbox.binance.errors import ApiError, Error
from gateways.sandbox.binance.limits import ORDERS, WEIGHT
from gateways.sandbox.binance.orders import CONDITIONAL_TYPES, TIMES_IN_FORCE, TYPES
from gateways.sandbox.binance.parameters import MAX_CONDITIONALS, MAX_ORDERS, MAX_PX, PERCENT
from gateways.sandbox.binance.views import Json

if TYPE_CHECKING:
    from gateways.sandbox.binance.front import Call
    from gateways.sandbox.binance.venue import Venue
    from gateways.sandbox.market import Trade

NEVER_MS: Final = 4_133_404_800_000
"""Delivery date of a perpetual, as a recorded exchangeInfo answer has it."""

LISTED_MS: Final = 1_569_398_400_000
DEPTH_LIMITS: Final = {5: 2, 10: 2, 20: 2, 50: 2, 100: 5, 500: 10, 1000: 20}
"""Rows that "Order Book" allows, and their weights."""

FUNDING_MS: Final = 8 * 3600 * 1000
INTEREST_RATE: Final = "0.00010000"


def ping(_venue: Venue, _call: Call) -> Json:
    """ "Test Connectivity"."""
    return {}


def server_time(venue: Venue, _call: Call) -> Json:
    """ "Check Server Time"."""
    return {"serverTime": venue.clock.now_ms}


def exchange_info(venue: Venue, _call: Call) -> Json:
    """ "Exchange Information": the shape is that of a recorded answer, the filters those of the instrument."""
    instrument = venue.instrument
    base = instrument.base or instrument.symbol.removesuffix(instrument.quote)
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
        {"filterType": "MIN_NOTIONAL", "notional": instrument.min_notional},
        {
            "filterType": "PERCENT_PRICE",
            "multiplierUp": f"{1 + PERCENT:.4f}",
            "multiplierDown": f"{1 - PERCENT:.4f}",
            "multiplierDecimal": "4",
        },
    ]
    symbol = {
        "symbol": instrument.symbol,
        "pair": instrument.symbol,
        "contractType": "PERPETUAL",
        "deliveryDate": NEVER_MS,
        "onboardDate": LISTED_MS,
        "status": "TRADING",
        "maintMarginPercent": "2.5000",
        "requiredMarginPercent": "5.0000",
        "baseAsset": base,
        "quoteAsset": instrument.quote,
        "marginAsset": instrument.settlement,
        "pricePrecision": venue.market.px_decimals,
        "quantityPrecision": venue.market.qty_decimals,
        "baseAssetPrecision": 8,
        "quotePrecision": 8,
        "underlyingType": "COIN",
        "underlyingSubType": [],
        "settlePlan": 0,
        "triggerProtect": "0.0500",
        "liquidationFee": "0.012000",
        "marketTakeBound": f"{PERCENT}",
        "filters": filters,
        "orderTypes": [*TYPES, *CONDITIONAL_TYPES],
        "timeInForce": list(TIMES_IN_FORCE),
    }
    return {
        "timezone": "UTC",
        "serverTime": venue.clock.now_ms,
        "futuresType": "U_MARGINED",
        "rateLimits": [limit.described for limit in (WEIGHT, *ORDERS)],
        "exchangeFilters": [],
        "assets": [{"asset": instrument.settlement, "marginAvailable": True, "autoAssetExchange": "-10000"}],
        "symbols": [symbol],
    }


def depth_weight(call: Call) -> int:
    """What a depth request weighs."""
    return DEPTH_LIMITS.get(call.parameters.limit(500, 10**6), 20)


def depth(venue: Venue, call: Call) -> Json:
    """ "Order Book": the recorded book as it is now, with the id of its last update."""
    call.parameters.symbol()
    limit = call.parameters.limit(500, 10**6)
    if limit not in DEPTH_LIMITS:
        raise ApiError(Error.BAD_PARAMETER, "limit")
    levels = venue.market.book()
    sides = {
        name: [
            [venue.views.px(px), venue.views.qty(qty)]
            for px, qty in levels[["px", "qty"]][levels["side"] == side][:limit].tolist()
        ]
        for name, side in (("bids", 1), ("asks", -1))
    }
    ts_ms = int(levels["exch_ts"][0]) // 1_000_000 + venue.shift_ms
    return {"lastUpdateId": int(levels["update_id"][0]), "E": ts_ms, "T": ts_ms, **sides}


def trades(venue: Venue, call: Call) -> list[Json]:
    """ "Recent Trades List"."""
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
            "isRPITrade": False,
        }
        for trade in list(venue.market.trades)[-limit:]
    ]


def aggregate_trades(venue: Venue, call: Call) -> list[Json]:
    """ "Compressed Aggregate Trades List": each recorded trade is its own aggregate."""
    call.parameters.symbol()
    limit = call.parameters.limit(500, 1000)
    return [
        {
            "a": trade.trade_id,
            "p": venue.views.px(trade.px),
            "q": venue.views.qty(trade.qty),
            "nq": venue.views.qty(trade.qty),
            "f": trade.trade_id,
            "l": trade.trade_id,
            "T": trade.ts // 1_000_000 + venue.shift_ms,
            "m": trade.side < 0,
        }
        for trade in list(venue.market.trades)[-limit:]
    ]


def premium_index(venue: Venue, call: Call) -> Json | list[Json]:
    """ "Mark Price": the recording has none, so it is the middle of the recorded best prices; funding is 0."""
    named = call.parameters.symbol(optional=True)
    mark = venue.views.average(venue.exchange.mark_px)
    now_ms = venue.clock.now_ms
    view: Json = {
        "symbol": venue.instrument.symbol,
        "markPrice": mark,
        "indexPrice": mark,
        "estimatedSettlePrice": mark,
        "lastFundingRate": "0.00000000",
        "interestRate": INTEREST_RATE,
        "nextFundingTime": (now_ms // FUNDING_MS + 1) * FUNDING_MS,
        "time": now_ms,
    }
    return view if named else [view]


def book_ticker(venue: Venue, call: Call) -> Json | list[Json]:
    """ "Symbol Order Book Ticker"."""
    named = call.parameters.symbol(optional=True)
    quote = venue.market.quote
    view: Json = {"symbol": venue.instrument.symbol}
    if quote is not None:
        view |= {
            "bidPrice": venue.views.px(quote.bid_px),
            "bidQty": venue.views.qty(quote.bid_qty),
            "askPrice": venue.views.px(quote.ask_px),
            "askQty": venue.views.qty(quote.ask_qty),
            "time": quote.ts // 1_000_000 + venue.shift_ms,
            "lastUpdateId": quote.update_id,
        }
    return view if named else [view]


def price_ticker(venue: Venue, call: Call) -> Json | list[Json]:
    """ "Symbol Price Ticker"."""
    named = call.parameters.symbol(optional=True)
    view: Json = {
        "symbol": venue.instrument.symbol,
        "price": venue.views.px(venue.exchange.last_px),
        "time": venue.clock.now_ms,
    }
    return view if named else [view]


def day_ticker(venue: Venue, call: Call) -> Json | list[Json]:
    """ "24hr Ticker Price Change Statistics", of the trades that the sandbox still has."""
    named = call.parameters.symbol(optional=True)
    known = list(venue.market.trades)
    view: Json = {"symbol": venue.instrument.symbol}
    if known:
        pxs = [trade.px for trade in known]
        cost, qty = sum(trade.px * trade.qty for trade in known), sum(trade.qty for trade in known)
        change = pxs[-1] - pxs[0]
        view |= {
            "priceChange": venue.views.px(change),
            "priceChangePercent": f"{Decimal(change) * 100 / pxs[0]:.3f}",
            "weightedAvgPrice": venue.views.px(round(cost / qty)),
            "lastPrice": venue.views.px(pxs[-1]),
            "lastQty": venue.views.qty(known[-1].qty),
            "openPrice": venue.views.px(pxs[0]),
            "highPrice": venue.views.px(max(pxs)),
            "lowPrice": venue.views.px(min(pxs)),
            "volume": venue.views.qty(qty),
            "quoteVolume": venue.views.quote(cost),
            "openTime": known[0].ts // 1_000_000 + venue.shift_ms,
            "closeTime": known[-1].ts // 1_000_000 + venue.shift_ms,
            "firstId": known[0].trade_id,
            "lastId": known[-1].trade_id,
            "count": len(known),
        }
    return view if named else [view]


def aggregate_event(venue: Venue, trade: Trade, event_ms: int) -> Json:
    """aggTrade ("Aggregate Trade Streams"), of a recorded trade."""
    return {
        "e": "aggTrade",
        "E": event_ms,
        "s": venue.instrument.symbol,
        "a": trade.trade_id,
        "p": venue.views.px(trade.px),
        "q": venue.views.qty(trade.qty),
        "nq": venue.views.qty(trade.qty),
        "f": trade.trade_id,
        "l": trade.trade_id,
        "T": trade.ts // 1_000_000 + venue.shift_ms,
        "m": trade.side < 0,
    }


def mark_event(venue: Venue, event_ms: int) -> Json:
    """markPriceUpdate ("Mark Price Stream"); see ``premium_index`` for where the price is from."""
    mark = venue.views.average(venue.exchange.mark_px)
    return {
        "e": "markPriceUpdate",
        "E": event_ms,
        "s": venue.instrument.symbol,
        "p": mark,
        "ap": mark,
        "i": mark,
        "P": mark,
        "r": "0.00000000",
        "T": (event_ms // FUNDING_MS + 1) * FUNDING_MS,
    }
