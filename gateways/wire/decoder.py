"""The decoders of OKX, HTX and BitMEX: compiled where the layout is known, else by field name."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final, NamedTuple

import numpy as np

from gateways.decoder import Decoded, Decoder, Refusal, Ticks, refused
from gateways.layouts import new_scanner
from gateways.scanner import UNRECOGNISED, scan_message
from gateways.wire import bitmex, htx, okx
from gateways.wire.bitmex import BitmexDecoder
from gateways.wire.generic import GenericDecoder
from gateways.wire.htx import HtxDecoder
from gateways.wire.messages import NamedFields, WireError
from gateways.wire.numbers import AnsweredNumbers, LinkedNumbers, Numbers
from gateways.wire.okx import OkxDecoder
from oms.decimals import GridError
from oms.instruments import Instrument
from oms.records import Reason, TickKind

Layouts = Sequence[tuple[TickKind, str]]


def _of_symbol(layouts: Layouts, instrument: Instrument) -> Layouts:
    return [(kind, text.replace("$SYMBOL", instrument.symbol)) for kind, text in layouts]


def _of_htx(instrument: Instrument) -> Layouts:
    """Spot's names are in small letters without punctuation, a swap's are its symbol."""
    spot_name = "".join(letter for letter in instrument.symbol.lower() if letter.isalnum())
    named = ((htx.SPOT_LAYOUTS, spot_name), (htx.SWAP_LAYOUTS, instrument.symbol))
    return [(kind, text.replace("$NAME", name)) for layouts, name in named for kind, text in layouts]


class WireDecoder(Decoder):
    """See ``Decoder``.

    The book's messages have the venue's numbers; BitMEX gives none, and they are counted.

    Parameters
    ----------
    instrument
        Gives the grid and the id.
    layouts
        As ``Decoder`` takes them.
    named_fields
        What decodes all other messages.
    """

    def __init__(self, instrument: Instrument, layouts: Layouts, named_fields: type[NamedFields]) -> None:
        super().__init__(instrument, layouts)
        self._refusals: list[Refusal] = []
        self._named_fields = named_fields(instrument, self._refuse)

    def decode_slowly(self, message: bytes, local_ts: int) -> Decoded:
        """As ``Decoder.decode_slowly``."""
        self.slow += 1
        self._refusals.clear()
        try:
            found = self._named_fields.decode(message, local_ts)
        except (WireError, GridError) as error:
            return refused(error.reason, str(error))
        if not found:
            return refused(Reason.NONE, "it has no rows")
        return Decoded(found[0] if len(found) == 1 else np.concatenate(found), tuple(self._refusals))

    def lost(self) -> None:
        """The connection was lost: what was told by it is no longer certain."""
        self._named_fields.lost()

    def _refuse(self, reason: Reason, text: str) -> None:
        self._refusals.append(Refusal(reason, text))


class _Bitmex(WireDecoder):
    """The levels of BitMEX's book have their prices by their ids: a second scanner reads the ids."""

    _named_fields: BitmexDecoder

    def __init__(self, instrument: Instrument) -> None:
        super().__init__(instrument, _of_symbol(bitmex.LAYOUTS, instrument), BitmexDecoder)
        self._book_scanner = new_scanner(instrument, _of_symbol(bitmex.BOOK_LAYOUTS, instrument))
        self._book_out: Ticks = self._book_scanner["out"][0]

    def scan(self, message: bytes, local_ts: int) -> Ticks | None:
        """As ``Decoder.scan``."""
        ticks = super().scan(message, local_ts)
        return self._scan_book(message, local_ts) if ticks is None else ticks

    def _decode_other(self, message: bytes, local_ts: int) -> Ticks:
        ticks = self._scan_book(message, local_ts)
        return super()._decode_other(message, local_ts) if ticks is None else ticks

    def _scan_book(self, message: bytes, local_ts: int) -> Ticks | None:
        count = scan_message(message, local_ts, self._book_scanner)
        if count == UNRECOGNISED:
            return None
        changes = self._book_out[:count]
        action = bitmex.BOOK_ACTIONS[self._book_scanner["layout"].item()]
        return changes if self._named_fields.place(action, changes) else None


class Wire(NamedTuple):
    """How a venue's messages are decoded, and how recorded books are numbered."""

    decoder: Callable[[Instrument], WireDecoder]
    numbers: Callable[[], Numbers] | None
    """None: they are numbered by the decoder."""


WIRES: Final = {
    "okx": Wire(
        lambda instrument: WireDecoder(instrument, _of_symbol(okx.LAYOUTS, instrument), OkxDecoder), LinkedNumbers
    ),
    "htx": Wire(lambda instrument: WireDecoder(instrument, _of_htx(instrument), HtxDecoder), AnsweredNumbers),
    "bitmex": Wire(_Bitmex, None),
    "ccxt": Wire(lambda instrument: WireDecoder(instrument, (), GenericDecoder), LinkedNumbers),
}
"""By venue: the venue of an instrument in the settings is one of these, or begins with it, such as ``okx_swap``."""


def wire_of(venue: str) -> Wire | None:
    """How a venue's messages are decoded; None for a venue that is none of ``WIRES``."""
    return WIRES.get(venue.partition("_")[0])
