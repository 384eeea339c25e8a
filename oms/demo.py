"""The demo's client: a process of its own that trades through rpc, ``python -m oms.demo SESSION_FILE PAUSE_S``.

It does what a trader's program does: rest an order, move it, take liquidity, let an amend cross the market, be refused,
send a request twice, cancel. Each step is printed as a line.
"""

from __future__ import annotations

import secrets
import sys
import time
from collections.abc import Callable
from decimal import ROUND_HALF_EVEN, Decimal
from pathlib import Path
from typing import Final

from oms.commands.orders import answered
from oms.config import read_session
from oms.lifecycle import end_with_parent
from oms.traded import recorded_instrument
from rpc.client import Client, RpcError
from rpc.entities import Fill, FillEvent, Order, Position
from rpc.protocol import Told

NAME: Final = "demo-client"
ACCOUNT: Final = "client"
MARKET_S: Final = 30.0
"""How long to wait for the first price."""

_POLL_S: Final = 0.1


class DemoError(RuntimeError):
    """The demo's client cannot go on."""


def say(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


class DemoClient:
    """One run of the scenario.

    Parameters
    ----------
    client : Client
    symbol : str
        What is traded.
    pause_s : float
        Between two steps, for people to follow; fills that come meanwhile are printed.
    """

    def __init__(self, client: Client, symbol: str, pause_s: float) -> None:
        self.client = client
        self.symbol = symbol
        self.pause_s = pause_s
        self.fills: list[Fill] = []
        info = next(each for each in client.instruments() if symbol in (each.symbol, f"{each.symbol}.{each.venue}"))
        self._tick = Decimal(info.tick)
        self._run = secrets.token_hex(2)
        self._rest_price = Decimal(0)
        self._bid_price = Decimal(0)
        client.subscribe(["orders", "fills"])

    def run(self) -> None:
        """Every step, one after the other."""
        for step in (
            self.rest,
            self.move,
            self.send_again,
            self.take,
            self.cross_by_amend,
            self.be_refused,
            self.cancel,
            self.cancel_everything,
        ):
            step()
            self.listen()
        fees = sum((Decimal(fill.fee) for fill in self.fills), Decimal(0))
        say(f"done: {len(self.fills)} fills of my own, fees {fees.normalize():f}")

    def rest(self) -> None:
        self._rest_price = self.price(-20)
        self.report("rest a bid", self.place_rest())

    def place_rest(self) -> Order:
        return self.client.place(
            self.symbol,
            "buy",
            "0.010",
            self._rest_price,
            post_only=True,
            client_order_id=self.own_id("rest"),
            account=ACCOUNT,
        )

    def move(self) -> None:
        self._bid_price = self.price(-10)
        order = self.client.amend(client_order_id=self.own_id("rest"), price=self._bid_price, qty="0.020")
        self.report("move it up and double it", order)

    def send_again(self) -> None:
        self.report("send the first request again: no second order", self.place_rest())

    def take(self) -> None:
        order = self.client.place(
            self.symbol,
            "sell",
            "0.005",
            max(self.price(-5), self._bid_price + self._tick),  # the market may have come down to the own bid
            time_in_force="ioc",
            client_order_id=self.own_id("take"),
            account=ACCOUNT,
        )
        self.report("sell at once", order)

    def cross_by_amend(self) -> None:
        own_id = self.own_id("cross")
        self.report(
            "rest another bid",
            self.client.place(self.symbol, "buy", "0.005", self.price(-15), client_order_id=own_id, account=ACCOUNT),
        )
        self.listen()
        self.report("amend it through the market", self.client.amend(client_order_id=own_id, price=self.price(10)))

    def be_refused(self) -> None:
        try:
            self.client.place(
                self.symbol, "buy", "100", self.price(-10), client_order_id=self.own_id("large"), account=ACCOUNT
            )
        except RpcError as error:
            say(f"ask for 100 at once: {error.code}, as it should be")
            return
        raise DemoError("an order of 100 was not refused")

    def cancel(self) -> None:
        order = self.client.order(client_order_id=self.own_id("rest"))
        if order.state != "live":
            self.report("my first bid has ended", order)
            return
        self.report("cancel my first bid", self.client.cancel(client_order_id=self.own_id("rest")))

    def cancel_everything(self) -> None:
        for number, offset in enumerate((-30, -40)):
            own_id = self.own_id(f"far-{number}")
            order = self.client.place(
                self.symbol, "buy", "0.001", self.price(offset), client_order_id=own_id, account=ACCOUNT
            )
            answered(self.client, order, self.hear)
        say(f"two bids farther away, then cancel all: {self.client.cancel_all()} cancels sent")

    def own_id(self, name: str) -> str:
        """An id that no earlier run of the demo has used."""
        return f"{self._run}-{name}"

    def price(self, offset: int) -> Decimal:
        """The market's price plus ``offset``, on the instrument's tick."""
        position = self.wait_for("a price of the market", self.position)
        return (Decimal(position.mark_price) + offset).quantize(self._tick, ROUND_HALF_EVEN)

    def position(self) -> Position | None:
        """The position that tells the market's price; None before there is one."""
        for position in self.client.positions():
            if self.symbol.startswith(position.symbol) and Decimal(position.mark_price) > 0:
                return position
        return None

    def wait_for(self, what: str, look: Callable[[], Position | None]) -> Position:
        deadline = time.monotonic() + MARKET_S
        while time.monotonic() < deadline:
            found = look()
            if found is not None:
                return found
            self.listen(_POLL_S)
        raise DemoError(f"no {what} within {MARKET_S:g} s")

    def report(self, what: str, order: Order) -> None:
        """Wait for the exchange's answer and print the order."""
        order = answered(self.client, order, self.hear)
        why = "" if order.reason == "NONE" else f" ({order.reason})"
        say(f"{what}: {order.side} {order.qty} at {order.price}: {order.state}{why}")

    def listen(self, seconds: float | None = None) -> None:
        """Take what comes for ``seconds``, or the pause between two steps, and print own fills."""
        deadline = time.monotonic() + (self.pause_s if seconds is None else seconds)
        while (left := deadline - time.monotonic()) > 0:
            for event in self.client.events(timeout=left):
                self.hear(event)

    def hear(self, event: Told) -> None:
        """Print an own fill."""
        if isinstance(event, FillEvent):
            self.fills.append(event.fill)
            fill = event.fill
            say(f"  filled {fill.qty} at {fill.price} as {fill.liquidity}, fee {fill.fee}")


def main(arguments: list[str]) -> int:
    session_file, pause_s = arguments
    end_with_parent(grace_s=0)
    settings = read_session(Path(session_file))
    try:
        with Client(NAME, settings.rpc_endpoint) as client:
            DemoClient(client, recorded_instrument(settings), float(pause_s)).run()
    except (DemoError, RpcError) as error:
        sys.stderr.write(f"{error}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
