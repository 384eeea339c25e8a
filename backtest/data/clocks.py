"""The two orders of a stream: that of receipt, and that in which the exchange acted."""

from __future__ import annotations

from pathlib import Path
from typing import Final, NamedTuple, Protocol

import numpy as np
import numpy.typing as npt

from oms.records import TICK, TickFlag, TickKind

Ticks = npt.NDArray[np.void]
Integers = npt.NDArray[np.int64]

MAX_TS: Final = 2**63 - 1

MAX_FEED_LATENCY_NS: Final = 60_000_000_000
"""The furthest that a record's receipt may be from its exchange time, in either direction, with ``--clock dual``."""


MAX_WAITING_RECORDS: Final = 4_194_304
"""Records that may wait for the other order to come as far."""


class DataError(ValueError):
    """Market data that cannot be used; the message names the file and the remedy."""


class HasPath(Protocol):
    """What reads a file, or several of them one after another."""

    @property
    def path(self) -> Path:
        """The file that is read at the moment."""


class Block(NamedTuple):
    """A stretch of a stream.

    Blocks of ``--clock dual`` hold what was received before ``until``, and what happened at the exchange before it.
    """

    local: Ticks
    """TICK records in the order of receipt, whole messages."""
    exchange: Ticks | None
    """The same stream in the order of exchange time; None with ``--clock local``."""
    until: int
    """ns: later blocks hold nothing before it, in either order."""


def exchange_order(ticks: Ticks) -> Ticks:
    """Records in the order in which the exchange acted, as a copy whose ``exch_ts`` never goes back.

    The order of receipt stays among records of one time, so messages stay whole. A snapshot stands ahead of the first
    update that is newer by its id, and has that one's time when its own is later: venues give snapshots no time, or
    that of the answer.

    Parameters
    ----------
    ticks : array of TICK
        Whole messages in the order of receipt.
    """
    times = ticks["exch_ts"].copy()
    for instrument in np.unique(ticks["instrument"]):
        own = ticks["instrument"] == instrument
        times[own] = _exchange_times(ticks[own])
    return _by_times(ticks, times)


def _by_times(ticks: Ticks, times: Integers) -> Ticks:
    ordered = ticks.copy()
    ordered["exch_ts"] = times
    return ordered[np.argsort(times, kind="stable")]


def _exchange_times(ticks: Ticks) -> Integers:
    """When each record acts at the exchange."""
    times: Integers = ticks["exch_ts"].copy()
    first = (ticks["flags"] & TickFlag.FIRST) != 0
    snapshots = np.flatnonzero((ticks["kind"] == TickKind.SNAPSHOT) & first & (ticks["update_id"] > 0))
    updates = np.flatnonzero((ticks["kind"] == TickKind.DEPTH) & first) if len(snapshots) else snapshots
    update_ids = ticks["update_id"][updates]
    for begin in snapshots:
        at = int(np.searchsorted(updates, begin))
        newer = update_ids[at:] > ticks["update_id"][begin]
        if newer.any():
            end = begin + int(np.argmax((ticks["flags"][begin:] & TickFlag.LAST) != 0)) + 1
            next_ts = times[updates[at + int(np.argmax(newer))]]
            times[begin:end] = np.minimum(times[begin:end], next_ts)
    return times


class Pairing:
    """Cuts both orders of a stream at the same times.

    Where the exchange's order is not given it is made from the order of receipt: then what is received within
    ``MAX_FEED_LATENCY_NS`` waits, because a record that happened earlier may still come.

    Parameters
    ----------
    source : HasPath
        Names the file in an error.
    given : bool
        Whether the exchange's order is given.
    """

    def __init__(self, source: HasPath, *, given: bool) -> None:
        self._source = source
        self._given = given
        self._local: Ticks = np.zeros(0, TICK)
        self._exchange: Ticks = np.zeros(0, TICK)

    def take(self, local: Ticks, exchange: Ticks) -> Block | None:
        """Take the next records of both orders, and give what is certain by now; None when that is nothing.

        Parameters
        ----------
        local, exchange : array of TICK
            ``exchange`` is ignored where the exchange's order is not given.

        Raises
        ------
        DataError
            When receipt and exchange time of a record are further apart than ``MAX_FEED_LATENCY_NS``.
        """
        self._add(local, exchange)
        if not len(self._local) or not len(self._exchange):
            return None
        until = int(self._local["local_ts"][-1])
        if self._given:
            until = min(until, int(self._exchange["exch_ts"][-1]))
        else:
            until -= MAX_FEED_LATENCY_NS
        if until <= min(int(self._local["local_ts"][0]), int(self._exchange["exch_ts"].min())):
            return None
        return self._cut(until)

    def rest(self, local: Ticks, exchange: Ticks) -> Block:
        """The end of the stream: these last records and all that waits; raises as ``take`` does."""
        self._add(local, exchange)
        return self._cut(MAX_TS)

    def _add(self, local: Ticks, exchange: Ticks) -> None:
        exchange = exchange if self._given else local
        for ticks in (local, exchange):
            latency = np.abs(ticks["local_ts"] - ticks["exch_ts"])
            if len(latency) and latency.max() > MAX_FEED_LATENCY_NS:
                at = int(np.argmax(latency > MAX_FEED_LATENCY_NS))
                raise DataError(
                    f"{self._source.path}: a record received at {ticks['local_ts'][at]} has exchange "
                    f"time {ticks['exch_ts'][at]}, over {MAX_FEED_LATENCY_NS // 10**9} s apart: with such times the "
                    f"exchange cannot act on its own clock; correct the clock offset, or use --clock local"
                )
        self._local = np.concatenate([self._local, local])
        self._exchange = np.concatenate([self._exchange, exchange])
        if max(len(self._local), len(self._exchange)) > MAX_WAITING_RECORDS:
            raise DataError(
                f"{self._source.path}: over {MAX_WAITING_RECORDS:,} records of one order wait for the other: "
                "rows of receipt or rows of the exchange are missing; use --clock local"
            )

    def _cut(self, until: int) -> Block:
        count = len(self._local) if until == MAX_TS else int(np.searchsorted(self._local["local_ts"], until))
        local, self._local = self._local[:count], self._local[count:]
        times = self._exchange["exch_ts"] if self._given else _exchange_times(self._exchange)
        due = times < until
        happened = _by_times(self._exchange[due], times[due])
        self._exchange = self._exchange[~due]
        return Block(local, happened, until)
