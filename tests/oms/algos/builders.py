"""Builders for tests of execution algorithms: a core with an algorithm loaded, and parent orders in it."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any, Final

import numpy as np

from oms import engine
from oms.algorithms import BUILT_IN, read_algorithm
from oms.compiled import compile_entries
from oms.core.orders import is_open
from oms.records import (
    ALGORITHM_CLIENT,
    ORDER_ID_COUNTER_BITS,
    TERMS,
    CommandKind,
    EventKind,
    OrderState,
    OrderType,
    Reason,
    ReportKind,
    Trigger,
)
from strategies.loader import LoadedAlgorithm, define_algorithm, load_algorithm
from tests.oms.core.builders import BUY, Records, Rig, amend, cancel, client_id, command, fill, new_order, report

PARENT: Final = client_id(1)
SAMPLES: Final = Path(__file__).parent / "samples"


@cache
def loaded(path: Path) -> LoadedAlgorithm:
    """An algorithm, compiled once a test session."""
    compile_entries()
    return load_algorithm(path)


def file_of(name: str) -> Path:
    """The file of a built-in algorithm, or of a sample."""
    stem = name.replace("-", "_")
    sample = SAMPLES / f"{stem}.py"
    return sample if sample.exists() else BUILT_IN / f"{stem}.py"


def terms(order_id: int, name: str, routes: tuple[int, ...] = (), **parameters: float) -> Records:
    """The TERMS record of an order, the defaults where nothing is given."""
    row = np.zeros(1, TERMS)
    algorithm = read_algorithm(file_of(name))
    values = algorithm.values(parameters)
    row["order_id"] = order_id
    row["algorithm"] = algorithm.id
    row["parameters"][0, : len(values)] = values
    row["routes"] = -1
    row["routes"][0, : len(routes)] = routes
    return row


class AlgoRig(Rig):
    """A rig with algorithms: ``start`` places a parent order, the test plays the exchange, or a model does."""

    trades: int
    most: int
    """The largest target so far."""

    def __init__(self, *names: str, **options: Any) -> None:
        super().__init__(**options)
        self.trades = 0
        self.most = 0
        for name in names:
            define_algorithm(self.st, loaded(file_of(name)))

    def start(
        self,
        name: str,
        side: int = BUY,
        qty: int = 100,
        px: int = 0,
        *,
        order_id: int = PARENT,
        routes: tuple[int, ...] = (),
        fields: dict[str, int] | None = None,
        **parameters: float,
    ) -> Records:
        """Place a parent order; ``px`` 0: without a limit. Returns the events."""
        engine.take_terms(self.st, terms(order_id, name, routes, **parameters))
        order_type = OrderType.LIMIT if px else OrderType.MARKET
        words = {"trigger": Trigger.ALGORITHM, "order_type": order_type, **(fields or {})}
        return self.commands(new_order(order_id, side, px, qty, **words))

    def amend(self, name: str, px: int = 0, qty: int = 0, *, order_id: int = PARENT, **parameters: float) -> Records:
        """Change a parent's parameters, the defaults where nothing is given, and its price and quantity."""
        engine.take_terms(self.st, terms(order_id, name, (), **parameters))
        return self.commands(amend(order_id, px=px, qty=qty, trigger=Trigger.ALGORITHM))

    def pause(self, order_id: int = PARENT) -> Records:
        return self.commands(command(CommandKind.PAUSE, order_id))

    def resume(self, order_id: int = PARENT) -> Records:
        return self.commands(command(CommandKind.RESUME, order_id))

    def cancel(self, order_id: int = PARENT) -> Records:
        return self.commands(cancel(order_id))

    @property
    def children(self) -> list[Any]:
        """Rows of all child orders so far, oldest first."""
        rows = self.s["orders"][: self.s["orders_used"]]
        at = np.flatnonzero(rows["order_id"] >> ORDER_ID_COUNTER_BITS == ALGORITHM_CLIENT)
        return [rows[each] for each in sorted(at.tolist(), key=lambda each: int(rows[each]["order_id"]))]

    @property
    def open_children(self) -> list[Any]:
        return [child for child in self.children if is_open(int(child["state"]))]

    def child(self) -> Any:
        """The one open child."""
        (found,) = self.open_children
        return found

    def parent_row(self, order_id: int = PARENT) -> Any:
        return self.s["parents"][self.order(order_id)["parent_row"] - 1]

    def accept(self, order: Any) -> Records:
        return self.reports(report(ReportKind.ACCEPTED, int(order["order_id"])))

    def reject(self, order: Any) -> Records:
        return self.reports(report(ReportKind.REJECTED, int(order["order_id"]), reason=Reason.NO_LIQUIDITY))

    def fill(self, order: Any, qty: int, px: int = 0) -> Records:
        """Fill lots of an order at its price, or ``px``."""
        self.trades += 1
        side = int(order["side"])
        return self.reports(fill(int(order["order_id"]), qty, px or int(order["px"]), side=side, trade_id=self.trades))

    def confirm_cancel(self, order: Any) -> Records:
        return self.reports(report(ReportKind.CANCELLED, int(order["order_id"])))

    def expire(self, order: Any) -> Records:
        """The rest of an immediate-or-cancel order is given up."""
        return self.reports(report(ReportKind.EXPIRED, int(order["order_id"]), reason=Reason.NO_LIQUIDITY))

    def confirm_amend(self, order: Any) -> Records:
        """The exchange's answer to an amend: one to no more than has been filled meanwhile cancels the rest."""
        px, qty = int(order["pending_px"]), int(order["pending_qty"])
        if qty <= order["filled_qty"]:
            return self.confirm_cancel(order)
        return self.reports(report(ReportKind.AMENDED, int(order["order_id"]), px=px, qty=qty))

    def progress(self) -> Any:
        """The last PROGRESS event."""
        return self.events[self.events["kind"] == EventKind.PROGRESS][-1]

    def end(self, order_id: int = PARENT) -> tuple[OrderState, Reason]:
        """How a parent ended."""
        events = self.events
        (event,) = events[(events["kind"] == EventKind.HELD_ENDED) & (events["order_id"] == order_id)]
        return OrderState(int(event["state"])), Reason(int(event["reason"]))
