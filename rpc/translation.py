"""Translation: what a client asks in text becomes a COMMAND in integers, exactly, or is refused here."""

from __future__ import annotations

import re
import time
from typing import Final

from oms.config import ConfigError, Settings
from oms.decimals import GridError
from oms.instruments import Instrument
from oms.records import CommandKind, OrderFlag, OrderType, Reason, TimeInForce
from rpc.core_link import Command, new_command
from rpc.messages import AmendOrder, PlaceOrder, RpcCode
from rpc.refusals import RefusalError

ACCOUNT: Final = 0
"""The only account so far."""

SIDES: Final = {"buy": 1, "sell": -1}
ORDER_TYPES: Final = {order_type.name.lower(): int(order_type) for order_type in OrderType}
TIMES_IN_FORCE: Final = {time_in_force.name.lower(): int(time_in_force) for time_in_force in TimeInForce}
DEFAULT_TIME_IN_FORCE: Final = {"limit": "gtc", "market": "ioc"}
POST_ONLY: Final = int(OrderFlag.POST_ONLY)
REDUCE_ONLY: Final = int(OrderFlag.REDUCE_ONLY)

_DECIMAL: Final = re.compile(r"[0-9]{1,20}(\.[0-9]{1,18})?")


def named_instrument(settings: Settings, symbol: str) -> Instrument:
    """The instrument called ``symbol``; raises ``RefusalError`` when there is none."""
    try:
        return settings.instrument(symbol)
    except ConfigError as error:
        raise RefusalError(Reason.UNKNOWN_INSTRUMENT, str(error)) from None


def refuse_expired(expires_ts: int) -> None:
    """Refuse a request that its client has given up waiting for: it must not have effect later."""
    late_ns = time.time_ns() - expires_ts
    if expires_ts and late_ns > 0:
        raise RefusalError(
            RpcCode.REQUEST_EXPIRED,
            f"the request came {late_ns / 1e9:.3f} s after its expires_ts {expires_ts}; it had no effect: send again",
        )


def price_ticks(instrument: Instrument, text: str) -> int:
    """A price above zero in ticks; raises ``RefusalError``."""
    _refuse_unless_decimal("price", text, Reason.BAD_PRICE)
    try:
        ticks = instrument.px_to_ticks(text)
    except GridError as error:
        raise RefusalError(error.reason, f"{error}: round it to the grid") from None
    if ticks <= 0:
        raise RefusalError(Reason.BAD_PRICE, f"price {text} of {instrument.symbol} must be above zero")
    return ticks


def qty_lots(instrument: Instrument, text: str) -> int:
    """A quantity above zero in lots; raises ``RefusalError``."""
    _refuse_unless_decimal("quantity", text, Reason.QTY_BELOW_MIN)
    try:
        lots = instrument.qty_to_lots(text)
    except GridError as error:
        raise RefusalError(error.reason, f"{error}: round it to the grid") from None
    if lots <= 0:
        raise RefusalError(Reason.QTY_BELOW_MIN, f"quantity {text} of {instrument.symbol} must be above zero")
    return lots


def _refuse_unless_decimal(what: str, text: str, reason: Reason) -> None:
    if not _DECIMAL.fullmatch(text):
        raise RefusalError(
            reason, f"{what} {text!r} is not plain decimal text: write it like 61800.1, without sign or exponent"
        )


def new_order_command(settings: Settings, request: PlaceOrder) -> Command:
    """The COMMAND that places an order, still without an order id; raises ``RefusalError``."""
    instrument = named_instrument(settings, request.symbol)
    is_market = request.order_type == "market"
    if is_market and request.price is not None:
        raise RefusalError(
            Reason.BAD_PRICE, f"a market order takes no price, and {request.price} is given: leave it out or say limit"
        )
    if not is_market and request.price is None:
        raise RefusalError(
            Reason.BAD_PRICE, f"a limit order for {request.symbol} needs a price: give one, or say market"
        )
    time_in_force = request.time_in_force or DEFAULT_TIME_IN_FORCE[request.order_type]
    return new_command(
        CommandKind.NEW,
        side=SIDES[request.side],
        order_type=ORDER_TYPES[request.order_type],
        time_in_force=TIMES_IN_FORCE[time_in_force],
        flags=POST_ONLY * request.post_only | REDUCE_ONLY * request.reduce_only,
        instrument=instrument.id,
        account=ACCOUNT,
        px=0 if request.price is None else price_ticks(instrument, request.price),
        qty=qty_lots(instrument, request.qty),
    )


def amend_command(instrument: Instrument, request: AmendOrder, order_id: int) -> Command:
    """The COMMAND that amends an order; raises ``RefusalError``."""
    if request.price is None and request.qty is None:
        raise RefusalError(
            Reason.BAD_COMMAND, f"the amend of order {order_id} changes nothing: give a price, a qty or both"
        )
    return new_command(
        CommandKind.AMEND,
        order_id=order_id,
        instrument=instrument.id,
        account=ACCOUNT,
        px=0 if request.price is None else price_ticks(instrument, request.price),
        qty=0 if request.qty is None else qty_lots(instrument, request.qty),
    )
