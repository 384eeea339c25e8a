"""``zoms status``: the running session's processes, trading state, positions and open orders."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Final

from oms.commands.options import Account, DataDir, Json, running_settings, say, say_bad_input, say_json, say_table
from oms.commands.orders import CLIENT_NAME, connect, say_orders

if TYPE_CHECKING:
    from oms.config import Settings
    from oms.lifecycle import Heartbeat
    from rpc.entities import Position, Standing

SUPERVISOR: Final = "supervisor"
_SHOWN_COUNTERS: Final = {
    "core": ("ticks", "ticks_lost", "orders", "fills", "refused"),
    "recorder": ("ticks", "ticks_lost", "events"),
    "rpc": ("clients", "requests"),
    "gateway": ("ticks", "refused"),
    "orders": ("open_orders", "requests"),
    SUPERVISOR: ("restarts",),
}


def heartbeats(settings: Settings) -> dict[str, Heartbeat]:
    """The next heartbeat of each process of the running session; those that are silent are missing."""
    import zmq

    from oms.bus import new_context
    from oms.family import family_of
    from oms.lifecycle import decode_heartbeat

    context = new_context()
    socket = context.socket(zmq.SUB)
    socket.subscribe(b"")
    socket.connect(settings.status_endpoint)
    found: dict[str, Heartbeat] = {}
    deadline = time.monotonic() + 2 * settings.heartbeat_s + 0.5
    while set(found) != {*family_of(settings), SUPERVISOR} and time.monotonic() < deadline:
        if socket.poll(int((deadline - time.monotonic()) * 1000)):
            heartbeat = decode_heartbeat(socket.recv())
            if heartbeat is not None:
                found[heartbeat.process] = heartbeat
    context.destroy(linger=0)
    return found


def status(account: Account = None, data_dir: DataDir = None, as_json: Json = False) -> None:
    """Show the running session: processes, trading state, positions, open orders."""
    import msgspec

    from oms.config import SESSION_FILE
    from oms.family import family_of
    from oms.lock import holder
    from rpc.client import RpcError

    settings = running_settings(account, data_dir)
    alive = heartbeats(settings)
    content: dict[str, Any] = {
        "account": settings.account,
        "pid": holder(settings),
        "session_file": str(settings.run_dir / SESSION_FILE),
        "processes": {
            name: msgspec.to_builtins(alive[name]) if name in alive else None for name in family_of(settings)
        },
        "supervisor": msgspec.to_builtins(alive.get(SUPERVISOR)),
    }
    problem = ""
    try:
        with connect(settings, CLIENT_NAME) as client:
            state, positions, orders = client.status(), client.positions(), client.orders(scope="account")
            standings = client.standings()
    except RpcError as error:
        problem = str(error)
    if as_json:
        if not problem:
            content |= {
                "trading_state": state.trading_state,
                "trading_reason": state.trading_reason,
                "standings": msgspec.to_builtins(standings),
                "positions": msgspec.to_builtins(positions),
                "open_orders": msgspec.to_builtins(orders),
            }
        say_json({**content, "problem": problem})
        return
    say(f"account {settings.account}, supervisor pid {content['pid']}, data in {settings.account_dir}")
    say("")
    say_processes(family_of(settings), alive)
    say_bad_input(bad_input(alive), str(settings.account_dir))
    say("")
    if problem:
        say(f"trading state, positions and orders are not known: {problem}")
        return
    say_standings(standings)
    if positions:
        say("")
        say_positions(positions)
    say("")
    say_orders(orders)


def say_standings(standings: list[Standing]) -> None:
    """Print how accounts and strategies stand."""
    currency = standings[0].currency
    say_table(
        [
            "account",
            "strategy",
            "trading",
            "reason",
            f"PnL {currency}",
            "today",
            "drawdown",
            "gross",
            "net",
            "margin",
            "open",
        ],
        [
            [
                each.account,
                each.strategy or "",
                each.trading_state,
                each.trading_reason,
                each.pnl,
                each.day_pnl,
                each.drawdown,
                each.gross_exposure,
                each.net_exposure,
                each.margin,
                str(each.open_orders),
            ]
            for each in standings
        ],
        frozenset(range(4, 11)),
    )


def say_positions(positions: list[Position]) -> None:
    """Print positions, each owner's and each leg's."""
    say_table(
        [
            "account",
            "strategy",
            "instrument",
            "side",
            "position",
            "average",
            "mark",
            "realized",
            "unrealized",
            "fees",
            "fills",
        ],
        [
            [
                each.account,
                each.strategy or "",
                each.symbol,
                each.position_side or "",
                each.qty,
                each.average_price,
                each.mark_price,
                each.realized_pnl,
                each.unrealized_pnl,
                f"{each.fees} {each.currency}",
                f"{each.fills:,}",
            ]
            for each in positions
        ],
        frozenset(range(4, 11)),
    )


def bad_input(alive: dict[str, Heartbeat]) -> int:
    """What the processes that run have refused of their input."""
    from oms.family import role_and_venue
    from oms.figures import BAD_INPUT

    said = [(role_and_venue(name)[0], heartbeat.counters) for name, heartbeat in alive.items()]
    return int(sum(counters.get(counter, 0) for role, counters in said for name, counter in BAD_INPUT if name == role))


def say_processes(family: Sequence[str], alive: dict[str, Heartbeat]) -> None:
    """Print a table of the family's heartbeats."""
    from oms.family import role_and_venue

    rows = []
    for name in (*family, SUPERVISOR):
        heartbeat = alive.get(name)
        if heartbeat is None:
            rows.append([name, "-", "silent", "-", ""])
            continue
        counters = ", ".join(
            f"{counter} {heartbeat.counters[counter]:,.0f}"
            for counter in _SHOWN_COUNTERS[role_and_venue(name)[0]]
            if counter in heartbeat.counters
        )
        rows.append([name, str(heartbeat.pid), heartbeat.state, f"{heartbeat.rss_mb:,.0f} MB", counters])
    say_table(["process", "pid", "state", "memory", "counters"], rows, frozenset({1, 3}))
