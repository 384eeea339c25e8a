"""The command output: requests that risk has let through, and what the journal must know of the core's own keeping.

The host journals every row, and hands those for the exchange (up to ``LAST_EXCHANGE_COMMAND``) to the gateway when
orders are external; otherwise the same row also goes into the exchange model's queue, where it arrives after the entry
latency.
"""

from __future__ import annotations

from typing import Final

from oms.compiled import copy_record, hot_kernel, kernel
from oms.core.latencies import entry_latency
from oms.core.state import COMMAND_RING, EVENT_RING, MODEL_QUEUE, PARENT_RING, Record
from oms.records import LAST_EXCHANGE_COMMAND

_LAST_EXCHANGE_COMMAND: Final = int(LAST_EXCHANGE_COMMAND)


@kernel
def can_send(s: Record) -> bool:
    """True while a request finds room in the outputs and in the exchange model's queue."""
    return bool(
        s["command_count"] < COMMAND_RING
        and s["event_count"] < EVENT_RING
        and s["parent_count"] < PARENT_RING
        and s["model"]["request_count"] < MODEL_QUEUE
    )


@kernel
def clear_rare(command: Record) -> None:
    """Clear what few commands have."""
    command["version"] = 0
    command["trigger_px"] = 0
    command["display_qty"] = 0
    command["expire_ts"] = 0
    command["parent_id"] = 0
    command["trail"] = 0
    command["trail_unit"] = 0
    command["trigger"] = 0
    command["trigger_source"] = 0
    command["contingency"] = 0


@kernel
def complete(command: Record, order: Record, px: int, qty: int) -> None:
    """Fill in a command about an order with what the order is, so that it stands alone at the exchange."""
    command["order_id"] = order["order_id"]
    command["side"] = order["side"]
    command["order_type"] = order["order_type"]
    command["time_in_force"] = order["time_in_force"]
    command["flags"] = order["flags"]
    command["instrument"] = order["instrument"]
    command["version"] = order["version"]
    command["account"] = order["account"]
    command["strategy"] = order["strategy"]
    command["px"] = px
    command["qty"] = qty
    command["reason"] = 0
    command["value"] = 0
    command["trigger_px"] = order["trigger_px"]
    command["display_qty"] = min(order["display_qty"], qty)  # an order that has shrunk shows all of it
    command["expire_ts"] = order["expire_ts"]
    command["parent_id"] = order["parent_id"]
    command["trail"] = order["trail"]
    command["trail_unit"] = order["trail_unit"]
    command["trigger"] = order["trigger"]
    command["trigger_source"] = order["trigger_source"]
    command["contingency"] = order["contingency"]


@hot_kernel
def send(s: Record, command: Record) -> None:
    """Put an approved request on its way, or note it for the journal; the caller has asked ``can_send``."""
    at = s["command_count"]
    out = s["commands"][at]
    copy_record(out, command)
    out["seq"] = s["command_seq"]
    out["ts"] = s["now"]
    out["wall_ts"] = s["cause_ts"]
    s["command_seq"] += 1
    s["command_count"] = at + 1
    if s["external"] != 0 or command["kind"] > _LAST_EXCHANGE_COMMAND:
        return
    model = s["model"]
    count = model["request_count"]
    if count == 0:
        model["request_head"] = 0  # an empty ring starts over, so that a short queue stays in the cache
    request = model["requests"][(model["request_head"] + count) % MODEL_QUEUE]
    copy_record(request, command)
    due = s["now"] + entry_latency(s, command["instrument"])
    if count > 0:
        due = max(due, model["requests"][(model["request_head"] + count - 1) % MODEL_QUEUE]["ts"])
    request["ts"] = due
    model["request_count"] = count + 1
    s["next_due"] = min(s["next_due"], due)
