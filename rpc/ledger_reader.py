"""Whose an order is, what its owner calls it and what algorithm works it: from the ledger, beside whoever writes it."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable
from contextlib import closing, suppress
from pathlib import Path
from typing import Final, NamedTuple

from oms.records import ORDER_ID_COUNTER_BITS
from rpc.algorithm_terms import read_terms
from rpc.ledger import FILE, LedgerError
from rpc.ledger_log import decode_row, logs, read_log

_CHUNK: Final = 500
"""Parameters of one statement, at most."""


class OrderName(NamedTuple):
    """An order's client and the client's own id for it."""

    client: str
    client_order_id: str


def order_names(folder: Path, order_ids: Iterable[int]) -> dict[int, OrderName]:
    """Names of those orders that a client has placed; strategies' orders, and those of a lost ledger, have none.

    Parameters
    ----------
    folder : Path
        The ledger's.
    order_ids : iterable of int

    Raises
    ------
    LedgerError
        When the database cannot be read.
    """
    path = folder / FILE
    wanted = sorted(set(order_ids))
    if not path.exists():
        return {}
    ids = _logged_ids(folder, frozenset(wanted))  # before the database, into which logs go before they are removed
    try:
        with closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True)) as database:
            for start in range(0, len(wanted), _CHUNK):
                some = wanted[start : start + _CHUNK]
                marks = ",".join("?" * len(some))
                ids.update(
                    database.execute(f"SELECT order_id, client_order_id FROM orders WHERE order_id IN ({marks})", some)
                )
            clients = dict(database.execute("SELECT client_index, name FROM clients"))
    except sqlite3.Error as error:
        raise LedgerError(f"ledger {path} cannot be read: {error}; check the disk") from error
    return {
        order_id: OrderName(clients.get(order_id >> ORDER_ID_COUNTER_BITS, ""), own_id)
        for order_id, own_id in ids.items()
    }


def order_algorithms(folder: Path, order_ids: Iterable[int]) -> dict[int, int]:
    """Numbers of the algorithms that work orders (``oms.algorithms.Algorithm.id``), of those that any works.

    Raises
    ------
    LedgerError
        When the database cannot be read.
    """
    path = folder / FILE
    wanted = sorted(set(order_ids))
    found: dict[int, int] = {}
    if not path.exists():
        return found
    try:
        with closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True)) as database:
            if not database.execute("SELECT 1 FROM sqlite_master WHERE name = 'terms'").fetchone():
                return found
            for start in range(0, len(wanted), _CHUNK):
                some = wanted[start : start + _CHUNK]
                marks = ",".join("?" * len(some))
                rows = database.execute(f"SELECT order_id, terms FROM terms WHERE order_id IN ({marks})", some)
                found.update((order_id, read_terms(record).algorithm) for order_id, record in rows)
    except sqlite3.Error as error:
        raise LedgerError(f"ledger {path} cannot be read: {error}; check the disk") from error
    return found


def _logged_ids(folder: Path, wanted: frozenset[int]) -> dict[int, str]:
    """Clients' own ids of those orders that are still in logs."""
    found: dict[int, str] = {}
    for _, path in logs(folder):
        with suppress(FileNotFoundError):  # it has gone into the database meanwhile
            for row in map(decode_row, read_log(path)):
                if row.order_id in wanted and row.is_added:
                    found[row.order_id] = row.client_order_id
                elif row.order_id in wanted:
                    found.pop(row.order_id, None)
    return found
