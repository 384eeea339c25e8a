"""Users' risk rules: compiled functions, called by address for every order and amend that has passed all else.

A rule refuses by ``strategies.rules.refuse``. One that raises refuses too, and the strategy that asked is halted once
its callback has returned; everybody else trades on.
"""

from __future__ import annotations

from typing import Final

from oms.compiled import call_address, kernel, state_of
from oms.core.state import Record
from oms.core.trading import scope_of_strategy, wake_review
from oms.core.valuation import revalue
from oms.records import CommandKind, Reason

_AMEND: Final = int(CommandKind.AMEND)
_NONE: Final = int(Reason.NONE)
_RULE_REFUSED: Final = int(Reason.RULE_REFUSED)
_RULE_FAILED: Final = int(Reason.RULE_FAILED)


@kernel
def check_rules(s: Record, command: Record) -> int:
    """Ask every rule, in the order of the settings; the first that refuses decides."""
    if s["rules_used"] > 0:
        revalue(s, command["account"])
    for number in range(s["rules_used"]):
        rule = s["rules"][number]
        s["verdict"] = _NONE
        status = call_address(rule["address"], state_of(s), number, command)
        if status != 0:
            rule["failures"] += 1
            scope = scope_of_strategy(command["strategy"])
            if scope >= 0:
                s["scopes"][scope]["rule_failed"] = 1
                wake_review(s, s["now"])
            return _RULE_FAILED
        if s["verdict"] != _NONE:
            rule["refusals"] += 1
            return _RULE_REFUSED
    return _NONE


@kernel
def check_rules_of_amend(s: Record, order: Record, px: int, qty: int) -> int:
    """Show the rules the order as it would be: kind AMEND, its new price and total quantity."""
    if s["rules_used"] == 0:
        return _NONE
    command = s["rule_command"]
    command["kind"] = _AMEND
    command["order_id"] = order["order_id"]
    command["side"] = order["side"]
    command["order_type"] = order["order_type"]
    command["time_in_force"] = order["time_in_force"]
    command["flags"] = order["flags"]
    command["instrument"] = order["instrument"]
    command["version"] = order["version"]
    command["account"] = order["account"]
    command["strategy"] = order["strategy"]
    command["px"] = px
    command["qty"] = qty
    command["trigger_px"] = order["trigger_px"]
    command["display_qty"] = order["display_qty"]
    command["expire_ts"] = order["expire_ts"]
    command["parent_id"] = order["parent_id"]
    return check_rules(s, command)
