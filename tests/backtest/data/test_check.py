"""The check: what it counts, what it calls a problem, and the command."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
from typer.testing import CliRunner

from backtest.data.bars import BarSource
from backtest.data.check import Check, check
from backtest.data.csv_file import CsvFile
from backtest.data.npz import NpzSource
from oms.cli import app
from oms.instruments import Instrument
from oms.records import TickKind
from tests.backtest.data.support import (
    BOTH,
    BUY_EVENT,
    EXCH_EVENT,
    MS,
    START_NS,
    ListSource,
    event_rows,
    instrument,
    joined,
    message,
    record,
)
from tests.backtest.venue import settings_of

S = 1_000_000_000
TRADED = instrument()


def found_in(*parts: Any, silence_s: float = 60.0) -> Check:
    return check(ListSource(parts, TRADED), settings_of(TRADED), silence_s)


def snapshot(update_id: int = 1, **fields: Any) -> Any:
    return message(TickKind.SNAPSHOT, [(1, 99, 5), (-1, 101, 5)], update_id=update_id, px_2=update_id, **fields)


def update(update_id: int, *levels: tuple[int, int, int], **fields: Any) -> Any:
    return message(TickKind.DEPTH, levels or [(1, 98, 1)], update_id=update_id, px_2=update_id - 1, **fields)


def test_sound_data_has_neither_problem_nor_remark() -> None:
    found = found_in(snapshot(), joined([update(2), record(update_id=7), record(update_id=8)]))
    assert (found.problems, found.remarks) == ([], [])
    assert found.records == found.rows == 5
    assert found.kinds == {"DEPTH": 1, "TRADE": 2, "SNAPSHOT": 2}
    assert found.first_ts == found.last_ts == START_NS


def test_silences_are_measured_across_parts() -> None:
    stamps = [0, 10 * S, 80 * S, 81 * S]
    found = found_in(*(record(local_ts=START_NS + at) for at in stamps), silence_s=5)
    assert found.silences == 2
    assert (found.longest_silence_s, found.longest_silence_ts) == (70.0, START_NS + 10 * S)
    assert found.remarks == ["2 silences of over 5 s, the longest of 70.0 s"]
    assert not found.problems


def test_time_going_back_is_a_problem_of_receipt_only() -> None:
    back = [record(local_ts=START_NS + at, exch_ts=START_NS) for at in (5 * MS, 2 * MS, 9 * MS)]
    assert found_in(*back).problems == ["local_ts goes back 1 times, by up to 3.000 ms, first in row 2"]
    late = [record(local_ts=START_NS + 9 * MS, exch_ts=START_NS - at) for at in (0, MS)]
    found = found_in(*late)
    assert found.remarks == ["exch_ts goes back 1 times, by up to 1.000 ms, first in row 2"]
    assert not found.problems


def test_in_a_file_that_gives_the_exchange_s_order_it_must_not_go_back_either(tmp_path: Path) -> None:
    ticks = joined([record(exch_ts=START_NS - at) for at in range(2)])
    np.savez(tmp_path / "a.npz", data=event_rows(ticks))
    found = check(NpzSource(tmp_path / "a.npz", TRADED), settings_of(TRADED))
    assert found.problems == ["exch_ts goes back 1 times, by up to 0.000 ms, first in row 2"]


def test_a_gap_in_the_sequence_of_updates() -> None:
    found = found_in(snapshot(), update(2), update(4), update(5))
    assert found.sequence_gaps == 1
    assert found.problems == ["1 gaps in the sequence of the book's updates: the book is stale behind each"]


def test_levels_without_a_snapshot() -> None:
    assert found_in(update(2)).problems == ["there are levels and no snapshot: the book is never complete"]


def test_a_book_that_stays_crossed_behind_a_message() -> None:
    found = found_in(snapshot(), update(2, (1, 101, 3)))
    assert found.crossed_book == 1
    assert found.problems == ["1 levels that cross the book"]


def test_a_book_that_is_crossed_within_a_message_only_is_sound() -> None:
    found = found_in(snapshot(), update(2, (1, 101, 3), (-1, 101, 0), (-1, 102, 1)))
    assert found.crossed_book == 0
    assert not found.problems


def test_quotes_that_are_crossed_locked_or_empty() -> None:
    quotes = [(100, 101), (100, 100), (101, 100), (0, 101)]
    found = found_in(
        *(record(TickKind.QUOTE, px=bid, px_2=ask, qty_2=1, update_id=i + 1) for i, (bid, ask) in enumerate(quotes))
    )
    assert (found.crossed_quotes, found.locked_quotes, found.empty_quotes) == (1, 1, 1)
    assert found.problems == ["1 quotes whose bid is above their ask"]
    many = [record(TickKind.QUOTE, px=100, px_2=101, qty_2=1, update_id=i) for i in range(1, 2_000)]
    rare = found_in(joined(many), record(TickKind.QUOTE, px=101, px_2=100, qty_2=1, update_id=3_000))
    assert rare.remarks == ["1 quotes whose bid is above their ask"]
    assert not rare.problems


def test_trades_that_come_twice() -> None:
    parts = [joined([record(update_id=i) for i in ids]) for ids in ([1, 2, 2], [3, 1])]
    found = found_in(*parts)
    assert found.repeated_trades == 2
    assert found.problems == ["2 trades whose id was there before"]
    nameless = found_in(joined([record(), record(), record(px=7)]))
    assert (nameless.equal_neighbours, nameless.problems) == (1, [])


def test_feed_latency_has_exact_ends() -> None:
    ticks = joined([record(exch_ts=START_NS, local_ts=START_NS + at * MS, update_id=at) for at in range(1, 101)])
    latency = found_in(ticks).feed_latency_ms
    assert (latency["least"], latency["most"]) == (1.0, 100.0)
    assert latency["p50"] == pytest.approx(50.5)


def test_refused_rows_are_a_problem_when_they_are_many(tmp_path: Path) -> None:
    path = tmp_path / "trades.csv"
    for rows, place in ((10, "problems"), (5_000, "remarks")):
        lines = [f"{1700000000000 + i},10.1,{i % 7 + 1},buy,{i + 1}" for i in range(rows)]
        path.write_text("\n".join(["ts,price,qty,side,id", *lines, "1700000009999,10.15,1,buy,999999"]))
        found = run_check(path)
        assert [text.startswith("1 refused as BAD_PRICE, the first: ") for text in found[place]] == [True]
        assert not found["remarks" if place == "problems" else "problems"]
        assert found["refused"] == {"BAD_PRICE": 1}


# The command


def run_check(*paths: Path, status: int | None = None, options: tuple[str, ...] = ()) -> Any:
    arguments = ["data", "check", *map(str, paths), "--json", "--instrument", "BTCUSDT.binance_usdm", *options]
    done = CliRunner().invoke(app, arguments)
    assert done.exception is None or isinstance(done.exception, SystemExit), done.exception
    if status is not None:
        assert done.exit_code == status
    found = json.loads(done.output)
    return found[0] if len(paths) == 1 else found


def test_the_command_reports_each_file_and_its_status_tells_of_problems(tmp_path: Path) -> None:
    sound, wrong = tmp_path / "sound.csv", tmp_path / "wrong.csv"
    sound.write_text("ts,price,qty,side\n1700000000000,10.1,1,buy\n1700000000001,10.1,2,buy\n")
    wrong.write_text("ts,price,qty,side\n1700000000001,10.1,1,buy\n1700000000000,10.1,2,buy\n")
    assert run_check(sound, status=0)["problems"] == []
    found = run_check(sound, wrong, status=1)
    assert [len(each["problems"]) for each in found] == [0, 1]
    words = CliRunner().invoke(app, ["data", "check", str(wrong), "--instrument", "BTCUSDT.binance_usdm"]).output
    assert "problem           local_ts goes back 1 times, by up to 1.000 ms, first in row 2" in words


def test_damage_and_files_that_are_none_are_told(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", event_rows(joined([record()] * 4)))
    content = (tmp_path / "a.npy").read_bytes()
    (tmp_path / "a.npy").write_bytes(content[:-10])
    assert "is truncated: 1 of its rows are missing" in run_check(tmp_path / "a.npy", status=1)["problems"][0]
    (tmp_path / "b.npy").write_bytes(b"nothing")
    assert "is no file of hftbacktest" in run_check(tmp_path / "b.npy", status=1)["problems"][0]
    one_sided = event_rows(record(), flags=EXCH_EVENT)
    one_sided["ev"] = 77 | BUY_EVENT | BOTH
    np.save(tmp_path / "c.npy", one_sided)
    assert run_check(tmp_path / "c.npy", status=1)["problems"] == ["it gives no record"]


def test_a_check_is_json_and_back() -> None:
    found = found_in(record())
    assert msgspec.json.decode(msgspec.json.encode(found), type=Check) == found


# Bars


def bars(folder: Path, *minutes: int) -> BarSource:
    path = folder / "bars.csv"
    path.write_text(
        "timestamp,open,high,low,close,volume\n" + "".join(f"{1_700_000_000 + 60 * m},10,12,9,11,5\n" for m in minutes)
    )
    traded = Instrument(id=0, symbol="T", venue="v", kind="spot", tick="1", lot="1", base="T", quote="USDT")
    return BarSource(CsvFile(path), traded)


def test_missing_bars_are_counted(tmp_path: Path) -> None:
    found = check(bars(tmp_path, 0, 1, 2, 6, 7, 9), settings_of(TRADED))
    assert (found.records, found.missing_bars, found.longest_silence_s) == (6, 4, 180.0)
    assert found.longest_silence_ts == (1_700_000_000 + 180) * S
    assert found.remarks == ["4 bars are missing"]
    assert "bars of 1m, by the least distance of two openings" in found.notes
    assert not found.problems


def test_bars_that_come_again_or_go_back_are_problems(tmp_path: Path) -> None:
    found = check(bars(tmp_path, 0, 1, 1, 2, 1), settings_of(TRADED))
    assert found.problems == ["1 bars before the one ahead of them", "1 bars of a time that was there before"]
