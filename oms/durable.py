"""What of the core's state outlives a process: which tables a snapshot holds, and what of them a new session takes on.

Everything in ``STATE`` is kept but what is listed here, so that a new table is kept without a word.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final, NamedTuple

import numpy as np
import numpy.typing as npt

from oms.core.state import NEVER, STATE, State

Values = npt.NDArray[Any]

NS_PER_MS: Final = 1_000_000
ORDER_COUNTER_EPOCH_NS: Final = 1_735_689_600 * 1_000 * NS_PER_MS
"""2025-01-01 UTC. A session's order counters start at the ms since then at least, so that no id comes back."""

SCRATCH: Final = frozenset(
    {
        "tick_stage",
        "bar_stage",
        "reviewed_updates",
        "reviewed_events",
        "quiet_until",
        "quiet_instrument",
        "quiet_low",
        "quiet_high",
        "scopes_untold",
        "incoming_definition",
        "next_strategy",
        "next_position",
        "cause_ts",
        "feed_quiet",
        "asked_from",
        "on_ask",
        "on_value",
        "answered",
        "verdict",
        "event_count",
        "command_count",
        "report_count",
        "change",
        "report",
        "own_report",
        "command",
        "own_command",
        "rule_command",
        "aside",
        "aside_margin",
        "touched",
        "touched_count",
        "events",
        "commands",
        "reports",
        "wishes",
        "parent_before",
        "split",
        "told_parents",
        "parent_count",
        "next_told_parent",
        "algorithms",
        "algorithms_used",
        "external",
    }
)
"""Fields of the record in hand, outputs, and the loaded algorithms: their ids stand beside this process's addresses, so
both are always those of the settings."""

PARTS_KEPT: Final[dict[str, tuple[str, ...]]] = {"books": (), "model": ("trade_counter",)}
"""Tables of the market of which only these columns are kept."""

DEFINED: Final = {
    "instruments": None,
    "currencies": None,
    "rules": None,
    "rules_used": None,
    "reporting_currency": None,
    "instruments_used": None,
    "wallets_used": None,
    "strategies_used": None,
    "next_review": None,
    "accounts": None,
    "limits": (
        "defined",
        "max_order_qty",
        "max_order_notional",
        "collar_rate",
        "max_position",
        "max_open_orders",
        "order_interval_ns",
        "max_book_age_ns",
        "duplicate_window_ns",
        "self_trade_allowed",
    ),
    "scopes": (
        "defined",
        "max_gross",
        "max_net",
        "max_leverage",
        "max_open_orders",
        "max_daily_loss",
        "max_drawdown",
        "order_interval_ns",
        "cancel_interval_ns",
        "equity_start",
    ),
    "wallets": ("defined", "currency"),
    "strategies": (
        "defined",
        "account",
        "instrument",
        "on_tick",
        "on_fill",
        "on_end",
        "on_timer",
        "on_bar",
        "timer_interval_ns",
        "timer_due",
        "parameters",
    ),
}
"""What the settings say (addresses of functions too): a new session has it from its own settings. None: all columns."""

OF_SESSION: Final = (
    "ticks",
    "ticks_refused",
    "orders_sent",
    "orders_refused",
    "fills",
    "reports_ignored",
    "illegal_transitions",
    "event_seq",
    "events_lost",
    "command_seq",
    "market_updates",
    "entry_closed",
)
"""Counters of one session, and what is known of the exchanges in it."""

STRATEGY_OF_SESSION: Final = ("halted", "orders", "refused", "logs_dropped", "memory")
"""A strategy begins each session anew: what it remembers is about a market and orders that are gone."""

UNSEEN: Final = {
    "now": None,
    "next_due": None,
    "next_review": None,
    "ticks": None,
    "ticks_refused": None,
    "orders_refused": None,
    "market_updates": None,
    "valuations": None,
    "recent": None,
    "rules": None,
    "currencies": None,
    "next_expiry": None,
    "order_lists": ("wake_above", "wake_below", "due"),
    "limits": ("rate_ts",),
    "scopes": (
        "rate_ts",
        "cancel_ts",
        "cancels_over_rate",
        "gross",
        "net",
        "net_high",
        "net_low",
        "pnl",
        "unpriced",
        "unpriced_reason",
        "valued_at",
        "first_active",
        "equity_start",
        "rule_failed",
    ),
    "wallets": ("margin", "unrealized"),
    "positions": ("mark", "value", "unrealized_pnl", "initial_margin", "maintenance_margin"),
    "strategies": ("timer_due", "order_counter", "refused", "logs_dropped", "memory"),
    "accounts": ("reset_number",),
    "terms": None,
    "terms_count": None,
    "parents": (
        "due_qty",
        "market_qty",
        "market_value",
        "take_ts",
        "request_id",
        "refusals",
        "end_state",
        "end_reason",
    ),
    "parent_wakes": None,
    "parent_lists": None,
    "parent_due": None,
    "next_parent": None,
    "woken": None,
    "woken_count": None,
    "model": ("trade_counter",),
}
"""What moves with the market or with refused requests, of which ``journal.inputs = "orders"`` keeps no record."""


class Column(NamedTuple):
    """A top-level field of ``STATE``, or one column of it (``part``; empty: all)."""

    table: str
    part: str

    @property
    def name(self) -> str:
        return f"{self.table}.{self.part}" if self.part else self.table

    def of(self, st: State) -> Values:
        """Its values in a state: a view."""
        values: Values = st[0][self.table] if STATE[self.table].shape else st[self.table]
        return values[self.part] if self.part else values


def kept_columns(*, whole: bool) -> Iterator[Column]:
    """What a snapshot holds, in order; ``whole``: the market and the exchange model too."""
    assert STATE.names is not None
    for table in STATE.names:
        if table in PARTS_KEPT and not whole:
            yield from (Column(table, part) for part in PARTS_KEPT[table] if part in _parts(table))
        elif table not in SCRATCH:
            yield Column(table, "")


def _parts(table: str) -> tuple[str, ...]:
    return STATE[table].base.names or ()


def restored_parts(column: Column) -> tuple[str, ...] | None:
    """Of a kept column, the sub-columns that a new session takes on; None: all of it, empty: none."""
    defined = DEFINED.get(column.table, ())
    if column.part or not defined:
        return () if defined is None else None
    return tuple(part for part in _parts(column.table) if part not in defined)


def differences(st: State, other: State, *, every_input: bool) -> Iterator[tuple[str, int, int, int]]:
    """Durable values that two states do not share: name, flat number of the first one, and both values there.

    Parameters
    ----------
    every_input : bool
        Whether both saw every input, ticks included; otherwise what is ``UNSEEN`` is left out.
    """
    for column in kept_columns(whole=every_input):
        ours, theirs = column.of(st), column.of(other)
        if ours.tobytes() == theirs.tobytes():
            continue  # most are the same, and one look costs less than one a part
        parts: tuple[str, ...] = ours.dtype.names or ("",)
        unseen = () if every_input else UNSEEN.get(column.table, ())
        for part in parts:
            if unseen is None or (part or column.part) in unseen or _is_address(column.table, part):
                continue
            yield from _first_difference(
                column.name + (f".{part}" if part else ""), *((ours[part], theirs[part]) if part else (ours, theirs))
            )


def _is_address(table: str, part: str) -> bool:
    return part.startswith("on_") or part == "address"


def _first_difference(name: str, ours: Values, theirs: Values) -> Iterator[tuple[str, int, int, int]]:
    if ours.dtype.names:
        for part in ours.dtype.names:
            if not _is_address(name, part):
                yield from _first_difference(f"{name}.{part}", ours[part], theirs[part])
        return
    a, b = np.ravel(ours), np.ravel(theirs)
    different = (
        np.flatnonzero(a.view(f"V{a.itemsize}") != b.view(f"V{b.itemsize}"))
        if a.dtype.kind == "f"
        else (np.flatnonzero(a != b))
    )
    if len(different):
        at = int(different[0])
        yield name, at, int(a[at]), int(b[at])


def begin_session(st: State, session: int) -> None:
    """Make the state that a session left the one that the next begins with.

    Counters begin at zero, strategies begin anew with ids that were never used, rate buckets are full again; the market
    and what is counted by it are unknown until the first ticks.

    Parameters
    ----------
    session : int
        When the new session starts, ns.
    """
    s = st[0]
    for name in OF_SESSION:
        s[name] = 0
    strategies = s["strategies"]
    for name in STRATEGY_OF_SESSION:
        strategies[name] = 0
    floor = (session - ORDER_COUNTER_EPOCH_NS) // NS_PER_MS
    strategies["order_counter"] = np.maximum(strategies["order_counter"], floor)
    strategies["timer_due"] = NEVER
    s["next_due"] = NEVER
    wake_parents(st)
    s["limits"]["rate_ts"] = 0
    s["scopes"]["rate_ts"] = 0
    s["scopes"]["cancel_ts"] = 0
    s["scopes"]["valued_at"] = -1  # of no market: all is valued anew
    s["scopes"]["told"] = 0
    s["recent"][:] = 0


def wake_parents(st: State) -> None:
    """Have every parent order looked at with the first tick, by the algorithms that this session has."""
    s = st[0]
    wakes = s["parent_wakes"]
    known = {int(row["id"]): at for at, row in enumerate(s["algorithms"][: s["algorithms_used"]])}
    s["parent_due"] = NEVER
    s["next_parent"] = NEVER
    s["terms_count"] = 0
    s["woken_count"] = 0
    wakes["woken"] = 0
    for row in np.flatnonzero(wakes["slot"]).tolist():
        wakes[row]["algorithm"] = known.get(int(s["parents"][row]["algorithm"]), -1)
        wakes[row]["wake_ts"] = 0
        wakes[row]["seen_qty"] = 0
        wakes[row]["seen_value"] = 0.0
        s["parent_due"][s["orders"][wakes[row]["slot"] - 1]["instrument"]] = 0
        s["next_parent"] = 0
