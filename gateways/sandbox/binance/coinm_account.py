"""The account of COIN-M by request (Binance, COIN-M Futures: "Account", "Trade"), where it differs from USD-M's.

The titles below are of its pages.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from gateways.sandbox.binance import account
from gateways.sandbox.binance.coinm_views import MAX_QTY
from gateways.sandbox.binance.errors import ApiError, Error
from gateways.sandbox.binance.views import Json

if TYPE_CHECKING:
    from gateways.sandbox.binance.coinm_venue import CoinmVenue
    from gateways.sandbox.binance.front import Call


def information(venue: CoinmVenue, call: Call) -> Json:
    """ "Account Information"."""
    return venue.views.whole_account(call.owner)


def position_risk(venue: CoinmVenue, call: Call) -> list[Json]:
    """ "Position Information": of all symbols, or of those of a margin asset or of a pair, flat ones too."""
    asked = {"marginAsset": venue.views.asset, "pair": venue.views.pair}
    if all(call.parameters.get(name, ours) == ours for name, ours in asked.items()):
        return [venue.views.position_risk(call.owner)]
    return []


def user_trades(venue: CoinmVenue, call: Call) -> list[Json]:
    """ "Account Trade List": of a symbol, or of a pair, which a trade's id does not go with."""
    given = call.parameters
    if "symbol" not in given and "pair" not in given:
        raise ApiError(Error.MISSING_EITHER, "symbol", "pair")
    if "pair" in given and ("symbol" in given or "fromId" in given):
        raise ApiError(Error.BAD_COMBINATION)
    if "fromId" in given and ("startTime" in given or "endTime" in given):
        raise ApiError(Error.BAD_COMBINATION)
    if "pair" in given:
        if given.text("pair") != venue.views.pair:
            raise ApiError(Error.BAD_PAIR)
        return [venue.views.trade(fill) for fill in call.owner.fills[-given.limit(50, 1000) :]]
    return account.user_trades(venue, call)


def income(venue: CoinmVenue, call: Call) -> list[Json]:
    """ "Get Income History": a transaction's id is text."""
    return [row | {"tranId": str(row["tranId"])} for row in account.income(venue, call)]


def leverage_brackets(venue: CoinmVenue, call: Call) -> list[Json]:
    """ "Notional Bracket for Symbol": the margin tiers, which are in the base currency."""
    (found,) = account.leverage_brackets(venue, call)
    names = {"notionalCap": "qtyCap", "notionalFloor": "qtyFloor"}
    brackets = [{names.get(name, name): value for name, value in row.items()} for row in found["brackets"]]
    return [{"symbol": found["symbol"], "brackets": brackets}]


def set_leverage(venue: CoinmVenue, call: Call) -> Json:
    """ "Change Initial Leverage"."""
    found = account.set_leverage(venue, call)
    return {"leverage": found["leverage"], "maxQty": MAX_QTY, "symbol": found["symbol"]}
