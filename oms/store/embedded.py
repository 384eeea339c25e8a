"""The embedded store: SQLite for orders, fills, positions and events; ``oms.store.ticks`` puts ticks beside it.

One process writes. The rows of a batch and the record of how far each core session is stored are one transaction, so
that every event is stored exactly once whatever kills the writer.
"""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Final

from oms.definitions import Definitions
from oms.journal import EventBlock
from oms.store.decode import EventDecoder, Row, Rows
from oms.store.reader import StoreReader
from oms.store.schema import (
    DATABASE_FILE,
    OTHER_TABLES,
    SCHEMA_VERSION,
    TABLES,
    StoreError,
    create_statement,
    damage_remedy,
    write_if_absent_statement,
    write_statement,
)

__all__ = ["EmbeddedStore", "StoreError", "StoreReader"]

BUSY_TIMEOUT_S: Final = 0.1
"""How long to wait for somebody else's lock; ticks wait meanwhile, so it is short: the batch is tried again later."""

_WRITE: Final = {table: write_statement(table) for table in TABLES}
_WRITE_REFUSED: Final = write_if_absent_statement("orders")
_WRITE_PROGRESS: Final = (
    "INSERT INTO progress (session, next_seq) VALUES (?, ?)"
    " ON CONFLICT (session) DO UPDATE SET next_seq = excluded.next_seq"
)
_WRITE_NOTE: Final = (
    "INSERT INTO notes (kind, text, ts, times) VALUES (?, ?, ?, ?)"
    " ON CONFLICT (kind, text) DO UPDATE SET ts = excluded.ts, times = times + excluded.times"
)


class EmbeddedStore:
    """The writer of one account's store; the only one. ``open`` it before ``write``, and again after an error.

    Parameters
    ----------
    folder : Path
        The store's folder, made when missing.
    accounts : sequence of str
        Their names by number.
    definitions : Definitions
        Of the instruments, for symbols and decimal text.

    Attributes
    ----------
    progress : dict of int to int
        The next sequence number to store, by core session; as in the database.
    """

    def __init__(self, folder: Path, accounts: Sequence[str], definitions: Definitions) -> None:
        self.path = folder / DATABASE_FILE
        self.progress: dict[int, int] = {}
        self._decoder = EventDecoder(accounts, definitions)
        self._connection: sqlite3.Connection | None = None

    def open(self) -> None:
        """Open the database, make its tables where they are missing, and read how far it is.

        Raises
        ------
        StoreError
            When it cannot be opened, is damaged, or has another schema.
        """
        self.close()
        connection: sqlite3.Connection | None = None
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            connection = sqlite3.connect(self.path, timeout=BUSY_TIMEOUT_S, isolation_level=None)
            connection.execute("PRAGMA journal_mode = WAL")
            connection.execute("PRAGMA synchronous = NORMAL")
            connection.execute("BEGIN IMMEDIATE")
            for statement in (*map(create_statement, TABLES), *OTHER_TABLES):
                connection.execute(statement)
            connection.execute("INSERT OR IGNORE INTO meta VALUES ('schema_version', ?)", (SCHEMA_VERSION,))
            version = connection.execute("SELECT value FROM meta WHERE name = 'schema_version'").fetchone()[0]
            connection.execute("COMMIT")
            self.progress = dict(connection.execute("SELECT session, next_seq FROM progress"))
        except (sqlite3.Error, UnicodeDecodeError, OSError) as error:
            if connection is not None:
                connection.close()
            raise self._failure("cannot be opened", error) from error
        if version != SCHEMA_VERSION:
            connection.close()
            raise StoreError(
                f"store {self.path} has schema version {version}, this zoms writes {SCHEMA_VERSION}:"
                f" {damage_remedy(self.path)}",
                damaged=True,
            )
        self._connection = connection

    def write(self, blocks: Iterable[EventBlock], notes: Iterable[tuple[str, str, int]] = ()) -> int:
        """Store blocks of events, each following what is stored of its session, in one transaction.

        Parameters
        ----------
        blocks : iterable of EventBlock
        notes : iterable of (kind, text, times)
            What the recorder has to say; see ``oms.store.schema.NoteRow``.

        Returns
        -------
        int
            Records stored.

        Raises
        ------
        StoreError
            When the database does not take them. Nothing of the batch is stored then, and the store is closed.
        """
        connection = self._connection
        if connection is None:
            raise StoreError(f"store {self.path} is not open")
        progress = dict(self.progress)
        stored = 0
        try:
            connection.execute("BEGIN IMMEDIATE")
            for block in blocks:
                self._put(connection, self._decoder.rows(block.session, block.records))
                progress[block.session] = int(block.records["seq"][-1]) + 1
                stored += len(block.records)
            connection.executemany(_WRITE_PROGRESS, progress.items() - self.progress.items())
            now = time.time_ns()
            connection.executemany(_WRITE_NOTE, [(kind, text, now, times) for kind, text, times in notes])
            connection.execute("COMMIT")
        except (sqlite3.Error, UnicodeDecodeError) as error:
            self.close()
            raise self._failure("cannot be written", error) from error
        self.progress = progress
        return stored

    def _put(self, connection: sqlite3.Connection, rows: Rows) -> None:
        named: dict[str, list[Row]] = {
            "orders": rows.orders,
            "order_terms": rows.order_terms,
            "fills": rows.fills,
            "positions": rows.positions,
            "position_history": rows.position_history,
            "scopes": rows.scopes,
            "events": rows.events,
        }
        for table, table_rows in named.items():
            if table_rows:
                connection.executemany(_WRITE[table], table_rows)
        if rows.refused_orders:
            connection.executemany(_WRITE_REFUSED, rows.refused_orders)

    def _failure(self, what: str, error: Exception) -> StoreError:
        damaged = isinstance(error, sqlite3.DatabaseError | UnicodeDecodeError) and not isinstance(
            error, sqlite3.OperationalError
        )
        remedy = damage_remedy(self.path) if damaged else "check the disk and data_dir; the recorder tries again"
        return StoreError(f"store {self.path} {what}: {error}; {remedy}", damaged=damaged)

    def close(self) -> None:
        """Close the database; what was not committed is not stored."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None
