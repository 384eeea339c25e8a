"""Recovery: what a restart takes on, what it leaves out by name, and what it refuses."""

from __future__ import annotations

import shutil
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
import pytest

from oms.core.state import MAX_ACCOUNTS, NEVER, State, new_state
from oms.durable import NS_PER_MS, ORDER_COUNTER_EPOCH_NS, begin_session, differences
from oms.journal import Journal, JournalError, segments
from oms.records import OrderState, Reason, TradingState
from oms.recovery import (
    RecoveryError,
    cancelled_by_restart,
    carry_definitions,
    recover,
    take_on,
)
from oms.snapshot import Definitions, Place, capture, snapshots, write_snapshot
from tests.oms.core.builders import BID_PX, BUY, Records, Rig, client_id, fill, new_order
from tests.oms.journalled import SESSION, JournalledRig, open_orders, random_steps, run

GRID = {"kind": "linear_perpetual", "tick": "0.1", "lot": "0.001", "multiplier": "1", "settlement": "USDT"}
DEFINITIONS = Definitions(
    account="paper",
    instruments={"0": {"name": "BTCUSDT.binance_usdm", **GRID}, "1": {"name": "BTCUSDT.binance_spot", **GRID}},
    strategies=("maker", "taker"),
)
OLD = Path(__file__).parent.parent / "data" / "journal_v1"


class Account:
    """An account's folders, and a core that has run in it."""

    def __init__(self, folder: Path, **options: Any) -> None:
        self.journal_dir = folder / "journal"
        self.snapshot_dir = folder / "snapshots"
        self.rig = JournalledRig(self.journal_dir, **options)
        self.assembled = new_state()
        carry_definitions(self.assembled, self.rig.st)

    def snapshot(self, *, clean: bool = False) -> Path:
        journal = self.rig.journal
        place = Place(journal.session, journal.segment, journal.next_number, int(self.rig.s["event_seq"]))
        return write_snapshot(self.snapshot_dir, capture(self.rig.st, place, DEFINITIONS, clean=clean))

    def recovered(self) -> State:
        return recover(self.assembled, DEFINITIONS, self.snapshot_dir, self.journal_dir).st

    def same(self, st: State) -> bool:
        return not list(differences(self.rig.st, st, every_input=False))


def test_first_session_of_an_account_begins_with_nothing(tmp_path: Path) -> None:
    past = recover(new_state(), DEFINITIONS, tmp_path / "snapshots", tmp_path / "journal")
    assert past.clean is None
    assert past.sessions == []


@pytest.mark.parametrize("seed", range(6))
def test_state_comes_back_from_snapshot_and_journal(tmp_path: Path, seed: int) -> None:
    account = Account(tmp_path, segment_bytes=30_000)
    steps = list(random_steps(seed, 300))
    run(account.rig, steps[:100])
    account.snapshot()
    run(account.rig, steps[100:200])
    account.snapshot()
    run(account.rig, steps[200:])
    past = recover(account.assembled, DEFINITIONS, account.snapshot_dir, account.journal_dir)
    assert account.same(past.st)
    assert past.clean is False
    assert past.snapshot == snapshots(account.snapshot_dir)[0]
    assert past.sessions[0].events < len(account.rig.events)


def test_clean_end_needs_no_replay(tmp_path: Path) -> None:
    account = Account(tmp_path)
    run(account.rig, random_steps(3, 100))
    account.rig.journal.close()
    account.snapshot(clean=True)
    past = recover(account.assembled, DEFINITIONS, account.snapshot_dir, account.journal_dir)
    assert past.clean is True
    assert past.sessions == []
    assert account.same(past.st)


def test_sessions_are_replayed_one_after_the_other(tmp_path: Path) -> None:
    account = Account(tmp_path)
    rig = account.rig
    run(rig, random_steps(4, 150))
    for number in (1, 2):
        begin_session(rig.st, SESSION + number)
        rig.journal = Journal.create(account.journal_dir, SESSION + number, "os", "paper")
        rig.reports(*(cancelled_by_restart(rig.st)[[i]] for i in range(len(open_orders(rig.st)))))
        assert len(open_orders(rig.st)) == 0
        run(rig, [("commands", new_order(client_id(5_000 + number * 100 + i), BUY, BID_PX, 2)) for i in range(5)])
    past = recover(account.assembled, DEFINITIONS, account.snapshot_dir, account.journal_dir)
    assert [each.session for each in past.sessions] == [SESSION, SESSION + 1, SESSION + 2]
    assert account.same(past.st)


@pytest.mark.parametrize("every", [11, pytest.param(1, marks=pytest.mark.thorough)])
def test_last_entry_torn_at_any_byte_is_left_out_and_named(tmp_path: Path, every: int) -> None:
    account = Account(tmp_path)
    rig = account.rig
    run(rig, random_steps(5, 20))
    rig.commands(new_order(client_id(900), BUY, BID_PX, 2))
    before = new_state()
    before[:] = rig.st
    (path,) = segments(account.journal_dir, SESSION)
    start = path.stat().st_size
    rig.reports(fill(client_id(900), 1, trade_id=12_345))
    content = path.read_bytes()
    report_bytes = 32 + 128
    edge = start + report_bytes
    for size in sorted({start + 1, edge - 1, edge, *range(start + every, len(content), every)}):
        path.write_bytes(content[:size])
        past = recover(account.assembled, DEFINITIONS, account.snapshot_dir, account.journal_dir)
        assert list(differences(before, past.st, every_input=False)) == []
        assert past.sessions[0].unfinished == (1 if size >= edge else 0)
        assert past.notes
        assert all("never had effect" in note for note in past.notes)


def test_no_flipped_byte_is_taken_for_right(tmp_path: Path) -> None:
    account = Account(tmp_path, segment_bytes=9_000)
    run(account.rig, random_steps(6, 120))
    files = segments(account.journal_dir, SESSION)
    assert len(files) > 2
    random = Random(1)
    for _ in range(60):
        path = random.choice(files[:-1])
        content = path.read_bytes()
        at = random.randrange(len(content))
        path.write_bytes(content[:at] + bytes([content[at] ^ 1 << random.randrange(8)]) + content[at + 1 :])
        with pytest.raises(JournalError, match=str(account.journal_dir)):
            account.recovered()
        path.write_bytes(content)
    assert account.same(account.recovered())


def test_missing_segment_is_refused(tmp_path: Path) -> None:
    account = Account(tmp_path, segment_bytes=9_000)
    run(account.rig, random_steps(6, 120))
    for path in segments(account.journal_dir, SESSION)[:-1]:
        shutil.move(path, tmp_path / "aside")
        with pytest.raises(JournalError, match=r"missing|no segments before it"):
            account.recovered()
        shutil.move(tmp_path / "aside", path)


def test_older_snapshot_serves_where_the_newest_does_not_verify(tmp_path: Path) -> None:
    account = Account(tmp_path)
    steps = list(random_steps(7, 200))
    run(account.rig, steps[:70])
    older = account.snapshot()
    run(account.rig, steps[70:140])
    newest = account.snapshot()
    run(account.rig, steps[140:])
    content = newest.read_bytes()
    newest.write_bytes(content[:-1] + bytes([content[-1] ^ 4]))
    past = recover(account.assembled, DEFINITIONS, account.snapshot_dir, account.journal_dir)
    assert past.snapshot == older
    assert account.same(past.st)
    assert [str(newest) in note for note in past.notes] == [True]
    older.write_bytes(b"zomS")
    with pytest.raises(RecoveryError, match=r"no snapshot in .* verifies: restore one of them"):
        account.recovered()


def test_state_that_the_journal_does_not_come_to_is_refused(tmp_path: Path) -> None:
    account = Account(tmp_path)
    steps = list(random_steps(8, 200))
    run(account.rig, steps[:100])
    account.rig.s["positions"][0, 0, 0]["qty"] += 1
    account.snapshot()
    account.rig.s["positions"][0, 0, 0]["qty"] -= 1
    run(account.rig, steps[100:])
    account.rig.commands(new_order(client_id(900), BUY, BID_PX, 2))
    with pytest.raises(JournalError, match=r"event \d+ .*: \w+ is -?\d+ in the journal, -?\d+ in the replay; .*doubt"):
        account.recovered()


def test_new_session_has_counters_and_strategies_of_its_own_and_ids_that_are_new(tmp_path: Path) -> None:
    rig = Rig()
    run(rig, random_steps(9, 50))
    rig.s["strategies"][0]["order_counter"] = 2**39
    rig.s["strategies"][1]["memory"][3] = 7
    rig.s["strategies"][1]["halted"] = 1
    begin_session(rig.st, ORDER_COUNTER_EPOCH_NS + 5_000 * NS_PER_MS)
    counters = rig.s["strategies"]["order_counter"]
    assert counters[0] == 2**39
    assert counters[1] == 5_000
    assert rig.s["strategies"][1]["memory"][3] == rig.s["strategies"][1]["halted"] == 0
    assert rig.s["event_seq"] == rig.s["fills"] == rig.s["ticks"] == 0
    assert rig.s["next_due"] == NEVER


def test_orders_at_an_exchange_that_has_ended_are_cancelled_and_held_ones_stay() -> None:
    rig = Rig()
    rig.open_market()
    for i in range(1, 4):
        rig.commands(new_order(client_id(i), BUY, BID_PX - i, 5))
    rig.order(client_id(2))["state"] = OrderState.HELD
    reports: Records = cancelled_by_restart(rig.st)
    assert reports["order_id"].tolist() == [client_id(1), client_id(3)]
    assert set(reports["reason"].tolist()) == {Reason.RESTARTED}
    rig.reports(reports)
    assert rig.state(client_id(1)) == OrderState.CANCELLED


def past_of(tmp_path: Path, *, position: int) -> tuple[Account, Rig]:
    account = Account(tmp_path)
    rig = account.rig
    rig.open_market()
    rig.commands(new_order(client_id(1), BUY, BID_PX, 10, strategy=-1))
    if position:
        rig.reports(fill(client_id(1), 10, trade_id=1))
    else:
        rig.reports(cancelled_by_restart(rig.st))
    rig.s["positions"][8]["qty"][0, 0] = position
    account.snapshot()
    return account, Rig()


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"instruments": {"1": DEFINITIONS.instruments["1"]}}, "BTCUSDT.binance_usdm is no longer defined"),
        (
            {"instruments": {"0": {**DEFINITIONS.instruments["0"], "tick": "0.5"}}},
            "BTCUSDT.binance_usdm has another tick, and has a position",
        ),
        ({"instruments": {"0": DEFINITIONS.instruments["1"]}}, "give BTCUSDT.binance_spot an id of its own"),
    ],
)
def test_what_has_a_position_must_be_what_it_was(tmp_path: Path, changed: dict[str, object], message: str) -> None:
    account, fresh = past_of(tmp_path, position=10)
    past = recover(fresh.st, DEFINITIONS, account.snapshot_dir, account.journal_dir)
    given = {"account": "paper", "instruments": DEFINITIONS.instruments, "strategies": DEFINITIONS.strategies}
    with pytest.raises(RecoveryError, match=message):
        take_on(fresh.st, past, Definitions(**{**given, **changed}))  # type: ignore[arg-type]


def test_what_is_flat_may_change_and_new_ones_may_come(tmp_path: Path) -> None:
    account, fresh = past_of(tmp_path, position=0)
    past = recover(fresh.st, DEFINITIONS, account.snapshot_dir, account.journal_dir)
    changed = Definitions(
        instruments={"0": {**DEFINITIONS.instruments["0"], "tick": "0.5"}, "7": DEFINITIONS.instruments["1"]},
        strategies=("taker", "maker", "third"),
    )
    take_on(fresh.st, past, changed)
    assert fresh.s["orders"]["order_id"][0] == client_id(1)


@pytest.mark.parametrize(
    ("now", "places", "titles"),
    [
        (("taker", "maker"), (1, 0), ("taker", "maker")),
        ((), (0, 1), ("maker", "taker")),
        (("third",), (1, 2), ("third", "maker", "taker")),
        (("maker", "taker"), (0, 1), ("maker", "taker")),
    ],
)
def test_strategies_are_found_by_their_titles(
    tmp_path: Path, now: tuple[str, ...], places: tuple[int, int], titles: tuple[str, ...]
) -> None:
    account, fresh = past_of(tmp_path, position=10)
    past = recover(fresh.st, DEFINITIONS, account.snapshot_dir, account.journal_dir)
    past.st[0]["orders"]["strategy"][0] = 0
    past.st[0]["strategies"]["order_counter"][:2] = 3, 8
    given = Definitions(instruments=DEFINITIONS.instruments, strategies=now)
    assert take_on(fresh.st, past, given).strategies == titles
    held = fresh.s["positions"]["qty"][MAX_ACCOUNTS:, 0, 0]
    assert np.flatnonzero(held).tolist() == [places[0]]
    assert fresh.s["orders"]["strategy"][0] == places[0]
    assert fresh.s["strategies"]["order_counter"][places[1]] == 8


def test_trading_state_and_positions_go_over_to_the_new_session(tmp_path: Path) -> None:
    account, fresh = past_of(tmp_path, position=0)
    account.rig.s["scopes"][0]["trading_state"] = TradingState.REDUCING
    account.rig.s["positions"][0, 0, 0]["realized_pnl"] = 77
    account.snapshot(clean=True)
    past = recover(fresh.st, DEFINITIONS, account.snapshot_dir, account.journal_dir)
    take_on(fresh.st, past, DEFINITIONS)
    assert fresh.s["scopes"][0]["trading_state"] == TradingState.REDUCING
    assert fresh.position()["realized_pnl"] == 77


def test_journal_of_format_version_1_is_replayed(tmp_path: Path) -> None:
    rig = Rig()
    past = recover(rig.st, DEFINITIONS, tmp_path, OLD)
    assert past.sessions[0].events > 0
    assert past.clean is not None
    assert int(past.st[0]["orders_used"]) > 0
    assert np.count_nonzero(past.st[0]["orders"]["order_id"]) == past.st[0]["orders_used"]


def test_definitions_are_copied_without_addresses() -> None:
    rig = Rig()
    rig.s["rules"]["address"] = 5
    target = new_state()
    carry_definitions(target, rig.st)
    assert target[0]["instruments"].tobytes() == rig.s["instruments"].tobytes()
    assert not target[0]["rules"]["address"].any()
