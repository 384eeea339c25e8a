"""What the decoders of all venues share: the compiled way first, by field name where that does not know a message."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Sequence
from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt

from gateways.layouts import new_scanner
from gateways.scanner import UNRECOGNISED, scan_message
from oms.instruments import Instrument
from oms.records import TICK, Reason, TickKind

Ticks = npt.NDArray[np.void]

NO_TICKS: Final = np.zeros(0, TICK)
MAX_REFUSAL_TEXT: Final = 240
SHORT_MESSAGE: Final = 32
"""Views of fewer records than this are made once: making one takes as long as decoding a quote."""


class Refusal(NamedTuple):
    """Why a message, or one level of it, gave no record; ``NONE`` is a sound message without market data of ours."""

    reason: Reason
    text: str


class Decoded(NamedTuple):
    """What one message gave: its records, perhaps none, and what of it was refused."""

    ticks: Ticks
    refusals: tuple[Refusal, ...] = ()


def refused(reason: Reason, text: str) -> Decoded:
    """Nothing but a refusal, worded in bounded length whatever the message holds."""
    return Decoded(NO_TICKS, (Refusal(reason, text[:MAX_REFUSAL_TEXT]),))


class Decoder(ABC):
    """Decodes the messages of one instrument on one venue, one at a time.

    Parameters
    ----------
    instrument
        Gives the grid and the id.
    layouts
        Of the messages that the compiled scanner takes, as ``new_scanner`` takes them.

    Attributes
    ----------
    scanner : one-element array of ``SCANNER``
        The fast path's state.
    slow : int
        Messages that went through the slow path; large when the exchange has changed its layout.
    refused : Counter of Reason
        What ``decode`` refused, messages and levels; ``NONE`` counts sound messages without market data.
    last_refusal : str
        The words of the last refusal.
    """

    def __init__(self, instrument: Instrument, layouts: Sequence[tuple[TickKind, str]]) -> None:
        self.instrument = instrument
        self.slow = 0
        self.refused: Counter[Reason] = Counter()
        self.last_refusal = ""
        self.scanner = new_scanner(instrument, layouts)
        self._out: Ticks = self.scanner["out"][0]
        self._short_outs: tuple[Ticks, ...] = tuple(self._out[:count] for count in range(SHORT_MESSAGE))

    def decode(self, message: bytes, local_ts: int) -> Ticks:
        """Return the records of one message, which stand until the next call; none when it is refused.

        Parameters
        ----------
        message
            As the exchange sent it.
        local_ts
            When it was received, ns.
        """
        count = scan_message(message, local_ts, self.scanner)
        if 0 < count < SHORT_MESSAGE:
            return self._short_outs[count]
        return self._out[:count] if count != UNRECOGNISED else self._decode_other(message, local_ts)

    def _decode_other(self, message: bytes, local_ts: int) -> Ticks:
        """Decode a message that the scanner did not recognise, and count what is refused."""
        ticks, refusals = self.decode_slowly(message, local_ts)
        for refusal in refusals:
            self.refused[refusal.reason] += 1
            self.last_refusal = refusal.text
        return ticks

    def scan(self, message: bytes, local_ts: int) -> Ticks | None:
        """As ``decode`` by the compiled way alone; None for a message that only ``decode_slowly`` takes, or none."""
        count = scan_message(message, local_ts, self.scanner)
        return None if count == UNRECOGNISED else self._out[:count]

    @abstractmethod
    def decode_slowly(self, message: bytes, local_ts: int) -> Decoded:
        """The same for any layout, by field name, with the refusals instead of their count."""
