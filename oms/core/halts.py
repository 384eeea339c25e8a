"""Halting a strategy: it is called no more, its orders are cancelled, everything else runs on."""

from __future__ import annotations

from typing import Final

from oms.compiled import kernel
from oms.core.events import new_event
from oms.core.mass_cancel import cancel_open
from oms.core.state import MAX_ACCOUNTS, Record
from oms.records import STRATEGY_CLIENT_BASE, EventKind, Reason

_STRATEGY_HALTED: Final = int(EventKind.STRATEGY_HALTED)
_RULE_FAILED: Final = int(Reason.RULE_FAILED)


@kernel
def halt_strategy(s: Record, number: int, reason: int, status: int) -> None:
    """Stop calling a strategy, cancel its orders and report it."""
    strategy = s["strategies"][number]
    strategy["halted"] = 1
    at = new_event(s, _STRATEGY_HALTED, reason)
    event = s["events"][at]
    event["strategy"] = number
    event["instrument"] = strategy["instrument"]
    event["account"] = strategy["account"]
    event["aux"] = status
    cancel_open(s, strategy["account"], -1, number, True, reason, 0, number + STRATEGY_CLIENT_BASE)


@kernel
def halt_failed(s: Record, number: int) -> None:
    """Halt a strategy on one of whose orders a user's rule has raised."""
    sums = s["scopes"][MAX_ACCOUNTS + number]
    if sums["rule_failed"] == 0:
        return
    sums["rule_failed"] = 0
    if s["strategies"][number]["halted"] == 0:
        halt_strategy(s, number, _RULE_FAILED, 0)
