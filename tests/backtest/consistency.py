"""What must hold in an exchange model's tables at every moment, written down once."""

from __future__ import annotations

import numpy as np

from oms.core.orders import OPEN_STATES
from oms.core.state import MODEL_BUCKETS, MODEL_QUEUE, MODEL_TAKEN, State
from oms.records import BUY, SELL


def check_model(st: State, *, queues_in_order: bool = True) -> None:
    """Raise ``AssertionError`` when lists, counts, buckets or quantities of the model contradict each other.

    ``queues_in_order``: whether a later order at a price has at least as much ahead of it. hftbacktest's models do not
    keep that when a snapshot no longer shows the level.
    """
    s = st[0]
    model = s["model"]
    active = np.flatnonzero(model["orders"]["active"][: s["orders_used"]])
    listed: list[int] = []
    for number in np.flatnonzero(s["instruments"]["defined"]):
        slots = _list_of(model, int(number))
        listed += slots
        orders = model["orders"][slots]
        assert (orders["instrument"] == number).all()
        assert model["resting"][number] == len(slots)
        buckets = np.bincount(orders["px"] % MODEL_BUCKETS, minlength=MODEL_BUCKETS)
        assert (model["bucket"][number] == buckets).all()
        for side in (BUY, SELL):
            best = int(model["reach"][number, (side + 1) >> 1])
            own = orders["px"][orders["side"] == side]
            assert ((best - own) * side >= 0).all(), (
                f"an order at {own} is better than what is said to be the best, {best}"
            )
            for px in np.unique(orders["px"][orders["side"] == side]):
                ahead = orders["queue_ahead"][(orders["side"] == side) & (orders["px"] == px)]
                in_order = not queues_in_order or (np.diff(ahead) >= 0).all()
                assert in_order, f"orders at {px} do not stand in order of arrival: {ahead}"
    assert sorted(listed) == active.tolist(), "active orders are not those in the lists"
    orders = model["orders"][active]
    assert (orders["leaves"] > 0).all()
    assert (orders["leaves"] <= orders["qty"]).all()
    assert (orders["queue_ahead"] >= 0).all()
    assert (s["orders"][active]["order_id"] == orders["order_id"]).all()
    assert np.isin(s["orders"][active]["state"], OPEN_STATES).all() or model["answer_count"] > 0
    _check_taken(model)
    for name in ("request", "answer"):
        _check_queue(model, name)


def _list_of(model: np.void, number: int) -> list[int]:
    """Slots of an instrument's resting orders, walked forwards and checked backwards."""
    slots = []
    before = -1
    slot = int(model["head"][number])
    while slot >= 0:
        assert model["orders"][slot]["previous"] == before
        slots.append(slot)
        assert len(slots) <= len(model["orders"]), "the list is a circle"
        before = slot
        slot = int(model["orders"][slot]["next"])
    assert model["tail"][number] == before
    return slots


def _check_taken(model: np.void) -> None:
    count = int(model["taken_count"])
    assert 0 <= count <= MODEL_TAKEN
    taken = model["taken"][:count]
    assert (taken["qty"] > 0).all()
    levels = {(int(row["instrument"]), int(row["side"]), int(row["px"])) for row in taken}
    assert len(levels) == count, "a level is remembered twice"


def _check_queue(model: np.void, name: str) -> None:
    count = int(model[f"{name}_count"])
    assert 0 <= count <= MODEL_QUEUE
    rows = model[f"{name}s"][(int(model[f"{name}_head"]) + np.arange(count)) % MODEL_QUEUE]
    assert (np.diff(rows["ts"]) >= 0).all(), f"a {name} overtakes another"
