"""What every format gives: a source of one instrument's records, block by block, in the order of one or both clocks."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Iterator
from enum import IntFlag
from pathlib import Path
from typing import Final, NamedTuple

import msgspec
import numpy as np
import numpy.typing as npt

from backtest.data.clocks import MAX_TS, Block, DataError, Pairing
from backtest.data.messages import MessageMarker, OrderCheck, WholeMessages
from oms.config import qualified_symbol
from oms.instruments import Instrument
from oms.records import Reason, TickKind

__all__ = ["BLOCK_ROWS", "Block", "Clock", "DataError", "Part", "Reading", "Side", "Source", "Ticks"]

Ticks = npt.NDArray[np.void]
Integers = npt.NDArray[np.int64]

TOLERATED_SHARE: Final = 0.001
"""Of rows that are not sound: results do not hang on fewer."""
BLOCK_ROWS: Final = 262_144
"""Rows of a file that are read at a time: 16 MiB of records."""

Clock = str
"""``local``: in the order of receipt. ``dual``: that, and the exchange's own order beside it."""

CLOCKS: Final = ("local", "dual")


class Side(IntFlag):
    """Whose a row is, where a file tells."""

    LOCAL = 1
    """It is received: it has its place in the order of receipt."""
    EXCHANGE = 2
    """It happens at the exchange: it has its place in the order of exchange time."""


STAMPS: Final = {Side.LOCAL: "local_ts", Side.EXCHANGE: "exch_ts"}
"""The time that orders the records of each side."""


class Reading(msgspec.Struct):
    """What became of a source's rows."""

    rows: int = 0
    """Rows, lines or messages read."""
    ignored: Counter[str] = msgspec.field(default_factory=Counter)
    """Sound rows that carry no market data of ours, by what they are."""
    refused: Counter[Reason] = msgspec.field(default_factory=Counter)
    problems: dict[Reason, str] = msgspec.field(default_factory=dict)
    """The first refusal of each reason: file, row and what is wrong."""
    set_back: int = 0
    """Rows whose receive time was before their predecessor's and, in a recording, was set to that."""
    inexact: int = 0
    """Numbers that binary arithmetic had left a few units in the last place beside the grid."""
    doubts: list[str] = msgspec.field(default_factory=list)
    """What was guessed about the file, and should be known whenever it is used."""
    notes: list[str] = msgspec.field(default_factory=list)
    """What was found out about the file, such as the unit of its times."""
    damage: str = ""
    """Why the end of the file could not be read; empty when it could."""

    @property
    def has_many_refused(self) -> bool:
        """Whether more rows were refused than are tolerated."""
        return sum(self.refused.values()) > TOLERATED_SHARE * max(self.rows, 1)

    @property
    def lacks_data(self) -> bool:
        """Whether so much could not be used that results are unreliable: the end of the file, or too many rows."""
        return bool(self.damage) or self.has_many_refused

    def refuse(self, reason: Reason, count: int, first: str) -> None:
        """Count refused rows, and keep the words about the first of each reason."""
        self.refused[reason] += count
        self.problems.setdefault(reason, first)

    def note(self, text: str) -> None:
        """Say something about the file, once."""
        if text not in self.notes:
            self.notes.append(text)

    def add(self, other: Reading) -> None:
        """Count what became of another file's rows too."""
        self.rows += other.rows
        self.ignored.update(other.ignored)
        self.refused.update(other.refused)
        self.problems = {**other.problems, **self.problems}
        self.set_back += other.set_back
        self.inexact += other.inexact
        self.doubts += other.doubts
        for text in other.notes:
            self.note(text)
        self.damage = "; ".join(filter(None, (self.damage, other.damage)))

    def summary(self) -> list[str]:
        """What was wrong, a line each; empty when all was well."""
        lines = [
            f"{self.refused[reason]} refused as {reason.name}, the first: {text}"
            for reason, text in self.problems.items()
        ]
        if self.set_back:
            lines.append(
                f"{self.set_back:,} messages were received before the one ahead of them, and were given its time"
            )
        if self.inexact:
            lines.append(
                f"{self.inexact:,} numbers stood beside the grid by a double's last places, and were taken as on it"
            )
        if self.damage:
            lines.append(f"{self.damage}; everything before the damage was read")
        return [*self.doubts, *lines]


class Part(NamedTuple):
    """Records as they lie in a file."""

    ticks: Ticks
    rows: Integers
    """The row of each record in the file, from 1."""
    sides: npt.NDArray[np.uint8] | None = None
    """Of each record, as ``Side``; None: every one is received and happens."""


class Source(ABC):
    """One instrument's records in one file or folder.

    Attributes
    ----------
    format : str
    path : Path
    instrument : Instrument
    kinds : frozenset of TickKind
        What its records can be.
    reading : Reading
        What became of the rows read last.
    """

    format: str
    row_name: str = "row"
    marked: bool = False
    """Whether ``parts`` gives records with the flags of their messages; else rows of one time are one message."""
    names_instrument: bool = False
    """Whether such a file says itself which instrument it is of."""
    sided: bool = False
    """Whether ``parts`` tells the side of each record; else the exchange's order is made from the times."""
    kinds: frozenset[TickKind]

    def __init__(self, path: Path, instrument: Instrument) -> None:
        self.path = path
        self.instrument = instrument
        self.reading = Reading()

    @property
    def symbol(self) -> str:
        """The instrument's symbol and venue."""
        return qualified_symbol(self.instrument)

    @abstractmethod
    def parts(self) -> Iterator[Part]:
        """Read the file from its start, and yield its records as they lie in it, in any order, never an empty part.

        Raises
        ------
        DataError
            When the file cannot be read.
        """

    def blocks(self, clock: Clock = "local") -> Iterator[Block]:
        """Read the file from its start, and yield its records in order, whole messages at a time.

        Parameters
        ----------
        clock : str
            ``local`` or ``dual``; with ``dual`` each block has the exchange's order too.

        Raises
        ------
        DataError
            When the file cannot be read, its time goes back, or not one row of it gives a record.
        """
        pairing = Pairing(self, given=self.sided) if clock == "dual" else None
        local, exchange = _Stream(self, Side.LOCAL), _Stream(self, Side.EXCHANGE)
        records = 0
        for part in self.parts():
            ticks = local.take(part)
            records += len(ticks)
            block: Block | None = Block(ticks, None, int(ticks["local_ts"][-1])) if len(ticks) else None
            if pairing is not None:
                block = pairing.take(ticks, exchange.take(part) if self.sided else ticks)
            if block is not None:
                yield block
        rest = local.rest()
        records += len(rest)
        if records == 0:
            raise DataError(self.nothing())
        yield Block(rest, None, MAX_TS) if pairing is None else pairing.rest(rest, exchange.rest())

    def nothing(self) -> str:
        """Why the file gives no record."""
        first = next(iter(self.reading.problems.values()), self.reading.damage)
        if not first and self.reading.ignored:
            first = "it holds " + ", ".join(f"{count:,} {what}" for what, count in self.reading.ignored.items())
        return f"{self.path} gives no tick of {self.symbol}: {first or f'it holds no {self.row_name}'}"


class _Stream:
    """The records of one side of a source, in order and in whole messages."""

    def __init__(self, source: Source, side: Side) -> None:
        self._side = side
        self._check = OrderCheck(source, STAMPS[side])
        self._messages = WholeMessages() if source.marked else MessageMarker()

    def take(self, part: Part) -> Ticks:
        ticks, rows = part.ticks, part.rows
        if part.sides is not None:
            own = (part.sides & self._side) != 0
            ticks, rows = ticks[own], rows[own]
        self._check.take(ticks, rows)
        return self._messages.take(ticks)

    def rest(self) -> Ticks:
        return self._messages.rest()
