"""``zoms order ...``: orders in the running session, through its rpc process."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from oms.commands.options import (
    Account,
    DataDir,
    Json,
    StrategyName,
    SubAccount,
    running_settings,
    say,
    say_json,
    say_table,
)
from oms.commands.order_options import (
    ClientName,
    Contingency,
    NewQty,
    OrderId,
    PositionSide,
    Price,
    QtyArgument,
    Side,
    SymbolArgument,
    TimeInForce,
    Trail,
    TrailUnitOption,
    Trigger,
    TriggerBy,
    Type,
    moment,
    named,
)

if TYPE_CHECKING:
    from oms.config import Settings
    from rpc.client import Client
    from rpc.entities import Order
    from rpc.protocol import Told

CLIENT_NAME: Final = "cli"
ANSWER_S: Final = 2.0
"""How long to wait for the exchange's answer after the core has taken a request."""

HELD_HERE: Final = "held by the core, not at the exchange"
"""What is said of a held order's state: a stop, an exit or a parent order that works only while the core runs."""

AT_EXCHANGE: Final = "at the exchange"
"""What is said of a stop that stands there."""

app = typer.Typer(help="Place, amend, cancel and list orders.", no_args_is_help=True, rich_markup_mode=None)


def connect(settings: Settings, client: str) -> Client:
    """A client of the running session; raises ``RpcTimeoutError`` when its rpc process does not answer."""
    from rpc.client import Client

    return Client(client, settings.rpc_endpoint)


def waits(order: Order) -> bool:
    """Whether the exchange still has to answer: to the last request, or to an order that cannot rest."""
    from rpc.entities import PENDING_STATES

    return order.state in PENDING_STATES or (order.state == "live" and order.time_in_force in ("ioc", "fok"))


def answered(
    client: Client,
    order: Order,
    tell: Callable[[Told], None] = lambda event: None,
    waits: Callable[[Order], bool] = waits,
) -> Order:
    """The order once the exchange has answered its last request; as it stands when that takes over ``ANSWER_S``.

    Parameters
    ----------
    client : Client
        Subscribed to its own orders.
    order : Order
        As the core took it.
    tell : callable
        Called with each event that comes meanwhile.
    waits : callable
        Whether there is still something to wait for.
    """
    from rpc.entities import OrderEvent

    deadline = time.monotonic() + ANSWER_S
    while waits(order) and time.monotonic() < deadline:
        for event in client.events(timeout=max(deadline - time.monotonic(), 0.0)):
            tell(event)
            if isinstance(event, OrderEvent) and event.order.order_id == order.order_id:
                order = event.order
                break
    return order


def ended(client: Client, order: Order) -> Order:
    """An order that the core holds, once it has ended; as it stands when that takes over ``ANSWER_S``."""
    return answered(client, order, waits=lambda each: each.state == "held")


def price_text(order: Order) -> str:
    """At which price, and from which trigger on."""
    from rpc.entities import trail_text

    at = "at the market" if order.price is None else f"at {order.price}"
    if order.algorithm is not None:
        return f"{at}, {order.algorithm}"
    if order.order_type in ("limit", "market"):
        return at
    name = order.order_type.removesuffix("_limit").removesuffix("_market").replace("_", " ")
    trigger = f" {order.trigger_price}" if order.trigger_price else ""
    trail = f" by {trail_text(order)}" if order.trail_by else ""
    return f"{at}, {name}{trigger}{trail}"


def say_order(order: Order, as_json: bool) -> None:
    """Print one order: in words, or whole as JSON."""
    import msgspec

    from rpc.entities import SENT_STATES

    if as_json:
        say_json(msgspec.to_builtins(order))
        return
    at = price_text(order)
    filled = ""
    if float(order.filled_qty):
        filled = f", {order.filled_qty} filled"
        filled += f", realized {order.realized_pnl}" if order.realized_pnl is not None else ""
        filled += f", fees {order.fees}" if order.fees is not None else ""
    why = "" if order.reason in ("NONE", "") else f" ({order.reason})"
    state = HELD_HERE if order.state == "held" else order.state
    if order.at_exchange and order.state in SENT_STATES:
        state += f", {AT_EXCHANGE}"
    say(f"{order.client_order_id}: {order.side} {order.qty} {order.symbol} {at}: {state}{filled}{why}")


@app.command()
def place(
    side: Annotated[Side, typer.Argument(help="buy or sell.", metavar="SIDE")],
    symbol: SymbolArgument,
    qty: QtyArgument,
    price: Price = None,
    order_type: Annotated[
        Type | None,
        typer.Option(
            "--type",
            help="limit, market, or one that waits for its trigger: stop-limit, stop-market, "
            "take-profit-limit, take-profit-market, trailing-stop-limit, trailing-stop-market. "
            "Default: limit with a price, market without.",
            metavar="TYPE",
        ),
    ] = None,
    trigger: Trigger = None,
    trigger_by: Annotated[
        TriggerBy | None,
        typer.Option("--trigger-by", help="last (the default), mark, index or bid-ask.", metavar="PRICE_NAME"),
    ] = None,
    trail: Trail = None,
    trail_unit: TrailUnitOption = None,
    post_only: Annotated[bool, typer.Option("--post-only", help="Rest, or be rejected; never take.")] = False,
    reduce_only: Annotated[bool, typer.Option("--reduce-only", help="Only shrink the position.")] = False,
    at_exchange: Annotated[
        bool,
        typer.Option(
            "--at-exchange",
            help="Of a stop or a take-profit: it stands at the exchange until its trigger. Default: the core holds it.",
        ),
    ] = False,
    display: Annotated[
        str | None, typer.Option("--display", help="Show so much at a time. Default: all.", metavar="QTY")
    ] = None,
    time_in_force: Annotated[
        TimeInForce | None,
        typer.Option(
            "--tif",
            help="gtc, ioc, fok, gtd or day. Default: ioc for a market order, else gtc.",
            metavar="TIF",
        ),
    ] = None,
    good_till: Annotated[
        str | None,
        typer.Option("--good-till", help="When a gtd order expires: 2026-12-25T08:00:00Z.", metavar="TIME"),
    ] = None,
    position_side: Annotated[
        PositionSide | None,
        typer.Option("--position-side", help="long or short, of an account in hedging mode.", metavar="SIDE"),
    ] = None,
    contingency: Annotated[
        Contingency | None,
        typer.Option(
            "--contingency",
            help="How it hangs on --parent: oto (held until that fills) or oco (one cancels the other). The first "
            "order of an oco group is oco too, without --parent; the others name it.",
            metavar="KIND",
        ),
    ] = None,
    parent: Annotated[str | None, typer.Option("--parent", help="Id of the order it hangs on.", metavar="ID")] = None,
    client_order_id: Annotated[
        str | None, typer.Option("--id", help="The order's id: to send it again is safe.", metavar="ID")
    ] = None,
    sub_account: SubAccount = None,
    client: ClientName = CLIENT_NAME,
    account: Account = None,
    data_dir: DataDir = None,
    as_json: Json = False,
) -> None:
    """Place an order: a limit order with --price, a market order without."""
    good_till_ts = moment(good_till)
    settings = running_settings(account, data_dir)
    with connect(settings, client) as connection:
        connection.subscribe(["orders"])
        order = connection.place(
            symbol,
            side.value,
            qty,
            price,
            order_type=named(order_type),
            trigger_price=trigger,
            trigger_by=named(trigger_by),
            trail_by=trail,
            trail_unit=named(trail_unit),
            time_in_force=named(time_in_force),
            good_till_ts=good_till_ts,
            post_only=post_only,
            reduce_only=reduce_only,
            at_exchange=at_exchange,
            display_qty=display,
            position_side=named(position_side),
            contingency=named(contingency),
            parent_client_order_id=parent,
            account=sub_account,
            client_order_id=client_order_id,
        )
        say_order(answered(connection, order), as_json)


@app.command()
def bracket(
    side: Annotated[Side, typer.Argument(help="Of the entry: buy or sell.", metavar="SIDE")],
    symbol: SymbolArgument,
    qty: QtyArgument,
    target: Annotated[str, typer.Option("--target", help="Limit price at which to take the profit.", metavar="PRICE")],
    stop: Annotated[
        str, typer.Option("--stop", help="Price at which to stop the loss, at the market.", metavar="PRICE")
    ],
    price: Price = None,
    at_exchange: Annotated[
        bool,
        typer.Option(
            "--at-exchange",
            help="The stop stands at the exchange once the entry is done, reduce-only. Default: the core holds it.",
        ),
    ] = False,
    client_order_id: Annotated[
        str | None,
        typer.Option("--id", help="The entry's id; the others are ID-target and ID-stop.", metavar="ID"),
    ] = None,
    sub_account: SubAccount = None,
    client: ClientName = CLIENT_NAME,
    account: Account = None,
    data_dir: DataDir = None,
    as_json: Json = False,
) -> None:
    """Place an entry with a target and a stop, which wait for its fills and then reduce one another."""
    import msgspec

    from rpc.client import terms

    settings = running_settings(account, data_dir)
    entry = terms(symbol, side.value, qty, price, account=sub_account, client_order_id=client_order_id)
    other: Any = "sell" if side is Side.BUY else "buy"
    own_id = entry.client_order_id
    exits = (
        terms(symbol, other, qty, target, account=sub_account, client_order_id=f"{own_id}-target"),
        terms(
            symbol,
            other,
            qty,
            order_type="stop_market",
            trigger_price=stop,
            at_exchange=at_exchange,
            reduce_only=at_exchange,
            account=sub_account,
            client_order_id=f"{own_id}-stop",
        ),
    )
    with connect(settings, client) as connection:
        orders = connection.bracket(entry, *exits)
    if as_json:
        say_json(msgspec.to_builtins(orders))
    else:
        for order in orders:
            say_order(order, as_json)


@app.command()
def replace(
    client_order_id: OrderId,
    new_id: Annotated[str | None, typer.Option("--new-id", help="Id of the new order.", metavar="ID")] = None,
    price: Price = None,
    qty: NewQty = None,
    trigger: Trigger = None,
    client: ClientName = CLIENT_NAME,
    account: Account = None,
    data_dir: DataDir = None,
    as_json: Json = False,
) -> None:
    """Cancel an order, and place another in its stead once the cancel is certain; what is not given is as it was."""
    with connect(running_settings(account, data_dir), client) as connection:
        connection.subscribe(["orders"])
        order = connection.replace(
            client_order_id=client_order_id, new_client_order_id=new_id, price=price, qty=qty, trigger_price=trigger
        )
        say_order(answered(connection, order), as_json)


@app.command()
def amend(
    client_order_id: OrderId,
    price: Price = None,
    qty: NewQty = None,
    trigger: Trigger = None,
    trail: Trail = None,
    trail_unit: TrailUnitOption = None,
    client: ClientName = CLIENT_NAME,
    account: Account = None,
    data_dir: DataDir = None,
    as_json: Json = False,
) -> None:
    """Change an open order's price or quantity, or the trigger of one that the core or the exchange still holds."""
    with connect(running_settings(account, data_dir), client) as connection:
        connection.subscribe(["orders"])
        order = connection.amend(
            client_order_id=client_order_id,
            price=price,
            qty=qty,
            trigger_price=trigger,
            trail_by=trail,
            trail_unit=named(trail_unit),
        )
        say_order(answered(connection, order), as_json)


@app.command()
def cancel(
    client_order_id: OrderId,
    client: ClientName = CLIENT_NAME,
    account: Account = None,
    data_dir: DataDir = None,
    as_json: Json = False,
) -> None:
    """Cancel an open order."""
    with connect(running_settings(account, data_dir), client) as connection:
        connection.subscribe(["orders"])
        say_order(answered(connection, connection.cancel(client_order_id=client_order_id)), as_json)


@app.command("cancel-all")
def cancel_all(
    instrument: Annotated[
        str | None, typer.Option("--instrument", help="Only of this instrument.", metavar="SYMBOL")
    ] = None,
    everyone: Annotated[bool, typer.Option("--everyone", help="Those of every client and strategy.")] = False,
    strategy: StrategyName = None,
    sub_account: SubAccount = None,
    client: ClientName = CLIENT_NAME,
    account: Account = None,
    data_dir: DataDir = None,
    as_json: Json = False,
) -> None:
    """Cancel all open orders of this client, of a strategy, or of everyone: the number told is of cancels that were
    sent, and an order has ended when the exchange confirms its own."""
    with connect(running_settings(account, data_dir), client) as connection:
        count = connection.cancel_all(
            instrument, scope="account" if everyone or strategy else "own", account=sub_account, strategy=strategy
        )
    if as_json:
        say_json({"cancels": count})
    else:
        say(f"{count} cancels sent")


@app.command("list")
def list_orders(
    everyone: Annotated[bool, typer.Option("--everyone", help="Those of every client and strategy.")] = False,
    closed: Annotated[bool, typer.Option("--closed", help="Also those that are no longer open.")] = False,
    client: ClientName = CLIENT_NAME,
    account: Account = None,
    data_dir: DataDir = None,
    as_json: Json = False,
) -> None:
    """List open orders."""
    import msgspec

    with connect(running_settings(account, data_dir), client) as connection:
        orders = connection.orders(open_only=not closed, scope="account" if everyone else "own")
    if as_json:
        say_json(msgspec.to_builtins(orders))
    else:
        say_orders(orders)


def say_orders(orders: list[Order]) -> None:
    """Print orders as a table."""
    from rpc.entities import SENT_STATES, trigger_text

    if not orders:
        say("no orders")
        return
    say_table(
        ["owner", "id", "instrument", "side", "qty", "price", "filled", "state", "reason"],
        [
            [
                each.client,
                each.client_order_id or str(each.order_id),
                each.symbol,
                each.side,
                each.qty,
                (each.price or "market") + trigger_text(each),
                each.filled_qty,
                each.state + (f" {AT_EXCHANGE}" if each.at_exchange and each.state in SENT_STATES else ""),
                "" if each.reason == "NONE" else each.reason,
            ]
            for each in orders
        ],
        frozenset({4, 5, 6}),
    )
    if any(each.state == "held" for each in orders):
        say(f"held: {HELD_HERE}")
