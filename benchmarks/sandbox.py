"""The sandbox exchange's matching engine: operations through it alone, in batches as a drained socket gives them.

Each mix runs with about as many orders open all the time. An IOC order takes about what one resting order holds, from
the best price on. What became of each operation is told in full. Calls from Python and the outcomes' copies count.

The reference of the same run is the smallest compiled engine there can be (``benchmarks._heap_book``), on the same
operations; that both trade the same is checked.
"""

from __future__ import annotations

import random
import time
from collections.abc import Iterator
from statistics import median
from typing import Any, Final, NamedTuple

import numpy as np

from benchmarks._heap_book import HeapBook
from benchmarks._market import recorded_ticks
from gateways.sandbox.matching import OPERATION, Matching, OperationKind, OutcomeKind, Records
from oms.records import BUY, SELL, Liquidity, OrderType, TimeInForce

REPEATS: Final = 5
OPERATIONS: Final = 256_000
BATCH: Final = 256
MID_PX: Final = 600_000
DEPTH_TICKS: Final = 2_000
DUE: Final = 3_000_000.0
"""Operations/s that the engine must do."""


class Mix(NamedTuple):
    """Orders open, and of the operations of a batch: new orders, those that take, cancels; the others amend."""

    live: int
    place: int
    take: int
    cancel: int


MIXES: Final = {
    "exchange_core": Mix(1_000, 23, 8, 15),
    "place_and_cancel": Mix(1_000, 128, 0, 128),
    "amend": Mix(1_000, 0, 0, 0),
    "take": Mix(1_000, 128, 128, 0),
    "exchange_core_50k_open": Mix(50_000, 23, 8, 15),
}


class Workload(NamedTuple):
    """Batches of operations, of which the first opens the book."""

    batches: list[Records]
    orders: int
    operations: int


class _Flow:
    """Makes the operations, and follows what the engine makes of them, so that they are about orders that are open."""

    def __init__(self, mix: Mix, seed: int) -> None:
        self._mix = mix
        self._random = random.Random(seed)
        self._matching = Matching()
        self._side: dict[int, int] = {}
        self._open: list[int] = []
        self.orders = 0

    def _px(self, side: int) -> int:
        return MID_PX - side * self._random.randrange(1, DEPTH_TICKS)

    def _place(self, tif: TimeInForce = TimeInForce.GTC) -> dict[str, int]:
        self.orders += 1
        side = BUY if self.orders & 1 else SELL
        px = self._px(side) if tif == TimeInForce.GTC else MID_PX + side * DEPTH_TICKS
        self._side[self.orders] = side
        return {"kind": OperationKind.PLACE, "order_id": self.orders, "side": side, "px": px, "tif": tif}

    def _amend(self, order_id: int) -> dict[str, int]:
        return {"kind": OperationKind.AMEND, "order_id": order_id, "px": self._px(self._side[order_id])}

    def opening(self) -> Records:
        return self._done([self._place() for _ in range(self._mix.live)])

    def batch(self) -> Records:
        mix = self._mix
        about = self._random.sample(self._open, BATCH - mix.place - mix.take)
        rows = [self._place() for _ in range(mix.place)]
        rows += [self._place(TimeInForce.IOC) for _ in range(mix.take)]
        rows += [{"kind": OperationKind.CANCEL, "order_id": order_id} for order_id in about[: mix.cancel]]
        rows += [self._amend(order_id) for order_id in about[mix.cancel :]]
        self._random.shuffle(rows)
        return self._done(rows)

    def _done(self, rows: list[dict[str, int]]) -> Records:
        operations = np.zeros(len(rows), OPERATION)
        operations["order_type"] = OrderType.LIMIT
        for name in ("kind", "order_id", "side", "px", "tif"):
            operations[name] = [row.get(name, 0) for row in rows]
        operations["qty"] = 1_000_000 + operations["order_id"] % 4_093
        operations["account"] = 1
        outcomes = self._matching.operate(operations)
        still: dict[int, None] = dict.fromkeys(self._open)
        for order_id, kind, left in zip(
            *(outcomes[name].tolist() for name in ("order_id", "kind", "left")), strict=True
        ):
            if kind == OutcomeKind.REJECTED:
                continue
            if left:
                still[order_id] = None
            else:
                still.pop(order_id, None)
        self._open = list(still)
        return operations


def workload(mix: Mix, operations: int = OPERATIONS, seed: int = 1) -> Workload:
    """The opening in batch 0, then batches of the mix."""
    flow = _Flow(mix, seed)
    batches = [flow.opening(), *(flow.batch() for _ in range(operations // BATCH))]
    return Workload(batches, flow.orders, sum(map(len, batches)))


def _ours(load: Workload) -> tuple[float, int, int]:
    """Operations/s, the lots that takers got, and the operations refused."""
    matching = Matching()
    matching.operate(load.batches[0])
    outcomes = []
    start = time.perf_counter()
    for batch in load.batches[1:]:
        outcomes.append(matching.operate(batch))
    elapsed_s = time.perf_counter() - start
    told = np.concatenate(outcomes)
    traded = int(told["qty"][told["liquidity"] == Liquidity.TAKER].sum())
    refused = int((told["kind"] == OutcomeKind.REJECTED).sum())
    return (load.operations - len(load.batches[0])) / elapsed_s, traded, refused


def _theirs(load: Workload) -> tuple[float, int]:
    """The same of the reference, which refuses nothing."""
    book = HeapBook(load.orders + 1, load.operations + 1)
    book.operate(load.batches[0])
    traded = 0
    start = time.perf_counter()
    for batch in load.batches[1:]:
        traded += book.operate(batch)
    return (load.operations - len(load.batches[0])) / (time.perf_counter() - start), traded


def _ticks_per_s() -> float:
    """Records of the recorded stream a second, without orders."""
    ticks = recorded_ticks()
    matching = Matching()
    start = time.perf_counter()
    matching.background(ticks)
    return len(ticks) / (time.perf_counter() - start)


def measure() -> Iterator[dict[str, Any]]:
    """Operations per second of each mix."""
    for name, mix in MIXES.items():
        load = workload(mix)
        _theirs(load)  # compiles
        ours, theirs = [], []
        for _ in range(REPEATS):
            rate, traded, refused = _ours(load)
            other_rate, other_traded = _theirs(load)
            if traded != other_traded:
                raise RuntimeError(f"{traded} lots traded, in the reference {other_traded}: one of them is wrong")
            ours.append(rate)
            theirs.append(other_rate)
        yield {
            "name": f"sandbox_{name}",
            "unit": "operations/s",
            "ours": median(ours),
            "reference": median(theirs),
            "reference_name": "two compiled heaps that tell nothing, same run",
            "ratio": median(ours) / median(theirs),
            "details": {
                "to_what_is_due": median(ours) / DUE,
                "ns_an_operation": 1e9 / median(ours),
                "open_orders": mix.live,
                "lots_traded": traded,
                "refused": refused,
                "ours_all": ours,
                "reference_all": theirs,
            },
        }
    rates = [_ticks_per_s() for _ in range(REPEATS)]
    yield {
        "name": "sandbox_background",
        "unit": "ticks/s",
        "ours": median(rates),
        "reference": None,
        "reference_name": "",
        "ratio": None,
        "details": {"of": "the recorded stream, no orders", "ours_all": rates},
    }
