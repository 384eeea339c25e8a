"""The ledger of order ids: which order stands behind a client's own text id, kept on disk.

An id is written before its order is sent, so that the same id sent again, also after a kill -9, finds its order and
never places a second one. New ids go to a log, all of one round together (``rpc.ledger_log``), and from there,
thousands at a time and beside the server, into an SQLite file in WAL mode. What is committed survives the death of the
process. The death of the machine may take the log's end; those orders and their ids are in the journal, if they ever
had effect, and are restored from there (``rpc.journalled_names``).
"""

from __future__ import annotations

import sqlite3
import threading
import time
from collections.abc import Iterable, Sequence
from contextlib import closing
from pathlib import Path
from typing import Final

from oms.records import ORDER_ID_COUNTER_BITS, RPC_CLIENT_BASE
from rpc.ledger_log import NAME_BYTES, LedgerLog, decode_row, encode_row, encode_rows, logs, read_log
from rpc.ledger_rows import (
    ADD,
    BY_NAME,
    BY_ORDER_ID,
    KNOWN,
    NAMES_AFTER,
    SCHEMA,
    TERMS_TABLE,
    LedgerRow,
    Moves,
    Settled,
    Step,
    moves_of,
)
from rpc.seen_names import MOST_NAMES, NO_NAME, Name, SeenNames

LEDGER_FOLDER: Final = "rpc"
"""Of an account's folder."""
FILE: Final = "ledger.sqlite"
SCHEMA_VERSION: Final = 2
MAX_CLIENTS: Final = 100_000
MOVED_ROWS: Final = 8_192
"""New ids, or last events, that are moved into the database together."""
MOST_ROWS: Final = 20 * MOVED_ROWS
"""Kept in memory at most; then the server waits for the database."""
LEARNT_ROWS: Final = 2_000
"""Names that are read from the database at a time."""
WAL_PAGES: Final = 4_000
LOCK_WAIT_S: Final = 10.0

_COUNTER_EPOCH_MS: Final = 1_735_689_600_000
"""2025-01-01: a client's first counter is the ms since then, so that the ids of a lost ledger do not come again."""


class LedgerError(RuntimeError):
    """The ledger cannot be opened or written; the message names the file and the remedy."""


class Ledger:
    """The order ids of all clients of one account. Writes take effect together, at ``commit``.

    Parameters
    ----------
    folder : Path
        Made when missing.
    durable : bool
        Wait for the disk when something goes into the database.

    Attributes
    ----------
    rollbacks : int
        Times that what had been written since the last commit was undone.
    failed_checkpoints : int
        Times that ids could not be moved into the database; nothing is lost by it, and the next time does it.

    Raises
    ------
    LedgerError
        When the file cannot be opened, is in use by another process, or is not a ledger of this version.
    """

    def __init__(self, folder: Path, *, durable: bool = False) -> None:
        self.path = folder / FILE
        self.rollbacks = 0
        self.failed_checkpoints = 0
        self._folder = folder
        self._durable = durable
        self._mover: threading.Thread | None = None
        self._moving: Step | None = None
        self._moved = False
        self._uncommitted: list[bytes] = []
        self._added: list[int] = []
        try:
            folder.mkdir(parents=True, exist_ok=True)
            self._database = sqlite3.connect(self.path, timeout=LOCK_WAIT_S, isolation_level=None)
            self._open()
            last = self._take_over_logs()
            self._log_number = last + 1
            self._step = Step(LedgerLog(folder, self._log_number))
        except (sqlite3.Error, OSError) as error:
            raise self._failure("cannot be opened", error) from error
        self._seen = SeenNames()
        self._learnt: Name | None = NO_NAME
        self.learn()
        self._names: dict[int, str] = {}
        self._indexes: dict[str, int] = {}
        self._read_clients()
        self._last_order_ids: dict[int, int] = {}

    def _open(self) -> None:
        execute = self._database.execute
        execute("PRAGMA journal_mode = WAL")
        self._set_up(self._database)
        version = execute("PRAGMA user_version").fetchone()[0]
        if version not in (0, SCHEMA_VERSION):
            raise LedgerError(
                f"ledger {self.path} has version {version}, this server reads {SCHEMA_VERSION}:"
                " use the zoms that wrote it"
            )
        if version == 0:
            execute("BEGIN IMMEDIATE")
            for statement in SCHEMA:
                execute(statement)
            execute(f"PRAGMA user_version = {SCHEMA_VERSION}")
            execute("COMMIT")
        execute(TERMS_TABLE)

    def _set_up(self, database: sqlite3.Connection) -> None:
        database.execute(f"PRAGMA synchronous = {'FULL' if self._durable else 'NORMAL'}")
        database.execute(f"PRAGMA wal_autocheckpoint = {WAL_PAGES}")

    def _take_over_logs(self) -> int:
        """Move what an earlier process left in its logs into the database; returns the last log's number."""
        found = logs(self._folder)
        kept: dict[int, bytes] = {}
        for _, path in found:
            for row in read_log(path):
                logged = decode_row(row)
                if logged.is_added:
                    kept[logged.order_id] = row
                else:
                    kept.pop(logged.order_id, None)
        if kept:
            self._database.execute(ADD, {"rows": b"".join(kept.values())})
        for _, path in found:
            path.unlink()
        return found[-1][0] if found else 0

    def _failure(self, what: str, error: object) -> LedgerError:
        return LedgerError(
            f"ledger {self.path} {what}: {error}; check the disk and who else uses the file, or restore it from a copy"
        )

    # Finding

    def client_index(self, name: str) -> int | None:
        """The index of a client that has placed orders, else None."""
        return self._indexes.get(name)

    def client_name(self, client_index: int) -> str | None:
        return self._names.get(client_index)

    def find(self, client_index: int, client_order_id: str) -> LedgerRow | None:
        """The order of a client's own id."""
        name = (client_index, client_order_id)
        if self._is_new(name):
            return None
        for step in self._steps():
            order_id = step.by_name.get(name)
            if order_id is not None:
                return self._with_event(step.find(order_id))
        row = self._database.execute(BY_NAME, name).fetchone()
        return self._with_event(LedgerRow(*row)) if row else None

    def find_order(self, order_id: int) -> LedgerRow | None:
        """The same by order id."""
        for step in self._steps():
            found = step.find(order_id)
            if found is not None:
                return self._with_event(found)
        row = self._database.execute(BY_ORDER_ID, (order_id,)).fetchone()
        return self._with_event(LedgerRow(*row)) if row else None

    def terms(self, order_id: int) -> bytes | None:
        """The TERMS record of an order that an algorithm works, where it is known."""
        row = self._database.execute("SELECT terms FROM terms WHERE order_id = ?", (order_id,)).fetchone()
        return bytes(row[0]) if row else None

    def known_names(self, client_index: int, client_order_ids: Sequence[str]) -> set[str]:
        """Those of a client's own ids that have been given before."""
        perhaps = client_order_ids if self._learnt is not None else self._seen.those_of(client_index, client_order_ids)
        if not perhaps:
            return set()
        known = {name for name in perhaps for step in self._steps() if (client_index, name) in step.by_name}
        names = b"".join(name.encode().ljust(NAME_BYTES) for name in perhaps)
        found = self._database.execute(KNOWN, {"rows": names, "client_index": client_index})
        return known | {name for (name,) in found}

    def _is_new(self, name: Name) -> bool:
        """True: it was surely never given; False: the steps and the database know."""
        return self._learnt is None and not self._seen.may_have(name)

    def learn(self) -> None:
        """Read some more of the names in the database, until all are known to the filter of new ones."""
        if self._learnt is None or len(self._seen) > MOST_NAMES or self._database.in_transaction:
            return
        try:
            names = self._database.execute(NAMES_AFTER, (*self._learnt, LEARNT_ROWS)).fetchall()
        except sqlite3.Error:
            return  # until it succeeds every name is looked up
        for name in names:
            self._seen.add(name)
        self._learnt = names[-1] if len(names) == LEARNT_ROWS else None

    def _steps(self) -> Iterable[Step]:
        return (self._step,) if self._moving is None else (self._step, self._moving)

    def _with_event(self, row: LedgerRow | None) -> LedgerRow | None:
        if row is None:
            return None
        for step in self._steps():
            settled = step.events.get(row.order_id)
            if settled is not None:
                return row._replace(session=settled.session, event=settled.event)
        return row

    # Writing

    def add_client(self, name: str) -> int:
        """The index of ``name``, given now when it has none.

        Raises
        ------
        LedgerError
            When there are too many clients, or the disk refuses.
        """
        known = self._indexes.get(name)
        if known is not None:
            return known
        if len(self._names) >= MAX_CLIENTS:
            raise LedgerError(f"ledger {self.path} has {MAX_CLIENTS} clients, the most it takes: reuse a client's name")
        index = max(self._names, default=RPC_CLIENT_BASE - 1) + 1
        self._write("INSERT INTO clients VALUES (?, ?)", [(index, name)])
        self._names[index] = name
        self._indexes[name] = index
        return index

    def new_order_id(self, client_index: int) -> int:
        """An order id that this client has never had."""
        return self.new_order_ids(client_index, 1)

    def new_order_ids(self, client_index: int, count: int) -> int:
        """The first of ``count`` consecutive order ids that this client has never had."""
        low = client_index << ORDER_ID_COUNTER_BITS
        last = self._last_order_ids.get(client_index)
        if last is None:
            (last,) = self._database.execute(
                "SELECT max(order_id) FROM orders WHERE order_id >= ? AND order_id < ?",
                (low, low + (1 << ORDER_ID_COUNTER_BITS)),
            ).fetchone()
        if last is None:
            last = low + max(time.time_ns() // 1_000_000 - _COUNTER_EPOCH_MS, 0)
        self._last_order_ids[client_index] = int(last) + count
        return int(last) + 1

    def add_order(self, client_index: int, client_order_id: str, order_id: int, command: bytes) -> None:
        """Keep an order under the client's own id.

        Raises
        ------
        LedgerError
            When the id has been given before; everything since the last commit is then undone.
        """
        name = (client_index, client_order_id)
        if name in self._step.by_name or (self._moving is not None and name in self._moving.by_name):
            self.rollback()
            raise self._failure("cannot be written", f"the id {client_order_id!r} is there already")
        self._seen.add(name)
        row = encode_row(order_id, client_index, client_order_id, command)
        self._step.add(client_index, client_order_id, order_id, row)
        self._uncommitted.append(row)
        self._added.append(order_id)

    def keep_terms(self, records: Sequence[tuple[int, bytes]]) -> None:
        """Keep the TERMS records of orders, by order id, in place of those before.

        Raises
        ------
        LedgerError
            When the disk refuses; everything since the last commit is then undone.
        """
        self._finish_move()  # it writes the same file
        self._write("INSERT OR REPLACE INTO terms VALUES (?, ?)", list(records))

    def add_orders(self, client_index: int, client_order_ids: Sequence[str], first_id: int, commands: bytes) -> None:
        """Keep orders with consecutive ids; the caller has asked ``known_names``."""
        rows = encode_rows(first_id, client_index, client_order_ids, commands)
        self._seen.add_all(client_index, client_order_ids)
        self._step.add_all(client_index, client_order_ids, first_id, rows)
        self._uncommitted += rows
        self._added.extend(range(first_id, first_id + len(rows)))

    def forget_orders(self, order_ids: Iterable[int]) -> None:
        """Take back orders that were never sent, so that their ids are free again."""
        for order_id in order_ids:
            if order_id in self._step.rows:
                self._step.drop(order_id)
                self._uncommitted.append(encode_row(order_id, 0, "", b"", is_added=False))
            else:
                self._finish_move()
                self._write("DELETE FROM orders WHERE order_id = ?", [(order_id,)])

    def restore(self, rows: Sequence[bytes]) -> int:
        """Put orders into the database unless they are there, and return how many were not.

        Parameters
        ----------
        rows : sequence of bytes
            As ``encode_row`` gives them.

        Raises
        ------
        LedgerError
            When the disk refuses.
        """
        self.commit()
        self._move_all()
        self._learnt = NO_NAME
        before = self._database.total_changes
        try:
            self._database.execute(ADD, {"rows": b"".join(rows)})
        except sqlite3.Error as error:
            raise self._failure("cannot be written", error) from error
        return self._database.total_changes - before

    def sync_soon(self) -> None:
        """Have the disk take what was committed, beside the server; nobody waits for it."""
        if self._durable:
            self._step.log.sync_soon()

    def settle(self, orders: Iterable[Settled]) -> None:
        """Keep the last events of orders with their ids; they are on disk once they have been moved."""
        self._step.events.update((order.order_id, order) for order in orders)

    @property
    def replay_from(self) -> int:
        """The core session from which on the journal must be read at a start; all before it is settled here."""
        (session,) = self._database.execute("SELECT max(session) FROM replay").fetchone()
        return int(session or 0)

    @replay_from.setter
    def replay_from(self, session: int) -> None:
        self.commit()
        self._move_all()
        self._write("DELETE FROM replay", [()])
        self._write("INSERT INTO replay VALUES (?)", [(session,)])

    def _write(self, statement: str, rows: list[tuple[object, ...]]) -> None:
        try:
            if not self._database.in_transaction:
                self._database.execute("BEGIN IMMEDIATE")
            self._database.executemany(statement, rows)
        except sqlite3.Error as error:
            self.rollback()  # SQLite may have done so itself: what was written before it is undone in any case
            raise self._failure("cannot be written", error) from error

    def commit(self) -> None:
        """Make everything written since the last commit lasting.

        Raises
        ------
        LedgerError
            When the disk refuses; everything since the last commit is then undone.
        """
        try:
            if self._database.in_transaction:
                self._database.execute("COMMIT")
            if self._uncommitted:
                self._step.log.commit(self._uncommitted)
        except (sqlite3.Error, OSError) as error:
            self.rollback()
            raise self._failure("cannot be written", error) from error
        self._uncommitted.clear()
        self._added.clear()
        self._move_when_due()

    def rollback(self) -> None:
        """Undo everything written since the last commit."""
        self.rollbacks += 1
        for order_id in self._added:
            if order_id in self._step.rows:
                self._step.drop(order_id)
        self._uncommitted.clear()
        self._added.clear()
        if self._database.in_transaction:
            self._database.execute("ROLLBACK")
            self._read_clients()

    # Moving into the database

    def _move_when_due(self) -> None:
        if self._mover is not None and (not self._mover.is_alive() or len(self._step) >= MOST_ROWS):
            self._finish_move()
        if self._mover is None and len(self._step) >= MOVED_ROWS:
            self._begin_move()

    def _begin_move(self) -> None:
        """Have the step in hand moved by a thread, and begin the next one."""
        try:
            log = LedgerLog(self._folder, self._log_number + 1)
        except OSError:
            self.failed_checkpoints += 1
            return
        self._log_number += 1
        moving, self._step = self._step, Step(log)
        self._moving = moving
        self._mover = threading.Thread(target=self._move, args=(moves_of(moving),), name="ledger", daemon=True)
        self._moved = False
        self._mover.start()

    def _move(self, moves: Moves) -> None:
        try:
            with closing(sqlite3.connect(self.path, timeout=LOCK_WAIT_S, isolation_level=None)) as database:
                self._set_up(database)
                database.execute("BEGIN IMMEDIATE")
                for statement, parameters in moves:
                    database.execute(statement, parameters)
                database.execute("COMMIT")
        except sqlite3.Error:
            return  # told by _moved
        self._moved = True

    def _finish_move(self) -> None:
        """Wait for the thread. What it could not move goes into the step in hand again."""
        if self._mover is None or self._moving is None:
            return
        self._mover.join()
        moving = self._moving
        self._mover = self._moving = None
        moving.log.close()
        if self._moved:
            for path in moving.paths:
                path.unlink(missing_ok=True)
            return
        self.failed_checkpoints += 1  # its logs stay, and are taken over at the next start at the latest
        self._step.paths = [*moving.paths, *self._step.paths]
        self._step.rows = {**moving.rows, **self._step.rows}
        self._step.by_name = {**moving.by_name, **self._step.by_name}
        self._step.events = {**moving.events, **self._step.events}

    def _move_all(self) -> None:
        """Move everything now.

        Raises
        ------
        LedgerError
            When the database cannot be written.
        """
        self._finish_move()
        if not len(self._step):
            return
        failed = self.failed_checkpoints
        self._begin_move()
        self._finish_move()
        if self.failed_checkpoints > failed:
            raise self._failure("cannot be written", "ids could not be moved into it")

    def _read_clients(self) -> None:
        self._names = dict(self._database.execute("SELECT client_index, name FROM clients"))
        self._indexes = {name: index for index, name in self._names.items()}

    def close(self) -> None:
        """Commit, move everything into the database and close it."""
        self.commit()
        self._move_all()
        self._step.log.close()
        for path in self._step.paths:
            path.unlink(missing_ok=True)
        self._database.close()
