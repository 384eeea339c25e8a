"""The ledger of order ids: which order stands behind a client's own text id, kept on disk.

An id is written before its order is sent, so that the same id sent again, also after a kill -9, finds its order and
never places a second one. It is an SQLite file in WAL mode: what is committed survives the death of the process, and
with ``durable`` also that of the machine.
"""

from __future__ import annotations

import sqlite3
import threading
import time
from collections.abc import Iterable
from contextlib import closing
from pathlib import Path
from typing import Final, NamedTuple

from oms.records import ORDER_ID_COUNTER_BITS, RPC_CLIENT_BASE

FILE: Final = "ledger.sqlite"
SCHEMA_VERSION: Final = 2
MAX_CLIENTS: Final = 100_000
CHECKPOINT_COMMITS: Final = 2_000
WAL_LIMIT_BYTES: Final = 64 * 1024 * 1024
LOCK_WAIT_S: Final = 2.0

_COUNTER_EPOCH_MS: Final = 1_735_689_600_000
"""2025-01-01: a client's first counter is the ms since then, so that the ids of a lost ledger do not come again."""

_SCHEMA: Final = (
    "CREATE TABLE clients (client_index INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE)",
    """CREATE TABLE orders (
        client_index INTEGER NOT NULL, client_order_id TEXT NOT NULL, order_id INTEGER NOT NULL UNIQUE,
        command BLOB NOT NULL, session INTEGER, event BLOB,
        PRIMARY KEY (client_index, client_order_id)) WITHOUT ROWID""",
    "CREATE TABLE replay (session INTEGER NOT NULL)",
)
_COLUMNS: Final = "order_id, client_order_id, command, session, event"


class LedgerError(RuntimeError):
    """The ledger cannot be opened or written; the message names the file and the remedy."""


class LedgerRow(NamedTuple):
    """One order id of a client."""

    order_id: int
    client_order_id: str
    command: bytes
    """The COMMAND record that places it, without times and request id: what the id stands for."""
    session: int | None
    """Core session of ``event``."""
    event: bytes | None
    """Its last EVENT record, once it was settled."""


class Settled(NamedTuple):
    """The last event of an order, to be kept with its id."""

    order_id: int
    session: int
    event: bytes


class Ledger:
    """The order ids of all clients of one account. Writes take effect together, at ``commit``.

    Parameters
    ----------
    folder : Path
        Made when missing.
    durable : bool
        Wait for the disk at each commit.

    Attributes
    ----------
    rollbacks : int
        Times that what had been written since the last commit was undone.
    failed_checkpoints : int
        Times that the WAL could not be moved into the file; nothing is lost by it.

    Raises
    ------
    LedgerError
        When the file cannot be opened, is in use by another process, or is not a ledger of this version.
    """

    def __init__(self, folder: Path, *, durable: bool = False) -> None:
        self.path = folder / FILE
        self.rollbacks = 0
        self.failed_checkpoints = 0
        self._wal_path = folder / f"{FILE}-wal"
        self._commits = 0
        self._checkpoint: threading.Thread | None = None
        try:
            folder.mkdir(parents=True, exist_ok=True)
            self._database = sqlite3.connect(self.path, timeout=LOCK_WAIT_S, isolation_level=None)
            self._open(durable)
        except (sqlite3.Error, OSError) as error:
            raise self._failure("cannot be opened", error) from error
        self._names: dict[int, str] = {}
        self._indexes: dict[str, int] = {}
        self._read_clients()
        self._last_order_ids: dict[int, int] = {}

    def _open(self, durable: bool) -> None:
        execute = self._database.execute
        execute("PRAGMA journal_mode = WAL")
        execute(f"PRAGMA synchronous = {'FULL' if durable else 'NORMAL'}")
        execute("PRAGMA wal_autocheckpoint = 0")
        version = execute("PRAGMA user_version").fetchone()[0]
        if version not in (0, SCHEMA_VERSION):
            raise LedgerError(
                f"ledger {self.path} has version {version}, this server reads {SCHEMA_VERSION}:"
                " use the zoms that wrote it"
            )
        if version == 0:
            execute("BEGIN IMMEDIATE")
            for statement in _SCHEMA:
                execute(statement)
            execute(f"PRAGMA user_version = {SCHEMA_VERSION}")
            execute("COMMIT")

    def _failure(self, what: str, error: Exception) -> LedgerError:
        return LedgerError(
            f"ledger {self.path} {what}: {error}; check the disk and who else uses the file, or restore it from a copy"
        )

    def client_index(self, name: str) -> int | None:
        """The index of a client that has placed orders, else None."""
        return self._indexes.get(name)

    def client_name(self, client_index: int) -> str | None:
        return self._names.get(client_index)

    def find(self, client_index: int, client_order_id: str) -> LedgerRow | None:
        """The order of a client's own id."""
        row = self._database.execute(
            f"SELECT {_COLUMNS} FROM orders WHERE client_index = ? AND client_order_id = ?",
            (client_index, client_order_id),
        ).fetchone()
        return LedgerRow(*row) if row else None

    def find_order(self, order_id: int) -> LedgerRow | None:
        """The same by order id."""
        row = self._database.execute(f"SELECT {_COLUMNS} FROM orders WHERE order_id = ?", (order_id,)).fetchone()
        return LedgerRow(*row) if row else None

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
        low = client_index << ORDER_ID_COUNTER_BITS
        last = self._last_order_ids.get(client_index)
        if last is None:
            (last,) = self._database.execute(
                "SELECT max(order_id) FROM orders WHERE order_id >= ? AND order_id < ?",
                (low, low + (1 << ORDER_ID_COUNTER_BITS)),
            ).fetchone()
        if last is None:
            last = low + max(time.time_ns() // 1_000_000 - _COUNTER_EPOCH_MS, 0)
        order_id = int(last) + 1
        self._last_order_ids[client_index] = order_id
        return order_id

    def add_order(self, client_index: int, client_order_id: str, order_id: int, command: bytes) -> None:
        """Keep an order under the client's own id; raises ``LedgerError`` when the disk refuses."""
        self._write(
            "INSERT INTO orders VALUES (?, ?, ?, ?, NULL, NULL)", [(client_index, client_order_id, order_id, command)]
        )

    def forget_orders(self, order_ids: Iterable[int]) -> None:
        """Take back orders that were never sent, so that their ids are free again."""
        self._write("DELETE FROM orders WHERE order_id = ?", [(order_id,) for order_id in order_ids])

    def settle(self, orders: Iterable[Settled]) -> None:
        """Keep the last events of orders with their ids."""
        self._write(
            "UPDATE orders SET session = ?, event = ? WHERE order_id = ?",
            [(order.session, order.event, order.order_id) for order in orders],
        )

    @property
    def replay_from(self) -> int:
        """The core session from which on the journal must be read at a start; all before it is settled here."""
        (session,) = self._database.execute("SELECT max(session) FROM replay").fetchone()
        return int(session or 0)

    @replay_from.setter
    def replay_from(self, session: int) -> None:
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
        if not self._database.in_transaction:
            return
        try:
            self._database.execute("COMMIT")
        except sqlite3.Error as error:
            self.rollback()
            raise self._failure("cannot be written", error) from error
        self._commits += 1
        if self._commits >= CHECKPOINT_COMMITS and not (self._checkpoint and self._checkpoint.is_alive()):
            self._commits = 0
            self._begin_checkpoint()

    def _begin_checkpoint(self) -> None:
        """Have the WAL moved into the file, by a thread: waiting for the disk takes milliseconds.

        While writes never pause, the WAL cannot start over and grows; then it is cut here, with little left to move.
        """
        if self._wal_path.stat().st_size > WAL_LIMIT_BYTES:
            self._move_wal(self._database, "TRUNCATE")
        else:
            self._checkpoint = threading.Thread(target=self._checkpoint_aside, name="ledger checkpoint", daemon=True)
            self._checkpoint.start()

    def _checkpoint_aside(self) -> None:
        with closing(sqlite3.connect(self.path, timeout=LOCK_WAIT_S)) as database:
            self._move_wal(database, "PASSIVE")

    def _move_wal(self, database: sqlite3.Connection, mode: str) -> None:
        try:
            database.execute(f"PRAGMA wal_checkpoint({mode})")
        except sqlite3.Error:
            self.failed_checkpoints += 1  # what was committed is in the WAL; the next one tries again

    def rollback(self) -> None:
        """Undo everything written since the last commit."""
        self.rollbacks += 1
        if self._database.in_transaction:
            self._database.execute("ROLLBACK")
            self._read_clients()

    def _read_clients(self) -> None:
        self._names = dict(self._database.execute("SELECT client_index, name FROM clients"))
        self._indexes = {name: index for index, name in self._names.items()}

    def close(self) -> None:
        """Commit and close the file."""
        self.commit()
        if self._checkpoint is not None:
            self._checkpoint.join()
        self._database.close()
