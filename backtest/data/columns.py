"""What the columns of a table mean: each kind of table, its columns, and the names they go by.

Names are compared without case, blanks and punctuation: ``isBuyerMaker`` is ``is_buyer_maker``. The names are those of
Binance's public dumps, Tardis, ccxt, freqtrade and plain tables.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Final, NamedTuple

from backtest.data.clocks import DataError
from oms.records import TickKind

TIME: Final = ("timestamp", "ts", "time", "date", "datetime", "exch_ts", "exchange_timestamp")
LOCAL_TIME: Final = ("local_timestamp", "local_ts", "receipt_timestamp", "receive_time")
WHOSE: Final = ("exchange", "venue", "symbol", "instrument", "pair", "market")
MAKER_NAMES: Final = frozenset({"isbuyermaker", "buyermaker"})
"""Columns that say whether the buyer was the maker, in the place of the aggressor's side."""


class Table(NamedTuple):
    """One kind of table: the names of each column, and what else it may have, which is not read."""

    required: Mapping[str, Sequence[str]]
    optional: Mapping[str, Sequence[str]]
    extra: Sequence[str]
    kinds: frozenset[TickKind] = frozenset()
    """What the records of its rows can be; none for bars."""


TABLES: Final = {
    "bars": Table(
        {
            "ts": ("open_time", *TIME),
            "open": ("open", "o"),
            "high": ("high", "h"),
            "low": ("low", "l"),
            "close": ("close", "c"),
            "volume": ("volume", "vol", "v", "base_volume"),
        },
        {"close_ts": ("close_time",)},
        (
            *WHOSE,
            *("quote_volume", "quote_asset_volume", "turnover", "count", "trades", "number_of_trades", "ignore"),
            *("taker_buy_volume", "taker_buy_quote_volume"),
            *("taker_buy_base_asset_volume", "taker_buy_quote_asset_volume"),
        ),
    ),
    "quotes": Table(
        {
            "exch_ts": ("transaction_time", *TIME),
            "px": ("bid", "bid_price", "bid_px", "best_bid", "best_bid_price"),
            "qty": ("bid_qty", "bid_size", "bid_amount", "bid_quantity", "best_bid_qty", "best_bid_size"),
            "px_2": ("ask", "ask_price", "ask_px", "best_ask", "best_ask_price"),
            "qty_2": ("ask_qty", "ask_size", "ask_amount", "ask_quantity", "best_ask_qty", "best_ask_size"),
        },
        {"local_ts": LOCAL_TIME, "update_id": ("update_id", "id")},
        (*WHOSE, "event_time"),
        frozenset({TickKind.QUOTE}),
    ),
    "book": Table(
        {
            "exch_ts": TIME,
            "px": ("price", "px"),
            "qty": ("amount", "qty", "quantity", "size"),
            "side": ("side",),
            "snapshot": ("is_snapshot", "snapshot"),
        },
        {"local_ts": LOCAL_TIME},
        WHOSE,
        frozenset({TickKind.DEPTH, TickKind.SNAPSHOT}),
    ),
    "trades": Table(
        {
            "exch_ts": ("transact_time", "transaction_time", "trade_time", *TIME),
            "px": ("price", "px"),
            "qty": ("qty", "quantity", "amount", "size", "volume"),
            "side": ("side", "taker_side", "aggressor_side", *MAKER_NAMES),
        },
        {"local_ts": LOCAL_TIME, "update_id": ("id", "trade_id", "agg_trade_id")},
        (*WHOSE, "quote_qty", "cost", "first_trade_id", "last_trade_id", "is_best_match", "best_match"),
        frozenset({TickKind.TRADE}),
    ),
    "mark": Table(
        {"exch_ts": TIME, "px": ("mark_price", "mark", "mark_px")},
        {"local_ts": LOCAL_TIME, "px_2": ("index_price", "index", "index_px")},
        (
            *WHOSE,
            *("funding_timestamp", "funding_rate", "predicted_funding_rate", "open_interest", "last_price"),
        ),
        frozenset({TickKind.MARK}),
    ),
    "funding": Table(
        {"exch_ts": ("calc_time", "funding_time", *TIME), "qty": ("funding_rate", "last_funding_rate", "rate")},
        {},
        (*WHOSE, "funding_interval_hours", "mark_price"),
        frozenset({TickKind.FUNDING}),
    ),
}
"""The kinds of table; a table is the first whose required columns it has, with no column that it does not know."""

HEADERLESS: Final = (
    (
        "aggtrades",
        8,
        "agg_trade_id price quantity first_trade_id last_trade_id transact_time is_buyer_maker best_match",
    ),
    ("aggtrades", 7, "agg_trade_id price quantity first_trade_id last_trade_id transact_time is_buyer_maker"),
    ("trades", 7, "id price qty quote_qty time is_buyer_maker is_best_match"),
    ("trades", 6, "id price qty quote_qty time is_buyer_maker"),
    (
        "bookticker",
        7,
        "update_id best_bid_price best_bid_qty best_ask_price best_ask_qty transaction_time event_time",
    ),
    (
        "",
        12,
        "open_time open high low close volume close_time quote_volume count taker_buy_volume taker_buy_quote_volume "
        "ignore",
    ),
    ("", 6, "time open high low close volume"),
)
"""Columns of files without a header: what their name contains, how many columns they have, and which."""


class Meaning(NamedTuple):
    """What a table's columns are."""

    table: str
    columns: dict[str, str]
    """The file's name of each column that is read, by ours."""

    @property
    def kinds(self) -> frozenset[TickKind]:
        """What the records of its rows can be."""
        return TABLES[self.table].kinds


def plain(name: str) -> str:
    """A column's name without case, blanks and punctuation."""
    return re.sub(r"[^a-z0-9]", "", name.lower())


def meaning_of(path: Path, names: Sequence[str]) -> Meaning:
    """Find out what a table with columns of these names is.

    Raises
    ------
    DataError
        When it is no table of a known kind, has columns that are not known, or two that mean the same.
    """
    best: tuple[int, str, list[str]] = (0, "", [])
    for kind, table in TABLES.items():
        columns = {field: _named(aliases, names) for field, aliases in {**table.required, **table.optional}.items()}
        if all(columns[field] for field in table.required):
            _refuse_twice(path, columns)
            read = {field: found[0] for field, found in columns.items() if found}
            unknown = [name for name in names if name not in read.values() and not _named(table.extra, [name])]
            if not unknown:
                return Meaning(kind, read)
            if not best[0] or len(read) > best[0]:
                best = (len(read), kind, unknown)
    if best[0]:
        raise DataError(
            f"{path} looks like a table of {best[1]} with the unknown column{'s' * (len(best[2]) > 1)} "
            f"{', '.join(best[2])}: remove what is not to be read, or rename it. Known: {_columns_text(best[1])}"
        )
    expected = "; ".join(f"{kind}: {_columns_text(kind)}" for kind in TABLES)
    raise DataError(
        f"{path} has the columns {', '.join(names)}, which are no table that zoms reads. Known are {expected}"
    )


def headerless(path: Path, count: int) -> list[str]:
    """The columns of a file without a header.

    Raises
    ------
    DataError
        When no known file without a header has so many.
    """
    for part, columns, names in HEADERLESS:
        if part in plain(path.name) and columns == count:
            return names.split()
    raise DataError(
        f"{path} has no header and {count} columns: name them in a first line, such as timestamp,price,qty,side"
    )


def _named(aliases: Iterable[str], names: Sequence[str]) -> list[str]:
    wanted = {plain(alias) for alias in aliases}
    return [name for name in names if plain(name) in wanted]


def _refuse_twice(path: Path, columns: Mapping[str, Sequence[str]]) -> None:
    for field, found in columns.items():
        if len(found) > 1:
            raise DataError(f"{path}: the columns {' and '.join(found)} both mean {field}: remove one of them")


def _columns_text(kind: str) -> str:
    table = TABLES[kind]
    needed = [names[0] for names in table.required.values()]
    return ", ".join([*needed, *(f"{names[0]} (optional)" for names in table.optional.values())])
