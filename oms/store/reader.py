"""Reading the embedded store, for the command line and for whoever analyses a session."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Final, TypeVar

import msgspec

from oms.records import OrderState
from oms.store.schema import (
    DATABASE_FILE,
    SCHEMA_VERSION,
    TABLES,
    EventRow,
    FillRow,
    NoteRow,
    OrderRow,
    PositionRow,
    ScopeRow,
    StoreError,
    TermsRow,
    columns,
    damage_remedy,
)
from oms.store.tick_files import TicksRow, summarise_ticks

R = TypeVar("R", bound=msgspec.Struct)

DEFAULT_LIMIT: Final = 50

_FILTERS: Final = {"symbol": "(symbol = :symbol OR substr(symbol, 1, length(:symbol) + 1) = :symbol || '.')"}


class StoreReader:
    """Reads one account's store; may be used while the recorder writes it.

    Parameters
    ----------
    store_dir : Path
        ``Settings.store_dir``.

    Raises
    ------
    StoreError
        When there is no store, or it is damaged or of another schema. Every query may raise it too.

    Examples
    --------
    >>> with StoreReader(settings.store_dir) as store:  # doctest: +SKIP
    ...     for fill in store.fills(limit=10):
    ...         print(fill.symbol, fill.side, fill.qty_text, fill.px_text)
    """

    def __init__(self, store_dir: Path) -> None:
        self.store_dir = store_dir
        self.path = store_dir / DATABASE_FILE
        if not self.path.exists():
            raise StoreError(
                f"there is no store at {self.path}: nothing has been recorded for this account yet, or data_dir and"
                " the account's name lead elsewhere"
            )
        try:
            self._connection = sqlite3.connect(f"{self.path.absolute().as_uri()}?mode=ro", uri=True)
        except sqlite3.Error as error:
            raise self._failure(error) from error
        version = self._select("SELECT value FROM meta WHERE name = 'schema_version'")
        if version != [(SCHEMA_VERSION,)]:
            self.close()
            found = version[0][0] if version else "none"
            raise StoreError(
                f"store {self.path} has schema version {found}, this zoms reads {SCHEMA_VERSION}:"
                f" {damage_remedy(self.path)}",
                damaged=True,
            )

    def orders(self, limit: int = DEFAULT_LIMIT, symbol: str | None = None, state: str | None = None) -> list[OrderRow]:
        """Orders, newest first.

        Parameters
        ----------
        limit : int
            At most so many.
        symbol : str, optional
            Only of this instrument: a symbol, or symbol and venue (``BTCUSDT.binance_usdm``).
        state : str, optional
            Only in this state: a name of ``OrderState``, in any case.

        Raises
        ------
        StoreError
            Also when there is no such state.
        """
        known = [member.name.lower() for member in OrderState]
        if state is not None and state.lower() not in known:
            raise StoreError(f"there is no order state {state!r}: it is one of {', '.join(known)}")
        return self._rows("orders", OrderRow, limit, symbol=symbol, state=state.lower() if state else None)

    def fills(self, limit: int = DEFAULT_LIMIT, symbol: str | None = None) -> list[FillRow]:
        """Fills, newest first."""
        return self._rows("fills", FillRow, limit, symbol=symbol)

    def positions(self) -> list[PositionRow]:
        """The latest position of each account or strategy, instrument and leg, in that order."""
        rows = self._rows("positions", PositionRow, -1)
        return sorted(rows, key=lambda row: (row.account, row.strategy, row.instrument, row.leg))

    def scopes(self) -> list[ScopeRow]:
        """How each account and strategy stood last, accounts first."""
        return sorted(
            self._rows("scopes", ScopeRow, -1), key=lambda row: (row.strategy >= 0, row.account, row.strategy)
        )

    def order_terms(self) -> dict[tuple[int, int], TermsRow]:
        """Triggers, display quantities and parents of the orders that have any, by session and order id."""
        return {(row.session, row.order_id): row for row in self._rows("order_terms", TermsRow, -1)}

    def parents(self, orders: Iterable[tuple[int, int]]) -> dict[int, int]:
        """The parents' ids of those orders, given by session and order id, that have one."""
        query = "SELECT order_id, parent_id FROM order_terms WHERE session = :session AND order_id = :order_id"
        found: list[tuple[int, int]] = []
        for session, order_id in sorted(set(orders)):
            found += self._select(query, {"session": session, "order_id": order_id})
        return {order_id: parent_id for order_id, parent_id in found if parent_id}

    def position_history(self, limit: int = DEFAULT_LIMIT, symbol: str | None = None) -> list[PositionRow]:
        """Positions after each fill, newest first."""
        return self._rows("position_history", PositionRow, limit, symbol=symbol)

    def events(self, limit: int = DEFAULT_LIMIT, kind: str | None = None) -> list[EventRow]:
        """Refusals, rejections, trading states, halts, book states and log lines, newest first."""
        return self._rows("events", EventRow, limit, kind=kind)

    def notes(self) -> list[NoteRow]:
        """What the recorder had to say about lost records, damaged files and errors, newest first."""
        return [NoteRow(*row) for row in self._select("SELECT kind, text, ts, times FROM notes ORDER BY ts DESC")]

    def counts(self) -> dict[str, int]:
        """The number of rows of each table."""
        return {table: self._select(f"SELECT count(*) FROM {table}")[0][0] for table in TABLES}

    def progress(self) -> dict[int, int]:
        """How many events of each core session are stored: the next sequence number."""
        return dict(self._select("SELECT session, next_seq FROM progress"))

    def ticks_summary(self) -> list[TicksRow]:
        """What is recorded of each instrument in each gateway session, oldest session first."""
        return summarise_ticks(self.store_dir)

    def _rows(self, table: str, row: type[R], limit: int, **wanted: str | None) -> list[R]:
        filters = {name: value for name, value in wanted.items() if value is not None}
        where = " AND ".join(_FILTERS.get(name, f"{name} = :{name}") for name in filters) or "1"
        statement = f"SELECT {', '.join(columns(table))} FROM {table} WHERE {where} ORDER BY rowid DESC LIMIT :limit"
        return [row(*values) for values in self._select(statement, {**filters, "limit": limit})]

    def _select(self, statement: str, values: Mapping[str, str | int] | None = None) -> list[tuple[Any, ...]]:
        try:
            return self._connection.execute(statement, values or {}).fetchall()
        except (sqlite3.Error, UnicodeDecodeError) as error:
            raise self._failure(error) from error

    def _failure(self, error: sqlite3.Error | UnicodeDecodeError) -> StoreError:
        if isinstance(error, sqlite3.OperationalError) and "no such table" not in str(error):
            return StoreError(f"store {self.path} cannot be read: {error}; check the disk and data_dir")
        return StoreError(
            f"store {self.path} is damaged or no store: {error}; {damage_remedy(self.path)}", damaged=True
        )

    def close(self) -> None:
        self._connection.close()

    def __enter__(self) -> StoreReader:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
