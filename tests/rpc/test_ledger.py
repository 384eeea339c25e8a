"""The ledger: an order id, once given, is found again, whatever happens to the process."""

from __future__ import annotations

import signal
import sqlite3
import subprocess
import sys
import time
from contextlib import closing
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as hs

from oms.records import ORDER_ID_COUNTER_BITS, RPC_CLIENT_BASE
from rpc.ledger import FILE, Ledger, LedgerError
from rpc.ledger_log import LedgerLog, decode_row, encode_row, encode_rows, logs, read_log
from rpc.ledger_rows import Settled, Step, moves_of
from rpc.seen_names import SeenNames
from tests.full_disk import files_bounded_to

COMMAND = b"c" * 128


def add(ledger: Ledger, client: str, client_order_id: str) -> int:
    index = ledger.add_client(client)
    order_id = ledger.new_order_id(index)
    ledger.add_order(index, client_order_id, order_id, COMMAND)
    return order_id


def test_an_order_is_found_by_either_id(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path)
    order_id = add(ledger, "desk", "a")
    by_name = ledger.find(RPC_CLIENT_BASE, "a")
    assert by_name is not None
    assert (by_name.order_id, by_name.command, by_name.event) == (order_id, COMMAND, None)
    assert ledger.find_order(order_id) == by_name
    assert ledger.find(RPC_CLIENT_BASE, "b") is None


def test_the_same_id_of_two_clients_is_two_orders(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path)
    first, second = add(ledger, "desk", "a"), add(ledger, "other", "a")
    assert [order_id >> ORDER_ID_COUNTER_BITS for order_id in (first, second)] == [RPC_CLIENT_BASE, RPC_CLIENT_BASE + 1]


def test_what_was_committed_is_there_after_reopening_and_what_was_not_is_not(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path)
    kept = add(ledger, "desk", "kept")
    ledger.commit()
    add(ledger, "late", "undone")
    ledger.rollback()
    again = Ledger(tmp_path)
    found = again.find(RPC_CLIENT_BASE, "kept")
    assert found is not None
    assert found.order_id == kept
    assert again.client_index("desk") == RPC_CLIENT_BASE
    assert again.client_index("late") is None
    assert ledger.client_index("late") is None


def test_order_ids_never_come_twice(tmp_path: Path) -> None:
    seen: set[int] = set()
    for number in range(3):
        ledger = Ledger(tmp_path)
        seen |= {add(ledger, "desk", f"{number}-{each}") for each in range(10)}
        ledger.close()
    assert len(seen) == 30


def test_ids_of_a_lost_ledger_do_not_come_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    now = time.time_ns()
    monkeypatch.setattr("rpc.ledger.time.time_ns", lambda: now)
    before = Ledger(tmp_path / "a")
    ids = [add(before, "desk", str(number)) for number in range(100)]
    monkeypatch.setattr("rpc.ledger.time.time_ns", lambda: now + 1_000_000_000)
    after = Ledger(tmp_path / "b")
    assert add(after, "desk", "0") > max(ids)


def test_a_forgotten_order_frees_its_id(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path)
    order_id = add(ledger, "desk", "a")
    ledger.forget_orders([order_id])
    assert ledger.find_order(order_id) is None
    assert add(ledger, "desk", "a") != order_id


def test_the_last_event_is_kept_with_the_id(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path)
    order_id = add(ledger, "desk", "a")
    ledger.settle([Settled(order_id, 5, b"event")])
    row = ledger.find_order(order_id)
    assert row is not None
    assert (row.session, row.event) == (5, b"event")


def test_where_to_read_the_journal_from_is_kept(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path)
    assert ledger.replay_from == 0
    ledger.replay_from = 17
    ledger.replay_from = 18
    ledger.close()
    assert Ledger(tmp_path).replay_from == 18


def test_a_failed_write_undoes_the_batch_and_is_counted(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path)
    order_id = add(ledger, "desk", "a")
    with pytest.raises(LedgerError, match=r"ledger\.sqlite"):
        ledger.add_order(RPC_CLIENT_BASE, "a", order_id, COMMAND)
    assert ledger.rollbacks == 1
    ledger.commit()
    assert ledger.find_order(order_id) is None
    again = add(ledger, "desk", "a")
    ledger.commit()
    assert ledger.find_order(again) is not None
    assert ledger.rollbacks == 1


def test_a_ledger_of_another_version_is_refused(tmp_path: Path) -> None:
    Ledger(tmp_path).close()
    database = sqlite3.connect(tmp_path / FILE)
    database.execute("PRAGMA user_version = 99")
    database.close()
    with pytest.raises(LedgerError, match="version 99"):
        Ledger(tmp_path)


def test_a_file_that_is_no_ledger_is_refused(tmp_path: Path) -> None:
    (tmp_path / FILE).write_bytes(b"no database" * 1000)
    with pytest.raises(LedgerError, match=r"ledger\.sqlite"):
        Ledger(tmp_path)


def test_logs_move_into_the_database_while_writes_never_pause(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("rpc.ledger.MOVED_ROWS", 50)
    monkeypatch.setattr("rpc.ledger.MOST_ROWS", 500)
    ledger = Ledger(tmp_path)
    files = []
    for number in range(2000):
        order_id = add(ledger, "desk", str(number))
        ledger.settle([Settled(order_id, 5, b"event")])
        ledger.commit()
        files.append(len(logs(tmp_path)))
    assert max(files) <= 2
    assert all(ledger.find(RPC_CLIENT_BASE, str(number)) for number in range(2000))
    ledger.close()
    assert logs(tmp_path) == []
    assert ledger.failed_checkpoints == 0
    database = sqlite3.connect(tmp_path / FILE)
    assert database.execute("SELECT count(*), count(event) FROM orders").fetchone() == (2000, 2000)
    database.close()


def test_an_id_is_found_wherever_it_is_on_its_way(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("rpc.ledger.MOVED_ROWS", 3)
    ledger = Ledger(tmp_path)
    names = [f"id-{number}" for number in range(10)]
    for done, name in enumerate(names):
        add(ledger, "desk", name)
        ledger.commit()
        assert ledger.known_names(RPC_CLIENT_BASE, [*names, "none"]) == set(names[: done + 1])
        assert all(ledger.find(RPC_CLIENT_BASE, each) is not None for each in names[: done + 1])


def test_orders_are_added_in_batches(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path)
    index = ledger.add_client("desk")
    first = ledger.new_order_ids(index, 3)
    ledger.add_orders(index, ["a", "b", "c"], first, b"".join(bytes([number]) * 128 for number in range(3)))
    ledger.commit()
    again = Ledger(tmp_path)
    found = again.find(index, "b")
    assert found is not None
    assert (found.order_id, found.command) == (first + 1, b"\x01" * 128)
    assert again.new_order_id(index) == first + 3


@given(hs.lists(hs.text(hs.characters(codec="ascii", exclude_characters="\0 "), min_size=1, max_size=64), min_size=1))
def test_rows_of_a_batch_are_those_of_its_orders(names: list[str]) -> None:
    commands = [bytes([number % 256]) * 128 for number in range(len(names))]
    first = (RPC_CLIENT_BASE << ORDER_ID_COUNTER_BITS) + 98
    rows = encode_rows(first, RPC_CLIENT_BASE, names, b"".join(commands))
    assert rows == [
        encode_row(first + number, RPC_CLIENT_BASE, name, commands[number]) for number, name in enumerate(names)
    ]


def test_an_event_goes_into_the_database_with_its_id_or_after_it(tmp_path: Path) -> None:
    Ledger(tmp_path).close()
    steps = [Step(LedgerLog(tmp_path, number)) for number in (7, 8)]
    for number, name in enumerate("abc"):
        steps[0].add(RPC_CLIENT_BASE, name, number, encode_row(number, RPC_CLIENT_BASE, name, COMMAND))
    steps[1].rows[2] = steps[0].rows[2]  # as after a commit that took effect and was not known to
    steps[0].events[0] = Settled(0, 5, b"together")
    steps[1].add(RPC_CLIENT_BASE, "a", 3, encode_row(3, RPC_CLIENT_BASE, "a", COMMAND))  # another order's name
    steps[1].events.update({1: Settled(1, 6, b"later"), 2: Settled(2, 7, b"again"), 3: Settled(3, 8, b"none")})
    with closing(sqlite3.connect(tmp_path / FILE)) as database:
        for step in steps:
            for statement, parameters in moves_of(step):
                database.execute(statement, parameters)
            step.log.close()
        kept = database.execute("SELECT client_order_id, order_id, command, session, event FROM orders").fetchall()
    assert kept == [
        ("a", 0, COMMAND, 5, b"together"),
        ("b", 1, COMMAND, 6, b"later"),
        ("c", 2, COMMAND, 7, b"again"),
    ]


def test_a_torn_last_batch_was_never_committed(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path)
    add(ledger, "desk", "kept")
    ledger.commit()
    add(ledger, "desk", "torn")
    ledger.commit()
    ((_, path),) = logs(tmp_path)
    content = path.read_bytes()
    for cut in range(1, len(content) // 2):
        path.write_bytes(content[:-cut])
        assert [decode_row(row).client_order_id for row in read_log(path)] == ["kept"]


def test_a_log_that_cannot_be_written_undoes_the_batch(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path)
    kept = add(ledger, "desk", "kept")
    ledger.commit()
    lost = add(ledger, "desk", "lost")
    ((_, path),) = logs(tmp_path)
    with files_bounded_to(path.stat().st_size + 100), pytest.raises(LedgerError, match="File too large"):
        ledger.commit()
    assert ledger.rollbacks == 1
    assert ledger.find_order(lost) is None
    again = add(ledger, "desk", "again")
    ledger.commit()
    reopened = Ledger(tmp_path)
    assert reopened.find_order(kept) is not None
    assert reopened.find_order(again) is not None
    assert reopened.find_order(lost) is None


def test_a_forgotten_order_stays_forgotten_after_a_crash(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path)
    order_id = add(ledger, "desk", "a")
    ledger.commit()
    ledger.forget_orders([order_id])
    ledger.commit()
    assert Ledger(tmp_path).find_order(order_id) is None


def test_a_move_that_fails_loses_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("rpc.ledger.MOVED_ROWS", 5)
    monkeypatch.setattr("rpc.ledger.LOCK_WAIT_S", 0.01)
    ledger = Ledger(tmp_path)
    ledger.add_client("desk")
    ledger.commit()
    other = sqlite3.connect(tmp_path / FILE, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    for number in range(40):
        add(ledger, "desk", str(number))
        ledger.commit()
    monkeypatch.setattr("rpc.ledger.MOST_ROWS", 5)
    add(ledger, "desk", "one more")
    ledger.commit()
    assert ledger.failed_checkpoints > 0
    assert all(ledger.find(RPC_CLIENT_BASE, str(number)) for number in range(40))
    other.execute("ROLLBACK")
    other.close()
    ledger.close()
    assert logs(tmp_path) == []
    assert all(Ledger(tmp_path).find(RPC_CLIENT_BASE, str(number)) for number in range(40))


WRITER = """
import os, signal, sys
from pathlib import Path
from rpc.ledger import Ledger
ledger = Ledger(Path(sys.argv[1]))
index = ledger.add_client("desk")
for number in range(1000):
    ledger.add_order(index, str(number), ledger.new_order_id(index), b"c" * 128)
    ledger.commit()
    print(number, flush=True)
"""


def test_what_was_committed_outlives_kill_9(tmp_path: Path) -> None:
    writer = subprocess.Popen([sys.executable, "-c", WRITER, str(tmp_path)], stdout=subprocess.PIPE, text=True)
    assert writer.stdout is not None
    for line in writer.stdout:
        if int(line) == 100:
            writer.send_signal(signal.SIGKILL)
            break
    last = int((writer.stdout.read().split() or ["100"])[-1])
    writer.wait()
    writer.stdout.close()
    ledger = Ledger(tmp_path)
    assert all(ledger.find(RPC_CLIENT_BASE, str(number)) for number in range(last + 1))


def test_a_new_id_is_told_without_the_database_once_its_names_are_learnt(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("rpc.ledger.LEARNT_ROWS", 4)
    before = Ledger(tmp_path)
    for number in range(10):
        add(before, "desk", f"id-{number}")
    before.close()
    ledger = Ledger(tmp_path)
    statements: list[str] = []
    ledger._database.set_trace_callback(statements.append)
    for learnt in (4, 8, 10):
        for number in range(10):
            assert ledger.find(RPC_CLIENT_BASE, f"id-{number}") is not None
        statements.clear()
        assert ledger.find(RPC_CLIENT_BASE, "new") is None
        assert ledger.known_names(RPC_CLIENT_BASE, ["new", "newer"]) == set()
        assert bool(statements) == (learnt < 10)
        ledger.learn()
    assert ledger.known_names(RPC_CLIENT_BASE, ["new", "id-3"]) == {"id-3"}
    ledger.close()


def test_an_id_that_came_back_from_the_journal_is_not_new(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path)
    index = ledger.add_client("desk")
    order_id = ledger.new_order_id(index)
    assert ledger.restore([encode_row(order_id, index, "restored", COMMAND)]) == 1
    for _ in range(2):
        found = ledger.find(index, "restored")
        assert found is not None
        assert found.order_id == order_id
        ledger.learn()
    ledger.close()


@given(hs.integers(0, 2**30), hs.lists(hs.text(max_size=64), max_size=200), hs.booleans())
def test_no_name_that_was_added_is_taken_for_new(client: int, names: list[str], together: bool) -> None:
    seen = SeenNames()
    if together:
        seen.add_all(client, names)
    else:
        for name in names:
            seen.add((client, name))
    assert all(seen.may_have((client, name)) for name in names)
    assert seen.those_of(client, names) == names
    assert len(seen) == len(names)


@pytest.mark.parametrize("other", [(RPC_CLIENT_BASE, "b"), (RPC_CLIENT_BASE + 1, "a")])
def test_another_name_is_told_from_one_that_was_added(other: tuple[int, str]) -> None:
    seen = SeenNames()
    seen.add((RPC_CLIENT_BASE, "a"))
    assert not seen.may_have(other)
    assert seen.those_of(other[0], [other[1]]) == []
