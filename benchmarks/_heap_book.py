"""A matching engine as small as it gets, compiled: two binary heaps of orders, cancelled ones thrown out at the top.

It knows one account, no background and no refusals, finds orders by id as an index, and tells nothing but what traded.
"""

from __future__ import annotations

from typing import Any, Final

import numba
import numpy as np

from gateways.sandbox.matching import OperationKind, Records
from oms.records import TimeInForce

_PLACE: Final = int(OperationKind.PLACE)
_CANCEL: Final = int(OperationKind.CANCEL)
_GTC: Final = int(TimeInForce.GTC)
_TIME_BITS: Final = 24
_PX_TOP: Final = 1 << 30


@numba.njit  # type: ignore[untyped-decorator]
def _push(keys: Any, ids: Any, size: int, key: int, order_id: int) -> None:  # pragma: no cover
    at = size
    while at > 0 and keys[(at - 1) >> 1] > key:
        above = (at - 1) >> 1
        keys[at], ids[at] = keys[above], ids[above]
        at = above
    keys[at], ids[at] = key, order_id


@numba.njit  # type: ignore[untyped-decorator]
def _pop(keys: Any, ids: Any, size: int) -> None:  # pragma: no cover
    key, order_id = keys[size - 1], ids[size - 1]
    at, below = 0, 1
    while below < size - 1:
        if below + 1 < size - 1 and keys[below + 1] < keys[below]:
            below += 1
        if keys[below] >= key:
            break
        keys[at], ids[at] = keys[below], ids[below]
        at, below = below, 2 * below + 1
    keys[at], ids[at] = key, order_id


@numba.njit  # type: ignore[untyped-decorator]
def _run(
    operations: Any, sizes: Any, keys: Any, ids: Any, key_of: Any, left: Any, side_of: Any, time: int
) -> int:  # pragma: no cover
    """Do the operations; returns the lots traded."""
    traded = 0
    for i in range(operations.shape[0]):
        operation = operations[i]
        order_id = operation["order_id"]
        wanted = operation["qty"]
        if operation["kind"] == _PLACE:
            side_of[order_id] = operation["side"]
        elif left[order_id] == 0:
            continue
        left[order_id] = 0
        if operation["kind"] == _CANCEL:
            continue
        side = side_of[order_id]
        other = (1 - side) >> 1
        limit = (_PX_TOP + side * operation["px"] + 1) << _TIME_BITS
        while wanted > 0 and sizes[other] > 0:
            key, maker = keys[other, 0], ids[other, 0]
            if left[maker] == 0 or key_of[maker] != key:
                _pop(keys[other], ids[other], sizes[other])
                sizes[other] -= 1
                continue
            if key >= limit:
                break
            qty = min(wanted, left[maker])
            wanted -= qty
            left[maker] -= qty
            traded += qty
        if wanted > 0 and operation["tif"] <= _GTC:
            own = 1 - other
            key = ((_PX_TOP - side * operation["px"]) << _TIME_BITS) + time + i
            key_of[order_id] = key
            left[order_id] = wanted
            _push(keys[own], ids[own], sizes[own], key, order_id)
            sizes[own] += 1
    return traded


class HeapBook:
    """The book, with room for as many orders and operations as it is told.

    Parameters
    ----------
    most_orders, most_operations : int
        Order ids are below the one; at most 16.7 million of the other.
    """

    def __init__(self, most_orders: int, most_operations: int) -> None:
        self._sizes = np.zeros(2, np.int64)
        self._keys = np.zeros((2, most_operations), np.int64)
        self._ids = np.zeros((2, most_operations), np.int64)
        self._key_of = np.zeros(most_orders, np.int64)
        self._left = np.zeros(most_orders, np.int64)
        self._side_of = np.zeros(most_orders, np.int64)
        self._time = 0

    def operate(self, operations: Records) -> int:
        """Do operations; returns the lots traded."""
        of_orders = (self._key_of, self._left, self._side_of)
        traded: int = _run(operations, self._sizes, self._keys, self._ids, *of_orders, self._time)
        self._time += len(operations)
        return traded
