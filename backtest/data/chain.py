"""Files of one instrument that follow one another in time, such as one a day, as one source."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from backtest.data.clocks import DataError
from backtest.data.source import Part, Reading, Source


class ChainSource(Source):
    """Sources of one format and instrument, each beginning where the one before it has ended or later.

    ``path`` is the file that is read at the moment; ``reading`` is that of the files so far together.

    Parameters
    ----------
    sources : sequence of Source
        At least one, in order of time.
    """

    def __init__(self, sources: Sequence[Source]) -> None:
        first = sources[0]
        super().__init__(first.path, first.instrument)
        self.kinds = frozenset().union(*(source.kinds for source in sources))
        self.format = first.format
        self.row_name = first.row_name
        self.marked = first.marked
        self.sided = first.sided
        self.names_instrument = first.names_instrument
        self.sources = tuple(sources)

    def parts(self) -> Iterator[Part]:
        """As ``Source.parts``; raises ``DataError`` when a file begins before the end of the one ahead of it."""
        self.reading = Reading()
        last_ts = 0
        for number, source in enumerate(self.sources):
            before, self.path = self.path, source.path
            for at, part in enumerate(source.parts()):
                first_ts = int(part.ticks["local_ts"][0])
                if number and not at and first_ts < last_ts:
                    raise DataError(
                        f"{source.path} begins at {first_ts}, before the end of {before} at {last_ts}: give the files "
                        f"of {self.symbol} in order of time, each once"
                    )
                last_ts = int(part.ticks["local_ts"][-1])
                self._add_up(number)
                yield part
            self._add_up(number)

    def _add_up(self, last: int) -> None:
        """Say what has become of the rows of the sources up to ``last``: who reads may stop before the end."""
        self.reading = Reading()
        for source in self.sources[: last + 1]:
            self.reading.add(source.reading)
