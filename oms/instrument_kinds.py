"""The kinds of instruments, and what each needs, may have and is settled in: tables that settings are checked by."""

from __future__ import annotations

from enum import IntEnum
from typing import Final


class InstrumentKind(IntEnum):
    """What is traded. Linear: settled in the quote currency; inverse: in the base; quanto: in a third one."""

    SPOT = 1
    LINEAR_PERPETUAL = 2
    INVERSE_PERPETUAL = 3
    QUANTO_PERPETUAL = 4
    LINEAR_FUTURE = 5
    INVERSE_FUTURE = 6
    OPTION = 7


KINDS: Final = tuple(kind.name.lower() for kind in InstrumentKind)
INVERSE_KINDS: Final = frozenset({"inverse_perpetual", "inverse_future"})
EXPIRING_KINDS: Final = frozenset({"linear_future", "inverse_future", "option"})
MARGINED_KINDS: Final = frozenset(KINDS) - {"spot", "option"}
"""Kinds with leverage and margin tiers."""

REQUIRED: Final = {
    "spot": ("base", "quote"),
    "linear_perpetual": (),
    "inverse_perpetual": ("base", "quote"),
    "quanto_perpetual": ("base", "quote", "settlement"),
    "linear_future": ("base", "quote", "expiry"),
    "inverse_future": ("base", "quote", "expiry"),
    "option": ("base", "quote", "expiry", "strike", "option_kind", "underlying"),
}
"""What a kind cannot be traded without, beside tick and lot."""

ONLY_FOR: Final = {
    "expiry": EXPIRING_KINDS,
    "strike": frozenset({"option"}),
    "option_kind": frozenset({"option"}),
    "underlying": frozenset(KINDS) - {"spot"},
    "margin_tiers": MARGINED_KINDS,
    "option_margin": frozenset({"option"}),
}
"""What makes no sense for other kinds, and is refused there."""

SETTLED_IN: Final = {
    "spot": ("quote",),
    "linear_perpetual": ("quote",),
    "inverse_perpetual": ("base",),
    "quanto_perpetual": (),
    "linear_future": ("quote",),
    "inverse_future": ("base",),
    "option": ("quote", "base"),
}
"""The settlement currencies that a kind may have, the first where none is given; quanto: any but base and quote."""

EXAMPLES: Final = {
    "base": '"BTC"',
    "quote": '"USD"',
    "settlement": '"USDT"',
    "expiry": '"2026-12-25T08:00:00Z"',
    "strike": '"60000"',
    "option_kind": '"call"',
    "underlying": '"BTCUSD.venue"',
}
OPTION_KINDS: Final = {"call": 1, "put": -1}
DEFAULT_SETTLEMENT: Final = "USDT"
"""Of a linear perpetual whose settings name neither its quote nor its settlement currency."""
