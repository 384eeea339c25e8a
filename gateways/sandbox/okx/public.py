"""Market data by request, and what streams say besides books and trades (OKX v5, "Market Data", "Public Data")."""

from __future__ import annotations

from fractions import Fraction
from typing import TYPE_CHECKING, Final

from gateways.sandbox.okx.contract import Json, decimal_text
from gateways.sandbox.okx.errors import ApiError, Error
from gateways.sandbox.okx.parameters import PRICE_LIMIT

if TYPE_CHECKING:
    from gateways.sandbox.okx.venue import Call, Venue

FUNDING_MS: Final = 8 * 3600 * 1000
MOST_LEVELS: Final = 400


def server_time(venue: Venue, _call: Call) -> list[Json]:
    """ "Get system time"."""
    return [{"ts": str(venue.clock.now_ms)}]


def instruments(venue: Venue, call: Call) -> list[Json]:
    """ "Get instruments": of a kind that the sandbox does not trade there are none."""
    call.only.text("instType")
    return [venue.contract.row] if call.only.is_of_type() else []


def books(venue: Venue, call: Call) -> list[Json]:
    """ "Get order book"."""
    call.only.instrument()
    book = venue.books.snapshot(venue.shift_ms, most=call.only.whole("sz", 1, MOST_LEVELS))
    return [{name: book[name] for name in ("asks", "bids", "ts", "seqId")}]


def ticker(venue: Venue, call: Call) -> list[Json]:
    """ "Get ticker"."""
    call.only.instrument()
    return [ticker_row(venue)]


def tickers(venue: Venue, call: Call) -> list[Json]:
    """ "Get tickers"."""
    return [ticker_row(venue)] if call.only.is_of_type() else []


def trades(venue: Venue, call: Call) -> list[Json]:
    """ "Get trades": newest first."""
    call.only.instrument()
    contract = venue.contract
    return [
        {
            "instId": contract.inst_id,
            "tradeId": str(trade.trade_id),
            "px": contract.px(trade.px),
            "sz": contract.sz(trade.qty),
            "side": "buy" if trade.side > 0 else "sell",
            "ts": str(trade.ts // 1_000_000 + venue.shift_ms),
        }
        for trade in list(venue.market.trades)[: -call.only.limit() - 1 : -1]
    ]


def mark_price(venue: Venue, call: Call) -> list[Json]:
    """ "Get mark price"."""
    return [mark_row(venue, venue.clock.now_ms)] if call.only.is_of_type() else []


def price_limit(venue: Venue, call: Call) -> list[Json]:
    """ "Get limit price"."""
    inst_id = call.only.instrument()
    most, least = (int(venue.exchange.mark_px * (1 + sign * PRICE_LIMIT)) for sign in (1, -1))
    return [
        {
            "instType": venue.contract.inst_type,
            "instId": inst_id,
            "buyLmt": venue.contract.px(most),
            "sellLmt": venue.contract.px(least),
            "ts": str(venue.clock.now_ms),
            "enabled": True,
        }
    ]


def funding_rate(venue: Venue, call: Call) -> list[Json]:
    """ "Get funding rate"."""
    call.only.instrument()
    if venue.contract.is_spot:
        raise ApiError(Error.BAD_INSTRUMENT)
    return [funding_row(venue, venue.clock.now_ms)]


def position_tiers(venue: Venue, _call: Call) -> list[Json]:
    """ "Get position tiers": one, of the contract's largest leverage."""
    if venue.contract.is_spot:
        raise ApiError(Error.BAD_PARAMETER, "instType")
    leverage = venue.exchange.ledger.max_leverage
    return [
        {
            "uly": venue.contract.family,
            "instFamily": venue.contract.family,
            "instId": "",
            "tier": "1",
            "minSz": "0",
            "maxSz": "100000000",
            "mmr": decimal_text(_share(leverage) / 2),
            "imr": decimal_text(_share(leverage)),
            "maxLever": str(leverage),
            "optMgnFactor": "0",
            "quoteMaxLoan": "",
            "baseMaxLoan": "",
        }
    ]


def status(_venue: Venue, _call: Call) -> list[Json]:
    """ "Status": no maintenance is planned."""
    return []


def ticker_row(venue: Venue, ts_ms: int | None = None) -> Json:
    """ "WS / Tickers channel"; what a day has brought is not known, and 0."""
    contract, exchange, quote = venue.contract, venue.exchange, venue.market.quote
    return {
        "instType": contract.inst_type,
        "instId": contract.inst_id,
        "last": contract.px(exchange.last_px),
        "lastSz": contract.sz(venue.market.trades[-1].qty) if venue.market.trades else "0",
        "askPx": contract.px(quote.ask_px) if quote else "",
        "askSz": contract.sz(quote.ask_qty) if quote else "",
        "bidPx": contract.px(quote.bid_px) if quote else "",
        "bidSz": contract.sz(quote.bid_qty) if quote else "",
        "open24h": contract.px(exchange.last_px),
        "high24h": contract.px(exchange.last_px),
        "low24h": contract.px(exchange.last_px),
        "sodUtc0": contract.px(exchange.last_px),
        "sodUtc8": contract.px(exchange.last_px),
        "volCcy24h": "0",
        "vol24h": "0",
        "ts": str(venue.clock.now_ms if ts_ms is None else ts_ms),
    }


def mark_row(venue: Venue, ts_ms: int) -> Json:
    """ "WS / Mark price channel": the middle of the best prices."""
    return {
        "instType": venue.contract.inst_type,
        "instId": venue.contract.inst_id,
        "markPx": venue.contract.average(venue.exchange.mark_px),
        "ts": str(ts_ms),
    }


def funding_row(venue: Venue, ts_ms: int) -> Json:
    """ "WS / Funding rate channel": 0, due every eight hours."""
    due_ms = (ts_ms // FUNDING_MS + 1) * FUNDING_MS
    return {
        "formulaType": "withRate",
        "fundingRate": "0",
        "fundingTime": str(due_ms),
        "impactValue": "",
        "instId": venue.contract.inst_id,
        "instType": venue.contract.inst_type,
        "interestRate": "0.0001",
        "maxFundingRate": "0.00375",
        "method": "current_period",
        "minFundingRate": "-0.00375",
        "nextFundingRate": "",
        "nextFundingTime": str(due_ms + FUNDING_MS),
        "premium": "0",
        "settFundingRate": "0",
        "settState": "settled",
        "ts": str(ts_ms),
    }


def _share(leverage: int) -> Fraction:
    return Fraction(1, leverage)
