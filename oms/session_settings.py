"""Settings of how a session runs: the stream that it replays, the exchange model, the journal."""

from __future__ import annotations

import math
from typing import Final, Literal

import msgspec

from oms.checks import ConfigError

MAX_JOURNAL_MB: Final = 4_096


class ReplaySettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The recorded stream that stands in for an exchange."""

    file: str
    speed: str = "1"
    """A factor of recorded time such as ``1`` or ``10``, or ``max``: as fast as everyone can take it."""
    duration_s: float = 0.0
    """Stop after this much recorded time; 0: the whole file."""
    loop: bool = False
    """Start again at the end, with time going on: for long runs."""

    def __post_init__(self) -> None:
        if self.speed != "max":
            try:
                factor = float(self.speed)
            except ValueError:
                factor = math.nan
            if not 0 < factor < math.inf:
                raise ConfigError(f"replay speed {self.speed!r} is not a factor above zero such as 1 or 10, nor 'max'")
        if not 0 <= self.duration_s < math.inf:
            raise ConfigError(f"replay duration_s {self.duration_s} must be zero (the whole file) or more seconds")


class MatchingSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The exchange model of paper mode and the backtest; see ``backtest/matching/``."""

    model: str = "displayed"
    queue: str = "risk_averse"
    queue_power: float = 3.0
    """The exponent n of the queue models ``power1`` to ``power3``."""
    entry_latency_us: int = 0
    response_latency_us: int = 0
    feed_latency_factor: float = 0.0
    """How much of the feed's latency at the time comes to both latencies."""
    latencies: str = ""
    """File of recorded order latencies, which are added to both; empty: none."""

    def __post_init__(self) -> None:
        for name, most in (("queue_power", 100), ("feed_latency_factor", 1_000)):
            if not 0 <= getattr(self, name) <= most:
                raise ConfigError(f"matching {name} {getattr(self, name)} must be 0 to {most}")
        for name in ("entry_latency_us", "response_latency_us"):
            if getattr(self, name) < 0:
                raise ConfigError(f"matching {name} {getattr(self, name)} is negative: it must be zero or more")


SYNC_OF_MODE: Final[dict[str, Literal["always", "batch", "os"]]] = {"paper": "os", "firm": "batch"}
"""What ``journal.sync`` is where it is not set: real orders are on disk before they leave."""


class JournalSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What the core's journal holds, and when it counts as written; see ``docs/journal.md``."""

    sync: Literal["", "always", "batch", "os"] = ""
    """When an entry is on disk: ``always`` before the core goes on, ``batch`` before anything of it leaves the core,
    ``os`` when the system sees fit. Empty: by mode, ``SYNC_OF_MODE``."""
    inputs: Literal["orders", "all"] = "orders"
    """``orders``: commands and reports; ``all``: ticks and timers too, so that the session can be replayed whole."""
    segment_mb: int = 64
    """Size from which on the next file is begun."""
    held_mb: int = 64
    """With ``batch``: how much may wait for the disk; then the core takes no more input until the disk is done."""
    snapshot_mb: int = 512
    """Journal after which the next snapshot is taken; there is one at the start and one at the end of a session too."""
    snapshots_kept: int = 2
    session_kept_mb: int = 0
    """Of the journal of the session that runs, what is kept although snapshots cover it; 0: all of it."""
    sessions_kept: int = 8
    """Sessions whose journal is kept although a snapshot covers it, for the recorder, rpc and ``zoms replay``."""

    def __post_init__(self) -> None:
        for name in ("snapshots_kept", "sessions_kept"):
            if getattr(self, name) < 2:
                raise ConfigError(f"journal {name} {getattr(self, name)} must be 2 or more: one may turn out damaged")
        if self.session_kept_mb < 0:
            raise ConfigError(f"journal session_kept_mb {self.session_kept_mb} must be MiB to keep, or 0: all")
        for name in ("segment_mb", "held_mb", "snapshot_mb"):
            value = getattr(self, name)
            if not 1 <= value <= MAX_JOURNAL_MB:
                raise ConfigError(f"journal {name} {value} must be 1 to {MAX_JOURNAL_MB} MiB")
