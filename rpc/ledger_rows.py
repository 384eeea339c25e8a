"""What the ledger has on disk, in SQL, and what goes into it together."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import repeat
from typing import Final, NamedTuple, TypeAlias

from rpc.ledger_log import KEY_BYTES, NAME_BYTES, ROW_BYTES, LedgerLog, decode_row

SCHEMA: Final = (
    "CREATE TABLE clients (client_index INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE)",
    """CREATE TABLE orders (
        client_index INTEGER NOT NULL, client_order_id TEXT NOT NULL, order_id INTEGER NOT NULL UNIQUE,
        command BLOB NOT NULL, session INTEGER, event BLOB,
        PRIMARY KEY (client_index, client_order_id)) WITHOUT ROWID""",
    "CREATE TABLE replay (session INTEGER NOT NULL)",
)
TERMS_TABLE: Final = "CREATE TABLE IF NOT EXISTS terms (order_id INTEGER PRIMARY KEY, terms BLOB NOT NULL)"
"""It came later: a ledger that was made without it gets it when it is opened."""
_FIND: Final = "SELECT order_id, client_order_id, command, session, event FROM orders WHERE"
BY_NAME: Final = f"{_FIND} client_index = ? AND client_order_id = ?"
NAMES_AFTER: Final = (
    "SELECT client_index, client_order_id FROM orders WHERE (client_index, client_order_id) > (?, ?)"
    " ORDER BY client_index, client_order_id LIMIT ?"
)
BY_ORDER_ID: Final = f"{_FIND} order_id = ?"

# One statement for thousands of rows: SQLite takes them out of one parameter without Python's lock.
_EACH_ROW: Final = (
    "WITH RECURSIVE row(at) AS (SELECT 1 UNION ALL SELECT at + {size} FROM row WHERE at + {size} <= length(:rows))"
)
_NUMBER: Final = "CAST(CAST(substr(:rows, at + {start}, {size}) AS TEXT) AS INTEGER)"
_ORDER_ID: Final = _NUMBER.format(start=1, size=20)
_NAME: Final = f"rtrim(CAST(substr(:rows, at + 32, {NAME_BYTES}) AS TEXT))"
_ADDED: Final = (
    f"INSERT OR IGNORE INTO orders SELECT {_NUMBER.format(start=21, size=11)}, {_NAME}, {_ORDER_ID},"
    f" substr(:rows, at + {KEY_BYTES}, {ROW_BYTES - KEY_BYTES})"
)
ADD: Final = f"{_EACH_ROW.format(size=ROW_BYTES)} {_ADDED}, NULL, NULL FROM row"
_SESSION_BYTES: Final = 20
SETTLED_ROW_BYTES: Final = ROW_BYTES + _SESSION_BYTES
"""Of a row with its last event, but for the event."""
ADD_SETTLED: Final = (
    _EACH_ROW
    + f" {_ADDED}, {_NUMBER.format(start=ROW_BYTES, size=_SESSION_BYTES)},"
    + f" substr(:rows, at + {SETTLED_ROW_BYTES}, :event_bytes) FROM row WHERE true"
    + " ON CONFLICT (order_id) DO UPDATE SET session = excluded.session, event = excluded.event"
)
"""Ids whose orders were closed before they came into the database: in one go, not found again for their events."""
EVENT_KEY: Final = b"%020d%020d"
EVENT_KEY_BYTES: Final = 40
SETTLE: Final = (
    _EACH_ROW
    + " UPDATE orders SET session = new.session, event = new.event FROM (SELECT"
    + f" {_NUMBER.format(start=0, size=20)} AS order_id, {_NUMBER.format(start=20, size=20)} AS session,"
    + f" substr(:rows, at + {EVENT_KEY_BYTES}, :event_bytes) AS event FROM row) AS new"
    + " WHERE orders.order_id = new.order_id"
)
KNOWN: Final = (
    f"{_EACH_ROW.format(size=NAME_BYTES)} SELECT client_order_id FROM orders WHERE client_index = :client_index AND"
    f" client_order_id IN (SELECT rtrim(CAST(substr(:rows, at, {NAME_BYTES}) AS TEXT)) FROM row)"
)


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


class Step:
    """What goes into the database together: new ids with the log that holds them, and last events.

    Attributes
    ----------
    log : LedgerLog
        The one that is written.
    paths : list of Path
        All logs that hold rows of this step.
    """

    def __init__(self, log: LedgerLog) -> None:
        self.log = log
        self.paths = [log.path]
        self.rows: dict[int, bytes] = {}
        self.by_name: dict[tuple[int, str], int] = {}
        self.events: dict[int, Settled] = {}

    def __len__(self) -> int:
        return len(self.rows) + len(self.events)

    def find(self, order_id: int) -> LedgerRow | None:
        row = self.rows.get(order_id)
        if row is None:
            return None
        logged = decode_row(row)
        return LedgerRow(order_id, logged.client_order_id, logged.command, None, None)

    def add(self, client_index: int, client_order_id: str, order_id: int, row: bytes) -> None:
        self.rows[order_id] = row
        self.by_name[client_index, client_order_id] = order_id

    def add_all(self, client_index: int, client_order_ids: Sequence[str], first_id: int, rows: list[bytes]) -> None:
        """``add`` orders of one client with consecutive ids."""
        order_ids = range(first_id, first_id + len(rows))
        self.rows.update(zip(order_ids, rows, strict=True))
        self.by_name.update(zip(zip(repeat(client_index), client_order_ids), order_ids, strict=True))

    def drop(self, order_id: int) -> None:
        """Take an id out again that this step has."""
        logged = decode_row(self.rows.pop(order_id))
        self.by_name.pop((logged.client_index, logged.client_order_id), None)
        self.events.pop(order_id, None)


Moves: TypeAlias = list[tuple[str, dict[str, bytes | int]]]
"""Statements and their parameters."""


def moves_of(step: Step) -> Moves:
    """What puts a step into the database."""
    added: list[bytes] = []
    settled: dict[int, list[bytes]] = {}
    events: dict[int, list[bytes]] = {}
    for order_id, row in step.rows.items():
        last = step.events.get(order_id)
        if last is None:
            added.append(row)
        else:
            settled.setdefault(len(last.event), []).append(b"%b%020d%b" % (row, last.session, last.event))
    for order_id, session, event in step.events.values():
        if order_id not in step.rows:
            events.setdefault(len(event), []).append(EVENT_KEY % (order_id, session) + event)
    moves: Moves = [(ADD, {"rows": b"".join(added)})] if added else []
    for statement, key_bytes, by_size in ((ADD_SETTLED, SETTLED_ROW_BYTES, settled), (SETTLE, EVENT_KEY_BYTES, events)):
        for size, rows in by_size.items():
            moves.append((statement.format(size=key_bytes + size), {"rows": b"".join(rows), "event_bytes": size}))
    return moves
