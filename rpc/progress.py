"""How far algorithms have worked orders: PROGRESS events as the entity that clients read."""

from __future__ import annotations

from decimal import ROUND_HALF_EVEN, Decimal
from typing import Final

from oms.record_fields import EventFields
from oms.records import CASH_SCALE, OrderState, OrderType, ParentState
from rpc.entities import UNKNOWN, Progress
from rpc.views import NOTHING, REASONS, SIDES, STATES, Views, names_of

PARENT_STATES: Final = names_of(ParentState)
BASIS_POINTS: Final = 10_000
SLIPPAGE_STEP: Final = Decimal("0.01")
"""Slippage is told in steps of this, in basis points."""


def slippage_bps(side: int, price: int, benchmark: int) -> str | None:
    """How much worse ``price`` is than a benchmark, in basis points of that; None where either is 0.

    Parameters
    ----------
    side : int
        +1 of a purchase, for which a higher price is worse; -1 of a sale.
    price, benchmark : int
        In one unit, 1e-8 ticks.
    """
    if not price or not benchmark:
        return None
    bps = Decimal(side * (price - benchmark) * BASIS_POINTS) / benchmark
    return format(bps.quantize(SLIPPAGE_STEP, ROUND_HALF_EVEN), "f")


def progress_of(views: Views, order: EventFields, told: EventFields | None) -> Progress:
    """How far an algorithm has worked an order.

    Parameters
    ----------
    order : EventFields
        The order's last event.
    told : EventFields or None
        Its last PROGRESS event; None: the core has not told any.

    Raises
    ------
    LookupError
        When the instrument's definition is not known.
    """
    instrument = views.instrument(order.instrument, order.version)
    tick = Decimal(instrument.tick)
    told = told or NOTHING
    average, arrival, market = told.last_px, told.realized_pnl, told.fees
    is_open = order.state == OrderState.HELD

    def price_text(px: int) -> str | None:
        return format((Decimal(px) * tick / CASH_SCALE).normalize(), "f") if px else None

    terms = views.terms_book.of(order.order_id)
    states, state = (PARENT_STATES, told.liquidity) if is_open else (STATES, order.state)
    return Progress(
        order_id=order.order_id,
        client=views.owner(order.order_id),
        client_order_id=views.client_order_id(order.order_id),
        algorithm=views.terms_book.name_of(order.order_id) or UNKNOWN,
        parameters=views.terms_book.parameters_of(order.order_id),
        symbol=views.symbol(order.instrument),
        venues=tuple(views.symbol(route) for route in terms.routes if route >= 0) if terms is not None else (),
        side=SIDES[order.side],
        account=views.account(order.account),
        price=None if order.order_type == OrderType.MARKET else instrument.px_from_ticks(order.px),
        state=states.get(state, UNKNOWN),
        reason="NONE" if is_open else REASONS.get(order.reason, str(order.reason)),
        qty=instrument.qty_from_lots(order.qty),
        filled_qty=instrument.qty_from_lots(order.filled_qty),
        left_qty=instrument.qty_from_lots(max(order.qty - order.filled_qty, 0)),
        open_qty=instrument.qty_from_lots(told.last_qty if is_open else 0),
        due_qty=instrument.qty_from_lots(told.aux),
        average_price=price_text(average),
        arrival_price=price_text(arrival),
        market_vwap=price_text(market),
        arrival_slippage_bps=slippage_bps(order.side, average, arrival),
        vwap_slippage_bps=slippage_bps(order.side, average, market),
        started_ts=told.position_qty,
        ts=order.ts,
    )
