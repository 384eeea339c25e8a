"""Operations, market data messages and outcomes in few words."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np

from gateways.sandbox.matching import OPERATION, Matching, OperationKind, Records
from oms.records import TICK, OrderType, TickFlag, TickKind, TimeInForce
from tests.gateways.sandbox.matching_reference import Outcome

TS = 1_723_161_256_000_000_000


def rows(dtype: np.dtype[Any], fields: Iterable[dict[str, int]]) -> Records:
    found = list(fields)
    made = np.zeros(len(found), dtype)
    for at, row in enumerate(found):
        for name, value in row.items():
            made[at][name] = value
    return made


def place(order_id: int, side: int, px: int, qty: int, **fields: int) -> Records:
    terms = {"order_id": order_id, "side": side, "px": px, "qty": qty, "account": 1, "ts": TS}
    kinds = {"kind": OperationKind.PLACE, "order_type": OrderType.LIMIT, "tif": TimeInForce.GTC}
    return rows(OPERATION, [{**terms, **kinds, **fields}])


def market(order_id: int, side: int, qty: int, **fields: int) -> Records:
    return place(order_id, side, 0, qty, order_type=OrderType.MARKET, **fields)


def cancel(order_id: int, account: int = 1) -> Records:
    return rows(OPERATION, [{"kind": OperationKind.CANCEL, "order_id": order_id, "account": account, "ts": TS}])


def amend(order_id: int, px: int, qty: int, **fields: int) -> Records:
    base = {"kind": OperationKind.AMEND, "order_id": order_id, "px": px, "qty": qty, "account": 1, "ts": TS}
    return rows(OPERATION, [{**base, **fields}])


def message(
    kind: TickKind, update_id: int, levels: Iterable[tuple[int, int, int]], previous_id: int | None = None
) -> Records:
    """One message of levels (side, px, qty) that follows the one before."""
    base = {"kind": kind, "update_id": update_id, "px_2": update_id - 1 if previous_id is None else previous_id}
    base |= {"exch_ts": TS, "local_ts": TS + 1}
    made = rows(TICK, [{**base, "side": side, "px": px, "qty": qty} for side, px, qty in levels] or [base])
    made["flags"][0] |= TickFlag.FIRST
    made["flags"][-1] |= TickFlag.LAST
    return made


def snapshot(*levels: tuple[int, int, int], update_id: int = 1) -> Records:
    return message(TickKind.SNAPSHOT, update_id, levels)


def depth(update_id: int, *levels: tuple[int, int, int]) -> Records:
    return message(TickKind.DEPTH, update_id, levels)


def trade(side: int, px: int, qty: int) -> Records:
    """A trade whose aggressor is of ``side``."""
    both = TickFlag.FIRST | TickFlag.LAST
    row = {"kind": TickKind.TRADE, "side": side, "px": px, "qty": qty, "flags": both, "exch_ts": TS, "local_ts": TS + 1}
    return rows(TICK, [row])


def stale() -> Records:
    return rows(TICK, [{"kind": TickKind.STALE, "flags": TickFlag.FIRST | TickFlag.LAST, "exch_ts": TS}])


def told(outcomes: Records) -> list[Outcome]:
    """Outcomes as the reference tells them."""
    return [Outcome(**{name: int(row[name]) for name in Outcome._fields}) for row in outcomes]


def book(matching: Matching, count: int = 20) -> dict[int, list[tuple[int, int]]]:
    """The visible levels (px, qty) of each side, best first."""
    levels = matching.levels(count)
    return {1: [(int(px), int(qty)) for px, qty in levels.bids], -1: [(int(px), int(qty)) for px, qty in levels.asks]}
