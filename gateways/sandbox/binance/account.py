"""The account by request (Binance, USDⓈ-M Futures: "Account"); the titles below are of its pages."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from gateways.sandbox.accounts import Fill
from gateways.sandbox.binance.errors import ApiError, Error
from gateways.sandbox.binance.limits import ORDERS
from gateways.sandbox.binance.views import ACCOUNT_SETTINGS, MAX_NOTIONAL, Json, cash
from oms.decimals import cash_text
from oms.records import CASH_SCALE

if TYPE_CHECKING:
    from gateways.sandbox.binance.front import Call
    from gateways.sandbox.binance.venue import Venue

DONE: Json = {"code": 200, "msg": "success"}

KEY_PERMISSIONS: Final = {
    "ipRestrict": True,
    "enableReading": True,
    "enableWithdrawals": False,
    "enableInternalTransfer": False,
    "enableMargin": False,
    "enableFutures": True,
    "permitsUniversalTransfer": False,
    "enableVanillaOptions": False,
    "enableSpotAndMarginTrading": False,
    "enablePortfolioMarginTrading": False,
}
"""What a key may do at first: trade futures, from addresses that it is bound to, and nothing else."""


def account_v3(venue: Venue, call: Call) -> Json:
    """ "Account Information V3"."""
    return venue.views.account(call.owner, version=3)


def account_v2(venue: Venue, call: Call) -> Json:
    """ "Account Information V2"."""
    return venue.views.account(call.owner, version=2)


def balance(venue: Venue, call: Call) -> list[Json]:
    """ "Futures Account Balance V3", and the same in version 2."""
    return [venue.views.balance(call.owner)]


def position_risk_v3(venue: Venue, call: Call) -> list[Json]:
    """ "Position Information V3": only symbols with a position or an open order."""
    call.parameters.symbol(optional=True)
    account = call.owner
    return [venue.views.position_risk(account)] if account.qty or account.open_orders else []


def position_risk_v2(venue: Venue, call: Call) -> list[Json]:
    """ "Position Information V2"."""
    call.parameters.symbol(optional=True)
    return [venue.views.position_risk_v2(call.owner)]


def fills_asked(call: Call) -> list[Fill]:
    """The fills that a list of trades is to show: from a trade id on, or the latest."""
    given = call.parameters
    given.symbol()
    first, order_id = given.whole("fromId", 0), given.whole("orderId", 0)
    start_ms, end_ms = given.whole("startTime", 0), given.whole("endTime", 10**15)
    found = [
        fill
        for fill in call.owner.fills
        if fill.trade_id >= first and order_id in (0, fill.order.order_id) and start_ms <= fill.ts_ms <= end_ms
    ]
    limit = given.limit(500, 1000)
    from_oldest = "fromId" in given or "startTime" in given
    return found[:limit] if from_oldest else found[-limit:]


def user_trades(venue: Venue, call: Call) -> list[Json]:
    """ "Account Trade List"."""
    return [venue.views.trade(fill) for fill in fills_asked(call)]


def income(venue: Venue, call: Call) -> list[Json]:
    """ "Get Income History"."""
    given = call.parameters
    given.symbol(optional=True)
    kind = given.get("incomeType")
    start_ms, end_ms = given.whole("startTime", 0), given.whole("endTime", 10**15)
    found = [
        (number, each)
        for number, each in enumerate(call.owner.incomes, start=1)
        if kind in ("", each.kind) and start_ms <= each.ts_ms <= end_ms
    ]
    return [
        {
            "symbol": venue.instrument.symbol,
            "incomeType": each.kind,
            "income": cash(each.amount),
            "asset": venue.views.asset,
            "info": str(each.trade_id or each.kind),
            "time": each.ts_ms,
            "tranId": number,
            "tradeId": str(each.trade_id or ""),
        }
        for number, each in found[-given.limit(100, 1000) :]
    ]


def leverage_brackets(venue: Venue, call: Call) -> list[Json]:
    """ "Notional and Leverage Brackets": the instrument's margin tiers."""
    call.parameters.symbol(optional=True)
    tiers = venue.exchange.ledger.tiers
    floors = [int(tier["floor_value"]) for tier in tiers]
    caps = [*floors[1:], int(MAX_NOTIONAL) // CASH_SCALE * CASH_SCALE]
    brackets = [
        {
            "bracket": number,
            "initialLeverage": CASH_SCALE // int(tier["initial_rate"]),
            "notionalCap": cap // CASH_SCALE,
            "notionalFloor": floor // CASH_SCALE,
            "maintMarginRatio": float(cash_text(int(tier["maintenance_rate"]))),
            "cum": float(cash_text(int(tier["maintenance_deduction"]))),
        }
        for number, (tier, floor, cap) in enumerate(zip(tiers, floors, caps, strict=True), start=1)
    ]
    return [{"symbol": venue.instrument.symbol, "notionalCoef": 1.0, "brackets": brackets}]


def commission_rate(venue: Venue, call: Call) -> Json:
    """ "User Commission Rate"."""
    symbol = call.parameters.symbol()
    return {
        "symbol": symbol,
        "makerCommissionRate": venue.instrument.maker_fee_rate,
        "takerCommissionRate": venue.instrument.taker_fee_rate,
    }


def set_leverage(venue: Venue, call: Call) -> Json:
    """ "Change Initial Leverage"."""
    symbol = call.parameters.symbol()
    leverage = call.parameters.whole("leverage")
    if not 1 <= leverage <= venue.exchange.ledger.max_leverage:
        raise ApiError(Error.BAD_LEVERAGE, leverage)
    call.owner.leverage = leverage
    return {"leverage": leverage, "maxNotionalValue": MAX_NOTIONAL, "symbol": symbol}


def symbol_config(venue: Venue, call: Call) -> list[Json]:
    """ "Symbol Configuration"."""
    call.parameters.symbol(optional=True)
    return [
        {
            "symbol": venue.instrument.symbol,
            "marginType": "CROSSED",
            "isAutoAddMargin": False,
            "leverage": call.owner.leverage,
            "maxNotionalValue": MAX_NOTIONAL,
        }
    ]


def account_config(_venue: Venue, _call: Call) -> Json:
    """ "Account Config"."""
    return ACCOUNT_SETTINGS


def position_mode(_venue: Venue, _call: Call) -> Json:
    """ "Get Current Position Mode"."""
    return {"dualSidePosition": False}


def set_position_mode(_venue: Venue, call: Call) -> Json:
    """ "Change Position Mode": hedge mode is not offered, and said so."""
    raise ApiError(Error.NOT_SUPPORTED if call.parameters.flag("dualSidePosition") else Error.SAME_POSITION_MODE)


def multi_assets(_venue: Venue, _call: Call) -> Json:
    """ "Get Current Multi-Assets Mode"."""
    return {"multiAssetsMargin": False}


def set_multi_assets(_venue: Venue, call: Call) -> Json:
    """ "Change Multi-Assets Mode": not offered, and said so."""
    raise ApiError(Error.NOT_SUPPORTED if call.parameters.flag("multiAssetsMargin") else Error.SAME_ASSET_MODE)


def set_margin_type(_venue: Venue, call: Call) -> Json:
    """ "Change Margin Type": isolated margin is not offered, and said so."""
    wanted: dict[str, Any] = {"CROSSED": Error.SAME_MARGIN_TYPE, "ISOLATED": Error.NOT_SUPPORTED}
    raise ApiError(call.parameters.choice("marginType", wanted, Error.BAD_PARAMETER))


def order_limits(_venue: Venue, _call: Call) -> list[dict[str, str | int]]:
    """ "Query User Rate Limit"."""
    return [limit.described for limit in ORDERS]


def new_listen_key(venue: Venue, call: Call) -> Json:
    """ "Start User Data Stream": the account's key while it has one, valid for another 60 minutes."""
    return {"listenKey": venue.listen_keys.start(call.owner)}


def keep_listen_key(venue: Venue, call: Call) -> Json:
    """ "Keepalive User Data Stream"."""
    return {"listenKey": venue.listen_keys.keep(call.owner)}


def close_listen_key(venue: Venue, call: Call) -> Json:
    """ "Close User Data Stream"."""
    venue.listen_keys.close(call.owner)
    return {}


def key_permissions(venue: Venue, call: Call) -> Json:
    """ "Get API Key Permission" (Binance, Wallet)."""
    _ = call
    return {"createTime": 1_700_000_000_000, **venue.permissions}
