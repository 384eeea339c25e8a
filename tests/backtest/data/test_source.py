"""What is told of a source that has been read."""

from __future__ import annotations

from backtest.data.source import Reading
from oms.records import Reason


def test_a_sound_file_has_nothing_to_tell() -> None:
    assert Reading(rows=5, notes=["time is in ms since 1970"]).summary() == []


def test_everything_that_was_done_to_the_data_is_told() -> None:
    reading = Reading(rows=5, set_back=2, inexact=3, doubts=["the venue was guessed"], damage="a.gz is truncated")
    reading.refuse(Reason.BAD_PRICE, 2, "a.gz, row 1: price 1.5")
    reading.refuse(Reason.BAD_PRICE, 1, "a.gz, row 9: price 2.5")
    assert reading.summary() == [
        "the venue was guessed",
        "3 refused as BAD_PRICE, the first: a.gz, row 1: price 1.5",
        "2 messages were received before the one ahead of them, and were given its time",
        "3 numbers stood beside the grid by a double's last places, and were taken as on it",
        "a.gz is truncated; everything before the damage was read",
    ]


def test_two_files_are_told_of_together() -> None:
    first, second = Reading(rows=1, inexact=1), Reading(rows=2, set_back=1, damage="b is corrupt")
    first.refuse(Reason.BAD_SIDE, 1, "a, row 1")
    second.refuse(Reason.BAD_SIDE, 1, "b, row 1")
    first.add(second)
    assert (first.rows, first.inexact, first.set_back, first.damage) == (3, 1, 1, "b is corrupt")
    assert first.problems == {Reason.BAD_SIDE: "a, row 1"}
    assert first.refused == {Reason.BAD_SIDE: 2}
