"""The account by request (OKX v5, "Trading Account", "Funding Account"); the titles below are of its sections."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from gateways.sandbox.okx.contract import Json, cash
from gateways.sandbox.okx.errors import ApiError, Error
from gateways.sandbox.okx.orders import page
from gateways.sandbox.okx.views import FIRST_BILL_ID, bill_id

if TYPE_CHECKING:
    from gateways.sandbox.okx.venue import Call, Venue

TRADE, FUNDING = "2", "8"
"""Types of bills ("Get bills details")."""

FUNDING_KIND: Final = "FUNDING_FEE"
"""How a payment of funding is booked in ``Account.incomes``."""

FIRST_FUNDING_ID: Final = FIRST_BILL_ID + 10**12
"""Bills of funding are numbered apart from those of trades."""

READ, WITHDRAW, TRADING = "read_only", "withdraw", "trade"
KEY_PERMISSIONS: Final = {READ: True, WITHDRAW: False, TRADING: True}
"""What a key may do at first."""


def config(venue: Venue, call: Call) -> list[Json]:
    """ "Get account configuration": net mode, and of the modes that which trades what there is."""
    return [
        {
            "acctLv": "1" if venue.contract.is_spot else "2",
            "acctStpMode": "cancel_maker",
            "autoLoan": False,
            "ctIsoMode": "automatic",
            "enableSpotBorrow": False,
            "greeksType": "PA",
            "ip": venue.bound_to,
            "kycLv": "3",
            "label": "sandbox",
            "level": "Lv1",
            "mainUid": str(call.owner.number + 1),
            "mgnIsoMode": "automatic",
            "opAuth": "0",
            "perm": ",".join(name for name, may in venue.permissions.items() if may),
            "posMode": "net_mode",
            "roleType": "0",
            "type": "0",
            "uid": str(call.owner.number + 1),
        }
    ]


def balance(venue: Venue, call: Call) -> list[Json]:
    """ "Get balance"."""
    return [venue.views.balance(call.owner)]


def positions(venue: Venue, call: Call) -> list[Json]:
    """ "Get positions": one that is flat is not listed."""
    return [venue.views.position(call.owner)] if call.only.is_of_type() and call.owner.qty else []


def set_position_mode(_venue: Venue, call: Call) -> list[Json]:
    """ "Set position mode": long and short side by side are not offered, and said so."""
    if call.only.text("posMode") != "net_mode":
        raise ApiError(Error.BAD_MODE)
    return [{"posMode": "net_mode"}]


def set_leverage(venue: Venue, call: Call) -> list[Json]:
    """ "Set leverage"."""
    _check_margin(venue)
    given = call.only
    inst_id = given.instrument()
    mode = given.choice("mgnMode", {"cross": "cross"})
    leverage = given.whole("lever")
    if not 1 <= leverage <= venue.exchange.ledger.max_leverage:
        raise ApiError(Error.BAD_LEVERAGE)
    call.owner.leverage = leverage
    return [{"instId": inst_id, "lever": str(leverage), "mgnMode": mode, "posSide": "net"}]


def leverage_info(venue: Venue, call: Call) -> list[Json]:
    """ "Get leverage"."""
    _check_margin(venue)
    mode = call.only.choice("mgnMode", {"cross": "cross"})
    inst_id = call.only.instrument()
    return [{"ccy": "", "instId": inst_id, "mgnMode": mode, "posSide": "net", "lever": str(call.owner.leverage)}]


def trade_fee(venue: Venue, call: Call) -> list[Json]:
    """ "Get fee rates": what is taken is negative."""
    maker, taker = (venue.instrument.maker_fee_rate, venue.instrument.taker_fee_rate)
    rates = {"maker": _negated(maker), "taker": _negated(taker), "makerU": _negated(maker), "takerU": _negated(taker)}
    return [{"instType": call.only.text("instType"), "level": "Lv1", "ts": str(venue.clock.now_ms), **rates}]


def bills(venue: Venue, call: Call) -> list[Json]:
    """ "Get bills details": a bill of each currency that a trade moves, and of each payment of funding, newest
    first."""
    given, account = call.only, call.owner
    rows = [
        {
            **_bill(TRADE, booking.amount, fill.ts_ms),
            "billId": str(bill_id(number, part)),
            "ccy": booking.currency,
            "fee": cash(-booking.fee),
            "pnl": cash(fill.realized_pnl),
            "ordId": str(fill.order.order_id),
            "tradeId": str(fill.trade_id),
            "sz": venue.contract.sz(fill.qty),
            "px": venue.contract.px(fill.px),
        }
        for number, fill in enumerate(account.fills)
        for part, booking in enumerate(venue.views.bookings(fill))
    ]
    rows += [
        {
            **_bill(FUNDING, income.amount, income.ts_ms),
            "billId": str(FIRST_FUNDING_ID + number),
            "ccy": venue.contract.currency,
            "subType": "174" if income.amount > 0 else "173",
            "pnl": cash(income.amount),
        }
        for number, income in enumerate(account.incomes)
        if income.kind == FUNDING_KIND
    ]
    common = {"instType": venue.contract.inst_type, "instId": venue.contract.inst_id}
    begin_ms, end_ms = given.whole("begin", 0), given.whole("end", 2**62)
    found = [
        common | row
        for row in rows
        if given.get("type", row["type"]) == row["type"] and begin_ms <= int(row["ts"]) <= end_ms
    ]
    return page(given, found if given.is_of_type() else [], "billId")


def currencies(venue: Venue, _call: Call) -> list[Json]:
    """ "Get currencies": ccxt asks for them before it loads markets."""
    return [
        {
            "canDep": True,
            "canInternal": True,
            "canWd": True,
            "ccy": currency,
            "chain": f"{currency}-Sandbox",
            "fee": "0",
            "maxFee": "0",
            "maxWd": "0",
            "minDep": "0",
            "minFee": "0",
            "minWd": "0",
            "name": currency,
            "wdTickSz": "8",
        }
        for currency in venue.contract.family.split("-")
    ]


def _check_margin(venue: Venue) -> None:
    """There is none in an account of spot mode."""
    if venue.contract.is_spot:
        raise ApiError(Error.BAD_MODE)


def _bill(kind: str, amount: int, ts_ms: int) -> Json:
    return {"type": kind, "subType": "", "balChg": cash(amount), "fee": "0", "ts": str(ts_ms), "mgnMode": "cross"}


def _negated(rate: str) -> str:
    return rate.removeprefix("-") if rate.startswith("-") else f"-{rate}"
