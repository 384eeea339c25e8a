"""Several sources as one stream, merged by time."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import numpy.typing as npt

from backtest.data.clocks import MAX_TS, Block, DataError
from backtest.data.source import Clock, Source
from oms.records import TICK

Ticks = npt.NDArray[np.void]


class _Stream:
    """What has been read of a source and not passed on."""

    def __init__(self, blocks: Iterator[Block]) -> None:
        self._blocks = blocks
        self.until = 0
        self._local: Ticks = np.zeros(0, TICK)
        self._exchange: Ticks = np.zeros(0, TICK)

    def read(self) -> None:
        """Read the next block."""
        block = next(self._blocks, None)
        if block is None:
            self.until = MAX_TS
            return
        self.until = block.until
        self._local = np.concatenate([self._local, block.local])
        if block.exchange is not None:
            self._exchange = np.concatenate([self._exchange, block.exchange])

    def cut(self, until: int) -> tuple[Ticks, Ticks]:
        """Pass on what is before ``until`` in both orders; everything when that is ``MAX_TS``."""
        local, self._local = _split(self._local, "local_ts", until)
        exchange, self._exchange = _split(self._exchange, "exch_ts", until)
        return local, exchange


def merge(sources: Sequence[Source], clock: Clock = "local") -> Iterator[Block]:
    """Merge sources by time of receipt, and with ``dual`` their exchanges' orders by exchange time, a block at a time.

    At one time the instrument with the lower number comes first, then the source that is given first; each source's
    own order stays, and messages stay whole.

    Parameters
    ----------
    sources : sequence of Source
        At least one. Several of one instrument must hold different kinds of record, such as trades and a book.
    clock : str
        ``local`` or ``dual``.

    Raises
    ------
    DataError
        When one instrument's data are given twice, and as ``Source.blocks`` does.
    """
    check_given_once(sources)
    return _merged(sources, clock)


def _merged(sources: Sequence[Source], clock: Clock) -> Iterator[Block]:
    dual = clock == "dual"
    ordered = sorted(sources, key=lambda source: source.instrument.id)  # stable: then as given
    streams = [_Stream(source.blocks(clock)) for source in ordered]
    until = 0
    while until < MAX_TS:
        slowest = min(streams, key=lambda stream: stream.until)
        slowest.read()
        until = min(stream.until for stream in streams)
        cuts = [stream.cut(until) for stream in streams]
        local = _by_time([local for local, _ in cuts], "local_ts")
        exchange = _by_time([exchange for _, exchange in cuts], "exch_ts")
        if len(local) or len(exchange):
            yield Block(local, exchange if dual else None, until)


def check_given_once(sources: Sequence[Source]) -> None:
    """Raise ``DataError`` when two sources hold the same kinds of record of one instrument."""
    for number, source in enumerate(sources):
        for other in sources[:number]:
            if source.instrument.id == other.instrument.id and source.kinds & other.kinds:
                kinds = " and ".join(sorted(kind.name for kind in source.kinds & other.kinds))
                raise DataError(
                    f"{kinds} records of {source.symbol} are in {other.path} and in {source.path}: "
                    "give an instrument's data once"
                )


def _split(ticks: Ticks, stamp: str, until: int) -> tuple[Ticks, Ticks]:
    count = len(ticks) if until == MAX_TS else int(np.searchsorted(ticks[stamp], until))
    return ticks[:count], ticks[count:]


def _by_time(parts: list[Ticks], stamp: str) -> Ticks:
    parts = [part for part in parts if len(part)]
    if len(parts) == 1:
        return parts[0]
    together: Ticks = np.concatenate([np.zeros(0, TICK), *parts])
    return together[np.argsort(together[stamp], kind="stable")]
