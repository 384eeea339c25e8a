"""What a journal's events say that a replay does not work out again, and reports that older journals left out."""

from __future__ import annotations

from typing import Final

import numpy as np

from oms.compiled import kernel
from oms.core.events import emit_position
from oms.core.losses import restore_scope
from oms.core.parents import is_child, note_child_id
from oms.core.redefine import restore_instrument
from oms.core.state import MAX_ACCOUNTS, MAX_INSTRUMENTS, MAX_SCOPES, MAX_STRATEGIES, Record
from oms.core.trading import restore_kill, restore_trading_state
from oms.records import CommandKind, EventKind, OrderFlag, ReportKind
from oms.replay_requests import note_order_id

REPORT_OF_EVENT: Final = np.zeros(256, np.int64)
"""By EventKind: the ReportKind that can be read off it."""
for _kind, _report in {
    EventKind.ORDER_ACCEPTED: ReportKind.ACCEPTED,
    EventKind.ORDER_REJECTED: ReportKind.REJECTED,
    EventKind.ORDER_FILLED: ReportKind.FILL,
    EventKind.ORDER_AMENDED: ReportKind.AMENDED,
    EventKind.AMEND_REJECTED: ReportKind.AMEND_REJECTED,
    EventKind.ORDER_CANCELLED: ReportKind.CANCELLED,
    EventKind.CANCEL_REJECTED: ReportKind.CANCEL_REJECTED,
    EventKind.ORDER_EXPIRED: ReportKind.EXPIRED,
}.items():
    REPORT_OF_EVENT[_kind] = _report

_NEW: Final = int(CommandKind.NEW)
_FILLED: Final = int(EventKind.ORDER_FILLED)
_REFUSED: Final = int(EventKind.ORDER_REFUSED)
_POSITION: Final = int(EventKind.POSITION)
_IGNORED: Final = int(EventKind.REPORT_IGNORED)
_TRADING_STATE: Final = int(EventKind.TRADING_STATE)
_STRATEGY_HALTED: Final = int(EventKind.STRATEGY_HALTED)
_SCOPE: Final = int(EventKind.SCOPE)
_KILLED: Final = int(EventKind.KILLED)
_INSTRUMENT: Final = int(EventKind.INSTRUMENT)
_SHORT_LEG: Final = int(OrderFlag.SHORT_LEG)


@kernel
def read_report_off(report: Record, event: Record) -> None:
    """The report that became this event; the event tells all that the core needs of it."""
    report["kind"] = REPORT_OF_EVENT[event["kind"]]
    report["order_id"] = event["order_id"]
    report["side"] = event["side"]
    report["instrument"] = event["instrument"]
    report["account"] = event["account"]
    report["reason"] = event["reason"]
    report["liquidity"] = event["liquidity"]
    report["fee_known"] = 1
    report["fee"] = event["fees"]
    report["trade_id"] = event["aux"]
    is_fill = event["kind"] == _FILLED
    report["px"] = event["last_px"] if is_fill else event["px"]
    report["qty"] = event["last_qty"] if is_fill else event["qty"]


@kernel
def scope_of(event: Record) -> int:
    """The scope that an event is about: its strategy's, or its account's; -1: none."""
    if 0 <= event["strategy"] < MAX_STRATEGIES:
        return MAX_ACCOUNTS + event["strategy"]
    return event["account"] if 0 <= event["account"] < MAX_ACCOUNTS else -1


@kernel
def take_fact(s: Record, event: Record) -> None:
    """What an event says that follows from no request and no report."""
    kind = event["kind"]
    scope = scope_of(event)
    if kind == _REFUSED:
        s["orders_refused"] += 1
        if event["aux"] == _NEW:
            note_order_id(s, event["strategy"], event["order_id"])
            if is_child(event):
                note_child_id(s, event["order_id"])
    elif kind == _IGNORED:
        s["reports_ignored"] += 1
    elif kind == _TRADING_STATE and scope >= 0:
        restore_trading_state(s, scope, event)
    elif kind == _STRATEGY_HALTED and 0 <= event["strategy"] < MAX_STRATEGIES:
        s["strategies"][event["strategy"]]["halted"] = 1
    elif kind == _SCOPE and 0 <= event["aux"] < MAX_SCOPES:
        restore_scope(s, event)
    elif kind == _KILLED and scope >= 0:
        restore_kill(s, event)
    elif kind == _INSTRUMENT and 0 <= event["instrument"] < MAX_INSTRUMENTS:
        restore_instrument(s, event)
    elif kind == _POSITION and event["aux"] == 0 and scope >= 0:
        leg = 1 if event["flags"] & _SHORT_LEG else 0
        emit_position(s, scope, event["instrument"], leg, 0)
