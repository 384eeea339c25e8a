"""The API of users' risk rules.

A rule is one Python file that defines ``check_order(st, number, command)`` in the Numba subset. It is called for every
new order and amend that has passed all other checks, held ones when they leave, and refuses with ``refuse(st)``::

    from strategies.rules import function, position_of, refuse

    def check_order(st, number, command):
        if command["qty"] > 100 and position_of(st, command["account"], command["instrument"]) == 0:
            refuse(st)

``command`` is a COMMAND record and must not be written to; ``number`` is the rule's number in the settings. A rule that
raises refuses the order too, and halts the strategy that asked for it.
"""

from __future__ import annotations

from typing import Final

from oms.compiled import user_kernel
from oms.core.book import mid_half_ticks
from oms.core.state import ASK, BID, State
from oms.records import BUY, SELL, CommandKind, OrderFlag, OrderType, Reason

__all__ = [
    "AMEND",
    "BUY",
    "LIMIT",
    "MARKET",
    "NEW",
    "POST_ONLY",
    "REDUCE_ONLY",
    "SELL",
    "best_ask_of",
    "best_bid_of",
    "function",
    "mid_half_ticks_of",
    "now_of",
    "open_orders_of",
    "pnl_of",
    "position_of",
    "refuse",
]

function = user_kernel

NEW: Final = int(CommandKind.NEW)
AMEND: Final = int(CommandKind.AMEND)
LIMIT: Final = int(OrderType.LIMIT)
MARKET: Final = int(OrderType.MARKET)
POST_ONLY: Final = int(OrderFlag.POST_ONLY)
REDUCE_ONLY: Final = int(OrderFlag.REDUCE_ONLY)
_REFUSED: Final = int(Reason.RULE_REFUSED)


@function
def refuse(st: State) -> None:
    """Refuse the order in hand with RULE_REFUSED."""
    st[0]["verdict"] = _REFUSED


@function
def now_of(st: State) -> int:
    """Time of the record in hand, ns."""
    return st[0]["now"]


@function
def position_of(st: State, account: int, instrument: int) -> int:
    """Signed lots that an account holds, of both legs together."""
    legs = st[0]["positions"][account, instrument]
    return legs[0]["qty"] + legs[1]["qty"]


@function
def open_orders_of(st: State, account: int) -> int:
    """Open orders of an account, in flight and held ones included."""
    return st[0]["scopes"][account]["open_orders"]


@function
def pnl_of(st: State, account: int) -> int:
    """PnL of an account in cash of the reporting currency, as it was valued last."""
    return st[0]["scopes"][account]["pnl"]


@function
def best_bid_of(st: State, instrument: int) -> int:
    """Best bid in ticks, or ``NO_BID``."""
    return st[0]["books"][instrument]["best"][BID]


@function
def best_ask_of(st: State, instrument: int) -> int:
    """Best ask in ticks, or ``NO_ASK``."""
    return st[0]["books"][instrument]["best"][ASK]


@function
def mid_half_ticks_of(st: State, instrument: int) -> int:
    """Twice the mid price in ticks; 0 when there is no price at all."""
    return mid_half_ticks(st[0]["books"][instrument])
