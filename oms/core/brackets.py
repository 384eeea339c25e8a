"""Orders that come together with those that hang on them: all of them can be taken, or none is.

A bracket's entry and its exits are one request. Before the entry may leave, its exits pass every check of an order that
is held, as if the entry and the exits before them were open already. When one of them does not, the whole bracket is
refused: that one for its own reason, the others as GROUP_REFUSED.
"""

from __future__ import annotations

from typing import Any, Final

from oms.compiled import copy_record, kernel
from oms.core.conditions import check_own_conditions
from oms.core.events import emit_refusal, open_budget
from oms.core.orders import find_order
from oms.core.rates import has_rate_tokens
from oms.core.requests import set_version
from oms.core.risk import check_held_terms
from oms.core.state import MAX_CHILDREN, Record
from oms.records import CommandKind, Contingency, Reason

_NEW: Final = int(CommandKind.NEW)
_OTO: Final = int(Contingency.OTO)
_NONE: Final = int(Reason.NONE)
_BAD_COMMAND: Final = int(Reason.BAD_COMMAND)
_BAD_PARENT: Final = int(Reason.BAD_PARENT)
_DUPLICATE_ORDER_ID: Final = int(Reason.DUPLICATE_ORDER_ID)
_ORDER_RATE: Final = int(Reason.ORDER_RATE)
_GROUP_REFUSED: Final = int(Reason.GROUP_REFUSED)


@kernel
def count_exits(commands: Any, at: int) -> int:
    """New orders right behind the command in row ``at`` that wait for its fills, at most as many as it may have."""
    entry = commands[at]
    if entry["kind"] != _NEW or entry["reason"] != 0:
        return 0
    last = min(at + MAX_CHILDREN, commands.shape[0] - 1)
    row = at + 1
    while row <= last:
        exit_order = commands[row]
        if exit_order["kind"] != _NEW or exit_order["contingency"] != _OTO:
            break
        if exit_order["parent_id"] != entry["order_id"]:
            break
        row += 1
    return row - at - 1


@kernel
def _take(s: Record, source: Record) -> None:
    """Put a command where it can be worked on."""
    command = s["command"]
    copy_record(command, source)
    command["strategy"] = max(source["strategy"], -1)
    command["value"] = 0


@kernel
def check_exit(s: Record, entry: Record, command: Record, ahead: int) -> int:
    """The first reason for which an exit could not be held once the ``ahead`` orders before it are open, or NONE."""
    if command["reason"] != 0:
        return int(command["reason"])
    if command["order_id"] <= 0:
        return _BAD_COMMAND
    if find_order(s, command["order_id"]) >= 0:
        return _DUPLICATE_ORDER_ID
    if entry["account"] != command["account"] or entry["instrument"] != command["instrument"]:
        return _BAD_PARENT
    if max(entry["strategy"], -1) != command["strategy"]:
        return _BAD_PARENT
    reason = set_version(s, command)
    if reason == _NONE:
        reason = check_own_conditions(s, command)
    if reason == _NONE:
        reason = check_held_terms(s, command, ahead)
    if reason != _NONE:
        return reason
    has_tokens = has_rate_tokens(s, command["account"], command["strategy"], command["instrument"], ahead + 1)
    return _NONE if has_tokens else _ORDER_RATE


@kernel
def _check_row(s: Record, commands: Any, at: int, row: int) -> int:
    _take(s, commands[row])
    return check_exit(s, commands[at], s["command"], row - at)


@kernel
def refuse_whole(s: Record, commands: Any, at: int, exits: int) -> bool:
    """Refuse the order in row ``at`` with the ``exits`` behind it when one of these could not be held; False: all can.

    Nothing is entered and no rate token is taken.
    """
    refused = False
    for row in range(at + 1, at + exits + 1):
        refused = refused or _check_row(s, commands, at, row) != _NONE
    if not refused:
        return False
    open_budget(s)
    for row in range(at, at + exits + 1):
        reason = _NONE
        if row > at:
            reason = _check_row(s, commands, at, row)
        else:
            _take(s, commands[row])
        emit_refusal(s, s["command"], 0, reason if reason != _NONE else _GROUP_REFUSED)
    return True
