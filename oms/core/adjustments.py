"""Adjustment entries: funding, settlement, balances, what was opened elsewhere and is adopted, and whether an exchange
takes orders.

They are reports like any other: journalled, applied once, each with its event. One that cannot be applied is ignored,
counted and said.
"""

from __future__ import annotations

from typing import Final

from oms.compiled import kernel
from oms.core.accounting import move_wallet, pay_funding, recount, set_balance
from oms.core.costs import add_lot, free_lots
from oms.core.entry import enter_order
from oms.core.events import emit_order, emit_terms, ignore_report, new_event
from oms.core.isolated import assign_margin, move_margin
from oms.core.orders import find_order, has_free_slot, stands_at_exchange
from oms.core.outbox import clear_rare
from oms.core.positions import average_fits, cost_at_average, cost_of, position_fits
from oms.core.settlement import contract_fits, settle
from oms.core.state import MAX_ACCOUNTS, MAX_INSTRUMENTS, MAX_PX, MAX_QTY, MAX_WALLETS, Record
from oms.core.trades import remember_trade
from oms.core.trading import check_leg
from oms.records import (
    BUY,
    CASH_SCALE,
    EventKind,
    OrderFlag,
    OrderState,
    OrderType,
    Reason,
    ReportKind,
    TimeInForce,
    Trigger,
)

_FUNDING: Final = int(ReportKind.FUNDING)
_POSITION: Final = int(ReportKind.POSITION)
_BALANCE: Final = int(ReportKind.BALANCE)
_SETTLEMENT: Final = int(ReportKind.SETTLEMENT)
_ADOPTED: Final = int(ReportKind.ADOPTED)
_FUNDING_EVENT: Final = int(EventKind.FUNDING)
_POSITION_ADOPTED: Final = int(EventKind.POSITION_ADOPTED)
_BALANCE_EVENT: Final = int(EventKind.BALANCE)
_SETTLED: Final = int(EventKind.SETTLED)
_ORDER_ADOPTED: Final = int(EventKind.ORDER_ADOPTED)
_ORDER_ENTRY: Final = int(ReportKind.ORDER_ENTRY)
_ORDER_ENTRY_EVENT: Final = int(EventKind.ORDER_ENTRY)
_SHORT_LEG: Final = int(OrderFlag.SHORT_LEG)
_LIVE: Final = int(OrderState.LIVE)
_LIMIT: Final = int(OrderType.LIMIT)
_GTC: Final = int(TimeInForce.GTC)
_TRAILING: Final = int(Trigger.TRAILING)
_MAX_CASH: Final = 2**61

_NONE: Final = int(Reason.NONE)
_UNKNOWN_ACCOUNT: Final = int(Reason.UNKNOWN_ACCOUNT)
_UNKNOWN_INSTRUMENT: Final = int(Reason.UNKNOWN_INSTRUMENT)
_UNKNOWN_STRATEGY: Final = int(Reason.UNKNOWN_STRATEGY)
_WRONG_VERSION: Final = int(Reason.WRONG_VERSION)
_BAD_LEG: Final = int(Reason.BAD_LEG)
_MALFORMED: Final = int(Reason.MALFORMED)
_OVERFLOW: Final = int(Reason.OVERFLOW)
_DUPLICATE_TRADE: Final = int(Reason.DUPLICATE_TRADE)
_DUPLICATE_ORDER_ID: Final = int(Reason.DUPLICATE_ORDER_ID)
_ORDER_TABLE_FULL: Final = int(Reason.ORDER_TABLE_FULL)


@kernel
def refusal_of_adjustment(s: Record, report: Record) -> int:
    """Why an adjustment entry cannot be applied, or NONE."""
    account = report["account"]
    if not 0 <= account < MAX_ACCOUNTS or s["accounts"][account]["defined"] == 0:
        return _UNKNOWN_ACCOUNT
    kind = report["kind"]
    if abs(report["fee"]) > _MAX_CASH:
        return _OVERFLOW
    if kind == _BALANCE:
        known = 0 <= report["value"] < MAX_WALLETS and s["wallets"][account, report["value"]]["defined"] != 0
        return _NONE if known else _UNKNOWN_ACCOUNT
    instrument = report["instrument"]
    if not 0 <= instrument < MAX_INSTRUMENTS or s["instruments"][instrument]["defined"] == 0:
        return _UNKNOWN_INSTRUMENT
    if kind == _ORDER_ENTRY:
        return _NONE
    definition = s["instruments"][instrument]
    if report["version"] != 0 and report["version"] != definition["version"]:
        return _WRONG_VERSION
    if check_leg(s, account, report["flags"]) != _NONE:
        return _BAD_LEG
    position = s["positions"][account, instrument, 1 if report["flags"] & _SHORT_LEG else 0]
    if kind == _FUNDING:
        return refusal_of_payment(s, account, instrument, report["trade_id"])
    if kind == _SETTLEMENT:
        return _NONE if contract_fits(definition, report["px"], abs(position["qty"])) else _OVERFLOW
    if not 0 <= report["px"] <= MAX_PX or abs(report["qty"]) > MAX_QTY:
        return _MALFORMED
    if kind == _POSITION:
        strategy = report["value"] - 1
        if strategy >= s["strategies_used"] or strategy < -1:
            return _UNKNOWN_STRATEGY
        if strategy >= 0 and s["strategies"][strategy]["account"] != account:
            return _UNKNOWN_STRATEGY
        return refusal_of_average(definition, report)
    return refusal_of_order(s, report) if kind == _ADOPTED else _MALFORMED


@kernel
def refusal_of_payment(s: Record, account: int, instrument: int, payment_id: int) -> int:
    """Why a payment of funding cannot be booked, or NONE: one that has an id (not 0) is booked once.

    It is remembered among the trades, under an owner that no trade has.
    """
    if payment_id == 0 or remember_trade(s, MAX_ACCOUNTS + account, instrument, BUY, payment_id):
        return _NONE
    return _DUPLICATE_TRADE


@kernel
def refusal_of_average(definition: Record, report: Record) -> int:
    """Why a position of this quantity and average price cannot be adopted, or NONE."""
    px = report["px"]
    px_fraction = report["px_fraction"]
    if report["qty"] == 0:
        return _NONE
    if px == 0 or not 0 <= px_fraction < CASH_SCALE:
        return _MALFORMED
    fits = position_fits(definition, 2 * px, abs(report["qty"])) and (px_fraction == 0 or average_fits(definition, px))
    return _NONE if fits else _OVERFLOW


@kernel
def refusal_of_order(s: Record, report: Record) -> int:
    """Why an order that was placed elsewhere cannot be adopted, or NONE."""
    if report["order_id"] <= 0 or not 0 < report["leaves_qty"] <= report["qty"]:
        return _MALFORMED
    stands = stands_at_exchange(report)
    if stands and (not 0 < report["trigger"] < _TRAILING or not 0 < report["value"] <= MAX_PX):
        return _MALFORMED
    is_kept = report["px"] > 0 and report["order_type"] == _LIMIT and report["time_in_force"] == _GTC
    if report["side"] * report["side"] != 1 or not (stands or is_kept):
        return _MALFORMED
    strategy = report["strategy"]
    if strategy >= s["strategies_used"]:
        return _UNKNOWN_STRATEGY
    if strategy >= 0 and s["strategies"][strategy]["account"] != report["account"]:
        return _UNKNOWN_STRATEGY
    if find_order(s, report["order_id"]) >= 0:
        return _DUPLICATE_ORDER_ID
    return _NONE if has_free_slot(s) else _ORDER_TABLE_FULL


@kernel
def adopt_order(s: Record, report: Record) -> None:
    """Enter an open order, or a stop at the exchange, that was placed elsewhere, as it stands."""
    command = s["own_command"]
    command["order_id"] = report["order_id"]
    command["request_id"] = 0
    command["source"] = 0
    command["side"] = report["side"]
    command["order_type"] = report["order_type"]
    command["time_in_force"] = report["time_in_force"]
    command["flags"] = report["flags"]
    command["instrument"] = report["instrument"]
    command["account"] = report["account"]
    command["strategy"] = report["strategy"]
    command["px"] = report["px"]
    command["qty"] = report["leaves_qty"]
    clear_rare(command)
    command["version"] = s["instruments"][report["instrument"]]["version"]
    command["value"] = 0
    if stands_at_exchange(report):
        command["trigger"] = report["trigger"]
        command["trigger_source"] = report["trigger_source"]
        command["trigger_px"] = report["value"]
        command["value"] = report["value"]
    slot = enter_order(s, command)
    order = s["orders"][slot]
    order["state"] = _LIVE
    order["qty"] = report["qty"]
    order["full_qty"] = report["qty"]
    order["filled_qty"] = report["qty"] - report["leaves_qty"]
    if stands_at_exchange(order):
        emit_terms(s, slot, _ORDER_ADOPTED, report["reason"])
    else:
        emit_order(s, slot, _ORDER_ADOPTED, report["reason"])


@kernel
def set_position(
    s: Record, position: Record, definition: Record, fifo: int, qty: int, px: int, px_fraction: int
) -> None:
    """Set a position to ``qty`` signed lots at an average of ``px`` ticks and ``px_fraction`` 1e-8 of one.

    What it has realized stays.
    """
    free_lots(s, position)
    side = 1 if qty > 0 else -1
    cost = 0
    if qty != 0 and px_fraction == 0:
        cost = cost_of(definition, px, abs(qty))
    elif qty != 0:
        cost = cost_at_average(definition, px, px_fraction, abs(qty))
    position["qty"] = qty
    position["open_cost"] = side * cost
    position["version"] = definition["version"]
    position["off_grid"] = 0
    if fifo != 0 and qty != 0:
        add_lot(s, position, abs(qty), position["open_cost"])


@kernel
def adopt_position(s: Record, report: Record, scope: int, leg: int) -> None:
    """Set an account's position, or the share of one of its strategies."""
    instrument = report["instrument"]
    fifo = s["accounts"][report["account"]]["fifo"]
    position = s["positions"][scope, instrument, leg]
    set_position(s, position, s["instruments"][instrument], fifo, report["qty"], report["px"], report["px_fraction"])
    if scope < MAX_ACCOUNTS:
        assign_margin(s, scope, instrument, leg)
    recount(s, scope, instrument, leg)


@kernel
def settle_position(s: Record, report: Record) -> None:
    """Settle an account's position, and its strategies' shares of it at the same price; the fee is the account's."""
    account = report["account"]
    instrument = report["instrument"]
    leg = 1 if report["flags"] & _SHORT_LEG else 0
    definition = s["instruments"][instrument]
    position = s["positions"][account, instrument, leg]
    qty_before = position["qty"]
    cash_before = position["cash"]
    moved = settle(s, position, definition, report["px"], report["fee"])
    if definition["option_kind"] != 0:
        moved = position["cash"] - cash_before  # it was paid when it was bought
    move_margin(s, account, instrument, leg, qty_before, 0)
    move_wallet(s, account, definition["settle_wallet"], moved - report["fee"])
    recount(s, account, instrument, leg)
    for number in range(s["strategies_used"]):
        share = s["positions"][MAX_ACCOUNTS + number, instrument, leg]
        if s["strategies"][number]["account"] != account or share["qty"] == 0:
            continue
        if contract_fits(definition, report["px"], abs(share["qty"])):
            settle(s, share, definition, report["px"], 0)
            recount(s, MAX_ACCOUNTS + number, instrument, leg)


@kernel
def adjust(s: Record, report: Record) -> None:
    """Apply one adjustment entry and report it."""
    reason = refusal_of_adjustment(s, report)
    if reason != _NONE:
        ignore_report(s, report, reason)
        return
    kind = report["kind"]
    account = report["account"]
    if kind == _ADOPTED:
        adopt_order(s, report)
        return
    if kind == _BALANCE:
        set_balance(s, account, report["value"], report["fee"])
        at = new_event(s, _BALANCE_EVENT, _NONE)
        s["events"][at]["account"] = account
        s["events"][at]["aux"] = report["value"]
        s["events"][at]["fees"] = report["fee"]
        return
    instrument = report["instrument"]
    if kind == _ORDER_ENTRY:
        s["entry_closed"][instrument] = report["reason"]
        s["events"][new_event(s, _ORDER_ENTRY_EVENT, report["reason"])]["instrument"] = instrument
        return
    leg = 1 if report["flags"] & _SHORT_LEG else 0
    definition = s["instruments"][instrument]
    scope = account
    if kind == _POSITION and report["value"] > 0:
        scope = MAX_ACCOUNTS + report["value"] - 1
    position = s["positions"][scope, instrument, leg]
    before = position["qty"]
    event_kind = _SETTLED
    if kind == _FUNDING:
        event_kind = _FUNDING_EVENT
        pay_funding(s, account, instrument, leg, report["fee"])
    elif kind == _POSITION:
        event_kind = _POSITION_ADOPTED
        adopt_position(s, report, scope, leg)
    else:
        settle_position(s, report)
    at = new_event(s, event_kind, _NONE)
    event = s["events"][at]
    event["account"] = account
    event["strategy"] = scope - MAX_ACCOUNTS if scope >= MAX_ACCOUNTS else -1
    event["instrument"] = instrument
    event["version"] = definition["version"]
    event["flags"] = report["flags"]
    event["position_qty"] = position["qty"]
    event["realized_pnl"] = position["realized_pnl"]
    event["fees"] = report["fee"]
    event["aux"] = report["trade_id"] if kind == _FUNDING else 0
    event["px"] = report["px"]
    event["filled_qty"] = report["px_fraction"] if kind == _POSITION else 0
    event["last_px"] = report["px"]
    event["last_qty"] = before
