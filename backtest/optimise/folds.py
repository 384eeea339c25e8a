"""Folds: on which part of the data parameters are chosen, and on which other part they are then tested.

Walk-forward (Pardo, The Evaluation and Optimization of Trading Strategies, 2008, chapter 11) tests each stretch of time
with what was chosen before it. K-fold tests each stretch with what was chosen on all others, those after it included
from an embargo on (Lopez de Prado, Advances in Financial Machine Learning, 2018, section 7.4). Every run begins flat
and is valued at its end, so that no position of a training run reaches into a test: there is nothing else to purge.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from itertools import pairwise
from typing import Final, NamedTuple

from backtest.optimise.errors import OptimiseError

ROLLING_BLOCKS: Final = 3
"""How many times as long as its test a rolling training window is."""
LEAST_FOLDS: Final = 2
MOST_FOLDS: Final = 100


class Part(NamedTuple):
    """A stretch of the data: from ``start_ts`` up to, not with, ``end_ts``; local time, ns."""

    start_ts: int
    end_ts: int

    @property
    def length_ns(self) -> int:
        return self.end_ts - self.start_ts

    @property
    def text(self) -> str:
        """Its ends in UTC, to the second."""
        start, end = (datetime.fromtimestamp(ts // 10**9, tz=UTC) for ts in self)
        same_day = start.date() == end.date()
        return f"{start:%Y-%m-%d %H:%M:%S} - {end:{'%H:%M:%S' if same_day else '%Y-%m-%d %H:%M:%S'}}"


class Fold(NamedTuple):
    """Where to choose, and where to test what was chosen."""

    name: str
    train: tuple[Part, ...]
    test: Part


def edges_of(whole: Part, count: int) -> list[int]:
    """The ends of ``count`` equal blocks."""
    return [whole.start_ts + whole.length_ns * number // count for number in range(count + 1)]


def anchored(whole: Part, count: int, embargo_ns: int) -> list[Fold]:
    """Each test is of the block after all that was trained on, from the data's start."""
    edges = edges_of(whole, count + 1)
    return _walks([(edges[0], edges[number], edges[number + 1]) for number in range(1, count + 1)], embargo_ns)


def rolling(whole: Part, count: int, embargo_ns: int) -> list[Fold]:
    """As ``anchored``, but trained on the ``ROLLING_BLOCKS`` blocks before the test alone."""
    edges = edges_of(whole, count + ROLLING_BLOCKS)
    return _walks(
        [(edges[at], edges[at + ROLLING_BLOCKS], edges[at + ROLLING_BLOCKS + 1]) for at in range(count)], embargo_ns
    )


def _walks(walks: list[tuple[int, int, int]], embargo_ns: int) -> list[Fold]:
    return [
        Fold(f"fold {number}", (Part(start, cut),), Part(cut + embargo_ns, end))
        for number, (start, cut, end) in enumerate(walks, 1)
    ]


def k_fold(whole: Part, count: int, embargo_ns: int) -> list[Fold]:
    """Each test is of one block; trained is on what is before it, and on what is after it and the embargo."""
    edges = edges_of(whole, count)
    folds = []
    for number in range(count):
        start, end = edges[number : number + 2]
        around = (Part(edges[0], start), Part(end + embargo_ns, edges[-1]))
        train = tuple(part for part in around if part.length_ns > 0)
        folds.append(Fold(f"fold {number + 1}", train, Part(start, end)))
    return folds


KINDS: Final[dict[str, Callable[[Part, int, int], list[Fold]]]] = {
    "walk-forward": anchored,
    "rolling": rolling,
    "k-fold": k_fold,
}


def parse_folds(text: str) -> tuple[str, int]:
    """Kind and number of folds of a text such as ``walk-forward:5``; raises ``OptimiseError``."""
    kind, _, number = text.partition(":")
    if kind not in KINDS or not number.isdecimal() or not LEAST_FOLDS <= int(number) <= MOST_FOLDS:
        raise OptimiseError(
            f"folds {text!r} are not KIND:NUMBER, such as walk-forward:5: kinds are {', '.join(KINDS)}, and the "
            f"number is from {LEAST_FOLDS} to {MOST_FOLDS}"
        )
    return kind, int(number)


def make_folds(text: str, whole: Part, embargo_ns: int) -> list[Fold]:
    """The folds of the data that ``text`` asks for; none for an empty text.

    Raises
    ------
    OptimiseError
        When it asks for none that there are, or the embargo leaves nothing to train on or to test.
    """
    if not text:
        return []
    kind, count = parse_folds(text)
    folds = KINDS[kind](whole, count, embargo_ns)
    for fold in folds:
        if not fold.train or fold.test.length_ns <= 0:
            raise OptimiseError(
                f"an embargo of {embargo_ns / 1e9:g} s leaves nothing of {fold.name} of {text}: "
                "choose a shorter one, or fewer folds"
            )
    return folds


def split(parts: tuple[Part, ...], count: int) -> tuple[Part, ...]:
    """``parts`` cut into about ``count`` stretches of like length; none reaches over a gap."""
    total = sum(part.length_ns for part in parts)
    cut = []
    for part in parts:
        edges = edges_of(part, max(1, round(count * part.length_ns / total)))
        cut += [Part(start, end) for start, end in pairwise(edges)]
    return tuple(cut)
