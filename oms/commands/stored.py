"""What an account has on disk: ``zoms recorded``, ``orders``, ``fills``, ``positions`` and ``journal``."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from oms.commands.options import Account, CommandError, DataDir, Json, say, say_json, say_table, stored_settings

if TYPE_CHECKING:
    from oms.config import Settings
    from oms.journal_format import Entry
    from oms.store.reader import StoreReader

REFUSED: Final = "refused"
"""What to show for an order that risk refused: in the core it never had a state."""

Limit = Annotated[int, typer.Option("--limit", help="Show at most this many, the newest ones.", min=1, metavar="N")]
Instrument = Annotated[str | None, typer.Option("--instrument", help="Only this instrument.", metavar="SYMBOL")]


def time_text(ts: int) -> str:
    """Nanoseconds since the epoch as a date and time, UTC, to the millisecond."""
    return datetime.fromtimestamp(ts / 1e9, tz=UTC).strftime("%Y-%m-%d %H:%M:%S.%f")[:-3]


def open_store(account: str | None, data_dir: Path | None) -> StoreReader:
    """The account's store; raises ``StoreError`` when it has none."""
    from oms.store.reader import StoreReader

    return StoreReader(stored_settings(account, data_dir).store_dir)


class Owners:
    """Whose orders are, and what their owners call them, of those that are about to be shown.

    Parameters
    ----------
    settings : Settings
        Of the account's last session.
    order_ids : iterable of int
    parents : mapping of int to int
        Parents' ids by order id, of those that have one: an algorithm's child order is its parent's owner's.
    """

    def __init__(self, settings: Settings, order_ids: Iterable[int], parents: Mapping[int, int] | None = None) -> None:
        from oms.algorithms import name_number, read_algorithms
        from oms.records import ALGORITHM_CLIENT, ORDER_ID_COUNTER_BITS
        from rpc.ledger import LEDGER_FOLDER
        from rpc.ledger_reader import order_algorithms, order_names

        ids = list(order_ids)
        folder = settings.account_dir / LEDGER_FOLDER
        self._strategies = [each.title for each in settings.strategies]
        self._parents = {
            order_id: parent_id
            for order_id, parent_id in (parents or {}).items()
            if order_id >> ORDER_ID_COUNTER_BITS == ALGORITHM_CLIENT
        }
        self._names = order_names(folder, [*ids, *self._parents.values()])
        titles = {name_number(each.id): name for name, each in read_algorithms(settings.algorithm_files).items()}
        self._algorithms = {
            key: titles.get(name_number(each), "unknown") for key, each in order_algorithms(folder, ids).items()
        }

    def fields(self, order_id: int) -> dict[str, str | None]:
        """The same by name, and the algorithm; without an id of the owner's own None."""
        owner, _ = self.cells(order_id)
        name = self._names.get(order_id)
        return {
            "owner": owner,
            "client_order_id": name.client_order_id if name else None,
            "algorithm": self.algorithm(order_id),
        }

    def algorithm(self, order_id: int) -> str | None:
        """The algorithm that works an order; None: none does."""
        return self._algorithms.get(order_id)

    def cells(self, order_id: int) -> list[str]:
        """Owner, and the owner's id for the order; its number where there is none."""
        from oms.records import EXCHANGE_CLIENT, ORDER_ID_COUNTER_BITS, RPC_CLIENT_BASE, STRATEGY_CLIENT_BASE

        name = self._names.get(order_id)
        if name is not None:
            return [name.client, name.client_order_id]
        if order_id in self._parents:
            owner, _ = self.cells(self._parents[order_id])
            return [owner, str(order_id)]
        client = order_id >> ORDER_ID_COUNTER_BITS
        number = client - STRATEGY_CLIENT_BASE
        if 0 <= number < len(self._strategies) and client < RPC_CLIENT_BASE:
            return [self._strategies[number], str(order_id)]
        return ["exchange" if client == EXCHANGE_CLIENT else f"client {client}", str(order_id)]


def say_rows(
    rows: Iterable[Any],
    as_json: bool,
    titles: list[str],
    cells: Any,
    right: frozenset[int],
    owners: Owners | None = None,
) -> None:
    """Print store rows: whole as JSON, with ``owners`` of orders, or the given cells of each as a table, the newest
    last."""
    import msgspec

    found = list(rows)
    if as_json:
        say_json([msgspec.to_builtins(row) | (owners.fields(row.order_id) if owners else {}) for row in found])
    elif not found:
        say("none yet")
    else:
        say_table(titles, [cells(row) for row in reversed(found)], right)


def recorded(account: Account = None, data_dir: DataDir = None, as_json: Json = False) -> None:
    """Show what is recorded of an account: ticks, orders, fills, and what the recorder has to say."""
    import msgspec

    with open_store(account, data_dir) as store:
        counts, ticks, notes = store.counts(), store.ticks_summary(), store.notes()
    if as_json:
        say_json({"counts": counts, "ticks": msgspec.to_builtins(ticks), "notes": msgspec.to_builtins(notes)})
        return
    say(", ".join(f"{count:,} {table.replace('_', ' ')}" for table, count in counts.items()))
    rows = [[row.symbol, f"{row.ticks:,}", time_text(row.first_ts), time_text(row.last_ts)] for row in ticks]
    if rows:
        say("")
        say_table(["ticks of", "ticks", "from (record time)", "to"], rows, frozenset({1}))
    for note in notes:
        say(f"{time_text(note.ts)} {note.kind}: {note.text} ({note.times} times)")
    say(f"\nin {store.store_dir}")


def stored_orders(
    account: Account = None,
    data_dir: DataDir = None,
    instrument: Instrument = None,
    state: Annotated[
        str | None, typer.Option("--state", help="Only in this state, such as live or filled.", metavar="STATE")
    ] = None,
    limit: Limit = 20,
    as_json: Json = False,
) -> None:
    """Show recorded orders as they stood after their last event."""
    with open_store(account, data_dir) as store:
        rows = store.orders(limit, instrument, state)
        terms = store.order_terms()
        parents = store.parents((row.session, row.order_id) for row in rows)
    owners = Owners(stored_settings(account, data_dir), [row.order_id for row in rows], parents)
    triggers = {key: f" from {each.trigger_px_text}" for key, each in terms.items() if each.trigger_px}
    say_rows(
        rows,
        as_json,
        ["updated", "owner", "id", "instrument", "side", "qty", "price", "filled", "state", "reason"],
        lambda row: [
            time_text(row.updated_ts),
            *owners.cells(row.order_id),
            row.symbol,
            row.side,
            row.qty_text,
            ("market" if row.order_type == "market" else row.px_text)
            + triggers.get((row.session, row.order_id), "")
            + (f", {owners.algorithm(row.order_id)}" if owners.algorithm(row.order_id) else ""),
            row.filled_qty_text,
            REFUSED if row.state == "empty" else row.state,
            "" if row.reason.upper() == "NONE" else row.reason,
        ],
        frozenset({5, 6, 7}),
        owners,
    )


def stored_fills(
    account: Account = None,
    data_dir: DataDir = None,
    instrument: Instrument = None,
    limit: Limit = 20,
    as_json: Json = False,
) -> None:
    """Show recorded fills, with the position after each."""
    with open_store(account, data_dir) as store:
        rows = store.fills(limit, instrument)
        parents = store.parents((row.session, row.order_id) for row in rows)
    owners = Owners(stored_settings(account, data_dir), [row.order_id for row in rows], parents)
    say_rows(
        rows,
        as_json,
        ["time", "owner", "id", "instrument", "side", "qty", "price", "", "fee", "position"],
        lambda row: [
            time_text(row.ts),
            *owners.cells(row.order_id),
            row.symbol,
            row.side,
            row.qty_text,
            row.px_text,
            row.liquidity,
            row.fee_text,
            row.position_qty_text,
        ],
        frozenset({5, 6, 8, 9}),
        owners,
    )


def stored_positions(account: Account = None, data_dir: DataDir = None, as_json: Json = False) -> None:
    """Show the last recorded positions of accounts and strategies, and how each of them stood as a whole."""
    import msgspec

    with open_store(account, data_dir) as store:
        rows, scopes = store.positions(), store.scopes()
    if as_json:
        say_json({"positions": msgspec.to_builtins(rows), "standings": msgspec.to_builtins(scopes)})
        return
    say_rows(
        reversed(rows),
        as_json,
        [
            "account",
            "strategy",
            "instrument",
            "",
            "position",
            "average",
            "mark",
            "realized",
            "unrealized",
            "fees",
            "fills",
        ],
        lambda row: [
            row.account,
            "" if row.strategy < 0 else str(row.strategy),
            row.symbol,
            "short" if row.leg else "",
            row.qty_text,
            row.average_px_text,
            row.mark_text,
            row.realized_pnl_text,
            row.unrealized_pnl_text,
            row.fees_text,
            f"{row.fills:,}",
        ],
        frozenset(range(4, 11)),
    )
    if scopes:
        say("")
        say_table(
            ["account", "strategy", "PnL", "highest", "gross", "net", "margin", "open orders"],
            [
                [
                    row.account,
                    "" if row.strategy < 0 else str(row.strategy),
                    row.pnl_text,
                    row.peak_pnl_text,
                    row.gross_text,
                    row.net_text,
                    row.margin_text,
                    str(row.open_orders),
                ]
                for row in scopes
            ],
            frozenset(range(2, 8)),
        )


def journal(
    file: Annotated[
        Path | None, typer.Argument(help="Journal file to begin with; without it, the account's last session.")
    ] = None,
    account: Account = None,
    data_dir: DataDir = None,
    entries: Annotated[bool, typer.Option("--entries", help="Print every record.")] = False,
) -> None:
    """Verify a session's journal, entry by entry, and print what it holds."""
    from collections import Counter

    from oms.journal_format import Direction, MetaKind
    from oms.journal_reader import JournalReader
    from oms.records import RecordKind

    path = file or last_journal(stored_settings(account, data_dir).journal_dir)
    reader = JournalReader(path)
    held: Counter[str] = Counter()
    closed = begun = False
    for entry in reader:
        begun = True
        if entry.kind in (MetaKind.SESSION, MetaKind.CLOSE):
            closed = entry.kind == MetaKind.CLOSE
            continue
        name = f"{RecordKind(entry.kind).name} {Direction(entry.direction).name.lower()}"
        held[name] += len(entry.records)
        if entries:
            print_entry(entry, name)
    if not begun:
        raise CommandError(f"{path} is no journal: it does not begin with a whole entry")
    say(f"{path}: every entry is whole")
    for name, count in sorted(held.items()):
        say(f"  {count:,} {name}")
    if reader.torn:
        offset, size = reader.torn
        say(f"  the last entry, at offset {offset}, is incomplete ({size} bytes): a crash cut it off")
    say("  closed in good order" if closed else "  not closed: the core still writes it, or ended without closing it")


def print_entry(entry: Entry, name: str) -> None:
    """Print an entry's records, a line each, with the fields that are not zero."""
    fields = entry.records.dtype.names or ()
    for record in entry.records:
        values = " ".join(f"{field}={record[field]}" for field in fields if field != "spare" and record[field])
        say(f"{entry.number} {time_text(entry.ts)} {name}: {values}")


def last_journal(journal_dir: Path) -> Path:
    """The first file of the newest session in a folder; raises ``CommandError`` when there is none."""
    from oms.journal_segments import sessions

    files = sessions(journal_dir)
    if not files:
        raise CommandError(f"there is no journal in {journal_dir}: no session of this account has run yet")
    return files[-1]
