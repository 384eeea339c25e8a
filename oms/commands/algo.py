"""``zoms algo ...``: orders that execution algorithms work, through the session's rpc process."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Final

import typer

from oms.commands.options import (
    Account,
    DataDir,
    Json,
    SubAccount,
    parse_values,
    running_settings,
    say,
    say_json,
    say_table,
    stored_settings,
)
from oms.commands.order_options import (
    ClientName,
    NewQty,
    OrderId,
    PositionSide,
    Price,
    QtyArgument,
    Side,
    SymbolArgument,
    TimeInForce,
    moment,
    named,
)
from oms.commands.orders import CLIENT_NAME, connect, ended, say_orders

if TYPE_CHECKING:
    from oms.algorithms import Algorithm
    from rpc.client import Client
    from rpc.entities import Order, Progress

Parameters = Annotated[
    list[str] | None,
    typer.Option("--param", "-p", help="Set a parameter of the algorithm. Repeatable.", metavar="NAME=NUMBER"),
]

app = typer.Typer(
    help="Have execution algorithms work orders, and watch them.", no_args_is_help=True, rich_markup_mode=None
)


@app.command("list")
def list_algorithms(account: Account = None, data_dir: DataDir = None, as_json: Json = False) -> None:
    """List the algorithms with their parameters, defaults and ranges; those of the settings too."""
    from oms.algorithms import read_algorithms

    algorithms = read_algorithms(stored_settings(account, data_dir).algorithm_files)
    if as_json:
        say_json(
            [
                {"name": name, "summary": each.summary, "parameters": each.parameters, "ranges": each.ranges}
                for name, each in algorithms.items()
            ]
        )
        return
    for name, algorithm in algorithms.items():
        say(f"{name}: {algorithm.summary}")
        for parameter in algorithm.parameters:
            say(f"  {parameter_text(algorithm, parameter)}")


def parameter_text(algorithm: Algorithm, name: str) -> str:
    """A parameter with its default and its range: ``slices = 10, from 1 to 1000``."""
    text = f"{name} = {algorithm.parameters[name]:g}"
    if name in algorithm.ranges:
        lowest, highest = algorithm.ranges[name]
        text += f", from {lowest:g} to {highest:g}"
    return text


@app.command()
def start(
    name: Annotated[str, typer.Argument(help="The algorithm, one of zoms algo list.")],
    symbol: SymbolArgument,
    side: Annotated[Side, typer.Argument(help="buy or sell.", metavar="SIDE")],
    qty: QtyArgument,
    price: Price = None,
    parameters: Parameters = None,
    venues: Annotated[
        list[str] | None,
        typer.Option("--venue", help="Another instrument in which it may trade. Repeatable.", metavar="SYMBOL"),
    ] = None,
    time_in_force: Annotated[
        TimeInForce | None, typer.Option("--tif", help="gtc (the default), gtd or day.", metavar="TIF")
    ] = None,
    good_till: Annotated[
        str | None,
        typer.Option("--good-till", help="When a gtd order ends: 2026-12-25T08:00:00Z.", metavar="TIME"),
    ] = None,
    reduce_only: Annotated[bool, typer.Option("--reduce-only", help="Only shrink the position.")] = False,
    position_side: Annotated[
        PositionSide | None,
        typer.Option("--position-side", help="long or short, of an account in hedging mode.", metavar="SIDE"),
    ] = None,
    client_order_id: Annotated[
        str | None, typer.Option("--id", help="The order's id: to send it again is safe.", metavar="ID")
    ] = None,
    sub_account: SubAccount = None,
    client: ClientName = CLIENT_NAME,
    account: Account = None,
    data_dir: DataDir = None,
    as_json: Json = False,
) -> None:
    """Have an algorithm work an order: within --price, or at any price without."""
    chosen = parse_values(parameters or [], "-p")
    good_till_ts = moment(good_till)
    with connect(running_settings(account, data_dir), client) as connection:
        order = connection.start_algorithm(
            name,
            symbol,
            side.value,
            qty,
            price,
            parameters=chosen,
            venues=venues or [],
            time_in_force=named(time_in_force),
            good_till_ts=good_till_ts,
            reduce_only=reduce_only,
            position_side=named(position_side),
            account=sub_account,
            client_order_id=client_order_id,
        )
        say_standing(connection, order, as_json)


@app.command()
def amend(
    client_order_id: OrderId,
    price: Price = None,
    qty: NewQty = None,
    parameters: Parameters = None,
    client: ClientName = CLIENT_NAME,
    account: Account = None,
    data_dir: DataDir = None,
    as_json: Json = False,
) -> None:
    """Change the target, the limit price or parameters of an order that an algorithm works."""
    chosen = parse_values(parameters or [], "-p")
    with connect(running_settings(account, data_dir), client) as connection:
        order = connection.amend_algorithm(client_order_id=client_order_id, price=price, qty=qty, parameters=chosen)
        say_standing(connection, order, as_json)


@app.command()
def pause(
    client_order_id: OrderId,
    client: ClientName = CLIENT_NAME,
    account: Account = None,
    data_dir: DataDir = None,
    as_json: Json = False,
) -> None:
    """Have an algorithm rest: its open child orders are cancelled, and there are no new ones."""
    with connect(running_settings(account, data_dir), client) as connection:
        say_standing(connection, connection.pause(client_order_id=client_order_id), as_json)


@app.command()
def resume(
    client_order_id: OrderId,
    client: ClientName = CLIENT_NAME,
    account: Account = None,
    data_dir: DataDir = None,
    as_json: Json = False,
) -> None:
    """Let a paused algorithm go on."""
    with connect(running_settings(account, data_dir), client) as connection:
        say_standing(connection, connection.resume(client_order_id=client_order_id), as_json)


@app.command()
def cancel(
    client_order_id: OrderId,
    client: ClientName = CLIENT_NAME,
    account: Account = None,
    data_dir: DataDir = None,
    as_json: Json = False,
) -> None:
    """Cancel the child orders of an algorithm, and end its order."""
    with connect(running_settings(account, data_dir), client) as connection:
        connection.subscribe(["orders"])
        order = ended(connection, connection.cancel(client_order_id=client_order_id))
        say_standing(connection, order, as_json)


@app.command()
def show(
    client_order_id: Annotated[
        str | None, typer.Argument(metavar="ID", help="One order, with its open child orders. Default: all.")
    ] = None,
    everyone: Annotated[bool, typer.Option("--everyone", help="Those of every client.")] = False,
    closed: Annotated[bool, typer.Option("--closed", help="Also those that are done.")] = False,
    client: ClientName = CLIENT_NAME,
    account: Account = None,
    data_dir: DataDir = None,
    as_json: Json = False,
) -> None:
    """Show how far algorithms have worked their orders, and what it has cost against the market."""
    import msgspec

    with connect(running_settings(account, data_dir), client) as connection:
        if client_order_id is not None:
            one = connection.progress(client_order_id=client_order_id)
            children = [each for each in connection.orders() if each.parent_order_id == one.order_id]
            if as_json:
                say_json({**msgspec.to_builtins(one), "open_children": msgspec.to_builtins(children)})
            else:
                say_one(one, children)
            return
        found = connection.all_progress(open_only=not closed, scope="account" if everyone else "own")
    if as_json:
        say_json(msgspec.to_builtins(found))
    else:
        say_all(found)


def say_standing(connection: Client, order: Order, as_json: bool) -> None:
    """Print how far an order is: in a line, or whole as JSON."""
    import msgspec

    progress = connection.progress(order_id=order.order_id)
    if as_json:
        say_json(msgspec.to_builtins(progress))
    else:
        say(line_text(progress))


def line_text(progress: Progress) -> str:
    """``ID: buy 1.000 BTCUSDT at 61000.0, twap: running, 0.400 filled``."""
    at = "at the market" if progress.price is None else f"at {progress.price}"
    filled = f", {progress.filled_qty} filled" if float(progress.filled_qty) else ""
    why = "" if progress.reason == "NONE" else f" ({progress.reason})"
    return (
        f"{progress.client_order_id}: {progress.side} {progress.qty} {progress.symbol} {at}, {progress.algorithm}:"
        f" {progress.state}{filled}{why}"
    )


def cost_text(bps: str | None) -> str:
    """Slippage with its sign: ``+1.50 bps``; empty where there is none."""
    return "" if bps is None else f"{bps if bps.startswith('-') else f'+{bps}'} bps"


def say_one(progress: Progress, children: list[Order]) -> None:
    """Print everything about one order."""
    parameters = ", ".join(f"{name} {value:g}" for name, value in progress.parameters.items())
    began = datetime.fromtimestamp(progress.started_ts / 1e9, UTC).isoformat(timespec="milliseconds")
    lines = [
        ("filled", f"{progress.filled_qty} of {progress.qty}, {progress.left_qty} left"),
        ("open", progress.open_qty),
        ("due", progress.due_qty),
        ("average price", progress.average_price or "none"),
        ("arrival price", f"{progress.arrival_price or 'none'}  {cost_text(progress.arrival_slippage_bps)}"),
        ("market VWAP", f"{progress.market_vwap or 'none'}  {cost_text(progress.vwap_slippage_bps)}"),
        ("parameters", parameters or "none"),
        ("venues", ", ".join((progress.symbol, *progress.venues))),
        ("began", began if progress.started_ts else "not yet"),
    ]
    say(line_text(progress))
    for title, text in lines:
        say(f"  {title:<14}{text}".rstrip())
    if children:
        say_orders(children)


def say_all(found: list[Progress]) -> None:
    """Print orders that algorithms work as a table."""
    if not found:
        say("no algorithm works an order")
        return
    say_table(
        list(_COLUMNS),
        [[text(each) for text in _COLUMNS.values()] for each in found],
        frozenset(range(_FIRST_NUMBER, _FIRST_NUMBER + _NUMBERS)),
    )


_COLUMNS: Final[dict[str, Callable[[Progress], str]]] = {
    "owner": lambda each: each.client,
    "id": lambda each: each.client_order_id or str(each.order_id),
    "algorithm": lambda each: each.algorithm,
    "instrument": lambda each: each.symbol,
    "side": lambda each: each.side,
    "qty": lambda each: each.qty,
    "filled": lambda each: each.filled_qty,
    "open": lambda each: each.open_qty,
    "due": lambda each: each.due_qty,
    "average": lambda each: each.average_price or "",
    "arrival": lambda each: cost_text(each.arrival_slippage_bps),
    "VWAP": lambda each: cost_text(each.vwap_slippage_bps),
    "state": lambda each: each.state,
    "reason": lambda each: "" if each.reason == "NONE" else each.reason,
}
"""Of the table: what each column is called, and what it says. Arrival and VWAP are the cost against those prices."""
_FIRST_NUMBER: Final = list(_COLUMNS).index("qty")
_NUMBERS: Final = list(_COLUMNS).index("state") - _FIRST_NUMBER
