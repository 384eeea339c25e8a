"""``zoms order ...``, ``halt``, ``resume`` and ``reduce``: requests to the running session, through its rpc process."""

from __future__ import annotations

import time
from collections.abc import Callable
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final, cast

import typer

from oms.commands.options import Account, DataDir, Json, running_settings, say, say_json, say_table

if TYPE_CHECKING:
    from oms.config import Settings
    from rpc.client import Client
    from rpc.entities import Order, TimeInForceName, TradingStateName
    from rpc.protocol import Told

CLIENT_NAME: Final = "cli"
ANSWER_S: Final = 2.0
"""How long to wait for the exchange's answer after the core has taken a request."""

_PENDING: Final = frozenset({"pending_new", "pending_amend", "pending_cancel"})

app = typer.Typer(help="Place, amend, cancel and list orders.", no_args_is_help=True, rich_markup_mode=None)

ClientName = Annotated[
    str, typer.Option("--client", help="Whose orders; the name owns them and their ids.", metavar="NAME")
]
OrderId = Annotated[str, typer.Argument(metavar="ID", help="The id that the order was placed with.")]
Price = Annotated[str | None, typer.Option("--price", help="Limit price, decimal.", metavar="PRICE")]


class Side(StrEnum):
    BUY = "buy"
    SELL = "sell"


class TimeInForce(StrEnum):
    GTC = "gtc"
    IOC = "ioc"
    FOK = "fok"


def connect(settings: Settings, client: str) -> Client:
    """A client of the running session; raises ``RpcTimeoutError`` when its rpc process does not answer."""
    from rpc.client import Client

    return Client(client, settings.rpc_endpoint)


def traded_symbol(settings: Settings, symbol: str) -> str:
    """``symbol``, with its venue where several have it: that of the stream that is replayed."""
    from oms.commands.paper import recorded_instrument

    if sum(each.symbol == symbol for each in settings.instruments) < 2:
        return symbol
    recorded = recorded_instrument(settings)
    return recorded if recorded.startswith(f"{symbol}.") else symbol


def waits(order: Order) -> bool:
    """Whether the exchange still has to answer: to the last request, or to an order that cannot rest."""
    return order.state in _PENDING or (order.state == "live" and order.time_in_force != "gtc")


def answered(client: Client, order: Order, tell: Callable[[Told], None] = lambda event: None) -> Order:
    """The order once the exchange has answered its last request; as it stands when that takes over ``ANSWER_S``.

    Parameters
    ----------
    client : Client
        Subscribed to its own orders.
    order : Order
        As the core took it.
    tell : callable
        Called with each event that comes meanwhile.
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


def say_order(order: Order, as_json: bool) -> None:
    """Print one order: in words, or whole as JSON."""
    import msgspec

    if as_json:
        say_json(msgspec.to_builtins(order))
        return
    at = "at the market" if order.price is None else f"at {order.price}"
    filled = f", {order.filled_qty} filled" if float(order.filled_qty) else ""
    why = "" if order.reason in ("NONE", "") else f" ({order.reason})"
    say(f"{order.client_order_id}: {order.side} {order.qty} {order.symbol} {at}: {order.state}{filled}{why}")


@app.command()
def place(
    side: Annotated[Side, typer.Argument(help="buy or sell.", metavar="SIDE")],
    symbol: Annotated[str, typer.Argument(help="Instrument, such as BTCUSDT or BTCUSDT.binance_usdm.")],
    qty: Annotated[str, typer.Argument(help="Quantity, decimal.")],
    price: Price = None,
    post_only: Annotated[bool, typer.Option("--post-only", help="Rest, or be rejected; never take.")] = False,
    reduce_only: Annotated[bool, typer.Option("--reduce-only", help="Only shrink the position.")] = False,
    time_in_force: Annotated[
        TimeInForce | None,
        typer.Option("--tif", help="gtc, ioc or fok. Default: gtc with a price, ioc without.", metavar="TIF"),
    ] = None,
    client_order_id: Annotated[
        str | None, typer.Option("--id", help="The order's id: to send it again is safe.", metavar="ID")
    ] = None,
    client: ClientName = CLIENT_NAME,
    account: Account = None,
    data_dir: DataDir = None,
    as_json: Json = False,
) -> None:
    """Place an order: a limit order with --price, a market order without."""
    settings = running_settings(account, data_dir)
    symbol = traded_symbol(settings, symbol)
    with connect(settings, client) as connection:
        connection.subscribe(["orders"])
        order = connection.place(
            symbol,
            side.value,
            qty,
            price,
            time_in_force=cast("TimeInForceName | None", time_in_force and time_in_force.value),
            post_only=post_only,
            reduce_only=reduce_only,
            client_order_id=client_order_id,
        )
        say_order(answered(connection, order), as_json)


@app.command()
def amend(
    client_order_id: OrderId,
    price: Price = None,
    qty: Annotated[
        str | None, typer.Option("--qty", help="New total quantity, the filled part included.", metavar="QTY")
    ] = None,
    client: ClientName = CLIENT_NAME,
    account: Account = None,
    data_dir: DataDir = None,
    as_json: Json = False,
) -> None:
    """Change an open order's price, its quantity, or both."""
    with connect(running_settings(account, data_dir), client) as connection:
        connection.subscribe(["orders"])
        order = connection.amend(client_order_id=client_order_id, price=price, qty=qty)
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
    client: ClientName = CLIENT_NAME,
    account: Account = None,
    data_dir: DataDir = None,
    as_json: Json = False,
) -> None:
    """Cancel all open orders of this client, or of everyone."""
    settings = running_settings(account, data_dir)
    symbol = None if instrument is None else traded_symbol(settings, instrument)
    with connect(settings, client) as connection:
        count = connection.cancel_all(symbol, scope="account" if everyone else "own")
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
    if not orders:
        say("no orders")
        return
    say_table(
        ["owner", "id", "instrument", "side", "qty", "price", "filled", "state"],
        [
            [
                each.client,
                each.client_order_id or str(each.order_id),
                each.symbol,
                each.side,
                each.qty,
                each.price or "market",
                each.filled_qty,
                each.state,
            ]
            for each in orders
        ],
        frozenset({4, 5, 6}),
    )


def set_state(state: TradingStateName, account: str | None, data_dir: Path | None) -> None:
    """Set the trading state of the running session's account and print what it is now."""
    with connect(running_settings(account, data_dir), CLIENT_NAME) as connection:
        say(f"trading is {connection.set_trading_state(state)}")


def halt(account: Account = None, data_dir: DataDir = None) -> None:
    """Stop all trading but cancels."""
    set_state("halted", account, data_dir)


def resume(account: Account = None, data_dir: DataDir = None) -> None:
    """Trade again, after halt, reduce or a restart of the core."""
    set_state("active", account, data_dir)


def reduce(account: Account = None, data_dir: DataDir = None) -> None:
    """Let only cancels and orders through that shrink the position."""
    set_state("reducing", account, data_dir)
