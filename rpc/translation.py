"""Translation: what a client asks in text becomes a COMMAND in integers, exactly, or is refused here.

A command names the version of the instrument's definition that its prices and quantities were resolved with.
"""

from __future__ import annotations

import re
import time
from typing import Final

from oms.config import ConfigError, Settings
from oms.decimals import GridError, is_plain
from oms.definitions import Definitions
from oms.instruments import Instrument
from oms.record_fields import CommandFields
from oms.records import CommandKind, Contingency, OrderFlag, OrderType, Reason, TrailUnit, Trigger, TriggerSource
from oms.traded import traded_instrument
from rpc.messages import RpcCode
from rpc.order_forms import FORMS, TIMES_IN_FORCE, OrderForm
from rpc.refusals import RefusalError
from rpc.requests import AmendOrder, OrderTerms

SIDES: Final = {"buy": 1, "sell": -1}
TRIGGER_SOURCES: Final = {source.name.lower(): int(source) for source in TriggerSource}
CONTINGENCIES: Final = {contingency.name.lower(): int(contingency) for contingency in Contingency}
POST_ONLY: Final = int(OrderFlag.POST_ONLY)
REDUCE_ONLY: Final = int(OrderFlag.REDUCE_ONLY)
SHORT_LEG: Final = int(OrderFlag.SHORT_LEG)
AT_EXCHANGE: Final = int(OrderFlag.AT_EXCHANGE)
MAX_TRAIL: Final = 2**31 - 1
MAX_TRAIL_BASIS_POINTS: Final = 9_999

MOST_DIGITS: Final = 20
MOST_DECIMALS: Final = 18
_WHOLE: Final = re.compile(r"[0-9]{1,10}")


def named_instrument(settings: Settings, definitions: Definitions, symbol: str) -> Instrument:
    """The instrument called ``symbol``, as it is in force; raises ``RefusalError`` when there is none."""
    try:
        instrument = traded_instrument(settings, symbol)
    except ConfigError as error:
        raise RefusalError(Reason.UNKNOWN_INSTRUMENT, str(error)) from None
    return definitions.in_force(instrument.id) or instrument


def named_account(settings: Settings, name: str | None) -> int:
    """The number of an account, of the session's own for None; raises ``RefusalError`` when there is none."""
    try:
        return settings.account_number(name or "")
    except ConfigError as error:
        raise RefusalError(Reason.UNKNOWN_ACCOUNT, str(error)) from None


def named_strategy(settings: Settings, name: str | None) -> int:
    """The number of the strategy called ``name``, -1 for None; raises ``RefusalError`` unless there is exactly one."""
    if name is None:
        return -1
    titles = [strategy.title for strategy in settings.strategies]
    if titles.count(name) == 1:
        return titles.index(name)
    problem = "runs twice: give each a name of its own in the settings" if name in titles else "does not run"
    raise RefusalError(
        Reason.UNKNOWN_STRATEGY, f"strategy {name!r} {problem}; the strategies are {', '.join(titles) or 'none'}"
    )


def refuse_expired(expires_ts: int) -> None:
    """Refuse a request that its client has given up waiting for: it must not have effect later."""
    late_ns = time.time_ns() - expires_ts
    if expires_ts and late_ns > 0:
        raise RefusalError(
            RpcCode.REQUEST_EXPIRED,
            f"the request came {late_ns / 1e9:.3f} s after its expires_ts {expires_ts}; it had no effect: send again",
        )


def price_ticks(instrument: Instrument, text: str, what: str = "price", reason: Reason = Reason.BAD_PRICE) -> int:
    """A price, or a distance, above zero in ticks; raises ``RefusalError``."""
    _refuse_unless_decimal(what, text, reason)
    try:
        ticks = instrument.px_to_ticks(text, what)
    except GridError as error:
        refused = reason if error.reason == Reason.BAD_PRICE else error.reason
        raise RefusalError(refused, f"{error}: round it to the grid") from None
    if ticks <= 0:
        raise RefusalError(reason, f"{what} {text} of {instrument.symbol} must be above zero")
    return ticks


def qty_lots(instrument: Instrument, text: str, what: str = "quantity", reason: Reason = Reason.QTY_BELOW_MIN) -> int:
    """A quantity above zero in lots; raises ``RefusalError``."""
    _refuse_unless_decimal(what, text, reason)
    try:
        lots = instrument.qty_to_lots(text, what)
    except GridError as error:
        refused = reason if error.reason == Reason.QTY_BELOW_MIN else error.reason
        raise RefusalError(refused, f"{error}: round it to the grid") from None
    if lots <= 0:
        raise RefusalError(reason, f"{what} {text} of {instrument.symbol} must be above zero")
    return lots


def _refuse_unless_decimal(what: str, text: str, reason: Reason) -> None:
    if not is_plain(text, MOST_DIGITS, MOST_DECIMALS):
        raise RefusalError(
            reason, f"{what} {text!r} is not plain decimal text: write it like 61800.1, without sign or exponent"
        )


def new_order_command(
    settings: Settings, instrument: Instrument, terms: OrderTerms, parent_id: int = 0
) -> CommandFields:
    """The COMMAND that places an order, still without an order id; raises ``RefusalError``.

    Parameters
    ----------
    instrument : Instrument
        The definition to count prices and quantities in.
    parent_id : int
        The order id of its parent, where it has one.
    """
    form = FORMS[terms.order_type]
    time_in_force = terms.time_in_force or form.default_time_in_force
    trail, trail_unit = _trail(instrument, form, terms)
    account = named_account(settings, terms.account)
    return CommandFields(
        kind=CommandKind.NEW,
        side=SIDES[terms.side],
        order_type=form.order_type,
        time_in_force=TIMES_IN_FORCE[time_in_force],
        flags=_flags(settings, account, terms),
        instrument=instrument.id,
        version=instrument.version,
        account=account,
        px=_price(instrument, form, terms),
        qty=qty_lots(instrument, terms.qty),
        trigger=form.trigger,
        trigger_source=_trigger_source(form, terms),
        trigger_px=_trigger_price(instrument, form, terms),
        trail=trail,
        trail_unit=trail_unit,
        display_qty=_display_qty(instrument, terms.display_qty),
        expire_ts=_good_till(time_in_force, terms.good_till_ts),
        contingency=CONTINGENCIES[terms.contingency] if terms.contingency else 0,
        parent_id=parent_id,
    )


def _price(instrument: Instrument, form: OrderForm, terms: OrderTerms) -> int:
    if form.has_price and terms.price is not None:
        return price_ticks(instrument, terms.price)
    name = terms.order_type.replace("_", "-")
    if form.has_price:
        raise RefusalError(
            Reason.BAD_PRICE, f"a {name} order for {terms.symbol} needs a price: give one, or say market"
        )
    if terms.price is not None:
        raise RefusalError(
            Reason.BAD_PRICE, f"a {name} order takes no price, and {terms.price} is given: leave it out or say limit"
        )
    return 0


def _trigger_price(instrument: Instrument, form: OrderForm, terms: OrderTerms) -> int:
    if terms.trigger_price is not None:
        if not form.waits:
            raise RefusalError(
                Reason.BAD_TRIGGER,
                f"a {terms.order_type} order waits for nothing, and trigger_price {terms.trigger_price} is given: leave"
                " it out, or say which stop or take-profit it is",
            )
        return price_ticks(instrument, terms.trigger_price, "trigger price", Reason.BAD_TRIGGER)
    if form.waits and not form.trails:
        raise RefusalError(Reason.BAD_TRIGGER, f"a {terms.order_type} order for {terms.symbol} needs a trigger_price")
    return 0


def _trigger_source(form: OrderForm, terms: OrderTerms) -> int:
    if terms.trigger_by is not None and not form.waits:
        raise RefusalError(
            Reason.BAD_TRIGGER, f"a {terms.order_type} order has no trigger, and trigger_by {terms.trigger_by} is given"
        )
    return TRIGGER_SOURCES[terms.trigger_by or "last"] if form.waits else 0


def _trail(instrument: Instrument, form: OrderForm, terms: OrderTerms) -> tuple[int, int]:
    """The distance of a trailing trigger and its unit."""
    if not form.trails:
        if terms.trail_by is not None or terms.trail_unit is not None:
            raise RefusalError(
                Reason.BAD_TRIGGER, f"a {terms.order_type} order does not trail: leave trail_by and trail_unit out"
            )
        return 0, 0
    if terms.trail_by is None:
        raise RefusalError(Reason.BAD_TRIGGER, f"a {terms.order_type} order for {terms.symbol} needs trail_by")
    return trail_of(instrument, terms.trail_by, terms.trail_unit or "price")


def trail_of(instrument: Instrument, text: str, unit: str) -> tuple[int, int]:
    """A trailing distance as the core counts it, and the TrailUnit of ``unit``; raises ``RefusalError``."""
    if unit == "price":
        trail, most = price_ticks(instrument, text, "trail_by", Reason.BAD_TRIGGER), MAX_TRAIL
    elif not _WHOLE.fullmatch(text):
        raise RefusalError(Reason.BAD_TRIGGER, f"trail_by {text!r} is not a whole number of {unit}")
    else:
        trail, most = int(text), MAX_TRAIL_BASIS_POINTS if unit == "basis_points" else MAX_TRAIL
    if not 1 <= trail <= most:
        raise RefusalError(Reason.BAD_TRIGGER, f"trail_by {text} {unit} is not between 1 and {most}")
    return trail, int(TrailUnit[unit.upper()])


def _display_qty(instrument: Instrument, text: str | None) -> int:
    return 0 if text is None else qty_lots(instrument, text, "display_qty", Reason.BAD_DISPLAY_QTY)


def _good_till(time_in_force: str, good_till_ts: int) -> int:
    if (time_in_force == "gtd") != bool(good_till_ts):
        raise RefusalError(
            Reason.BAD_EXPIRY,
            f"time in force {time_in_force} with good_till_ts {good_till_ts}: an order that is gtd, and no other, needs"
            " good_till_ts, ns since the epoch",
        )
    return good_till_ts


def _flags(settings: Settings, account: int, terms: OrderTerms) -> int:
    name = settings.account_names[account]
    hedging = settings.accounts[name].position_mode == "hedging"
    if hedging != (terms.position_side is not None):
        remedy = "say position_side long or short" if hedging else "leave position_side out"
        mode = settings.accounts[name].position_mode
        raise RefusalError(Reason.BAD_LEG, f"account {name} is in {mode} mode: {remedy}")
    form = FORMS[terms.order_type]
    if terms.at_exchange and (not form.waits or form.trails):
        raise RefusalError(
            Reason.BAD_TRIGGER,
            f"a {terms.order_type} order cannot stand at the exchange: only a stop or a take-profit with a fixed"
            " trigger can, so leave at_exchange out",
        )
    return (
        POST_ONLY * terms.post_only
        | REDUCE_ONLY * terms.reduce_only
        | SHORT_LEG * (terms.position_side == "short")
        | AT_EXCHANGE * terms.at_exchange
    )


def amend_command(instrument: Instrument, request: AmendOrder, order: CommandFields) -> CommandFields:
    """The COMMAND that amends ``order``, the command that placed it; raises ``RefusalError``."""
    changes = (request.price, request.qty, request.trigger_price, request.trail_by)
    if all(change is None for change in changes):
        raise RefusalError(
            Reason.BAD_COMMAND, f"the amend of order {order.order_id} changes nothing: give a price, a qty or both"
        )
    refuse_new_limit(order, request.price)
    return CommandFields(
        kind=CommandKind.AMEND,
        account=order.account,
        instrument=instrument.id,
        version=instrument.version,
        px=0 if request.price is None else price_ticks(instrument, request.price),
        qty=0 if request.qty is None else qty_lots(instrument, request.qty),
        trigger_px=(
            0
            if request.trigger_price is None
            else price_ticks(instrument, request.trigger_price, "trigger price", Reason.BAD_TRIGGER)
        ),
        trail=_amended_trail(instrument, request, order),
    )


def refuse_new_limit(order: CommandFields, price: str | None) -> None:
    """Refuse a limit price for an order that an algorithm works without one."""
    if price is not None and order.trigger == Trigger.ALGORITHM and order.order_type == OrderType.MARKET:
        raise RefusalError(
            Reason.BAD_PRICE,
            f"order {order.order_id} was started without a limit price and gets none, and {price} is given: cancel it,"
            " and start another for what is left",
        )


def _amended_trail(instrument: Instrument, request: AmendOrder, order: CommandFields) -> int:
    """The new distance; given in the unit that the order has, or in price for ticks and the other way round."""
    if request.trail_by is None:
        return 0
    own = TrailUnit(order.trail_unit).name.lower() if order.trail_unit else "price"
    trail, unit = trail_of(instrument, request.trail_by, request.trail_unit or own)
    basis_points = order.trail_unit == TrailUnit.BASIS_POINTS
    if not order.trail_unit or (unit == TrailUnit.BASIS_POINTS) != basis_points:
        trails = (
            "basis_points" if basis_points else "price or ticks" if order.trail_unit else "nothing: it does not trail"
        )
        raise RefusalError(Reason.BAD_TRIGGER, f"order {order.order_id} trails by {trails}: amend it in the same unit")
    return trail
