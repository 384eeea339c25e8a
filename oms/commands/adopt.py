"""``zoms adopt ...``: adjustment entries for what came about outside zoms, journalled and applied by the core."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from oms.commands.options import Account, CommandError, DataDir, Json, running_settings, say, say_json

if TYPE_CHECKING:
    from oms.config import Settings
    from oms.instruments import Instrument
    from oms.journal_format import Records
    from oms.journal_reader import JournalTail
    from oms.session_versions import NewestSession

ANSWER_S: Final = 5.0
"""How long to wait until the core has written down what it made of an entry."""

app = typer.Typer(
    help="Tell the core what came about elsewhere: a position, an order, a balance, funding, a settlement.",
    no_args_is_help=True,
    rich_markup_mode=None,
)

Symbol = Annotated[str, typer.Argument(help="Instrument, such as BTCUSDT or BTCUSDT.binance_usdm.")]
Number = Annotated[int, typer.Option("--number", help="The account's number in the session.", min=0, metavar="N")]
ShortLeg = Annotated[bool, typer.Option("--short-leg", help="Hedging: of the short position.")]
Strategy = Annotated[
    str | None, typer.Option("--strategy", help="Name of the strategy whose it is. Default: nobody's.", metavar="NAME")
]


class Adoption:
    """What one command tells the running core.

    Attributes
    ----------
    settings : Settings
        Of the running session.
    """

    def __init__(self, account: str | None, data_dir: Path | None, as_json: bool) -> None:
        self.settings: Settings = running_settings(account, data_dir)
        self._as_json = as_json
        self._session: NewestSession | None = None

    @property
    def session(self) -> NewestSession:
        """The session's versions and journal as they are when it is first asked for."""
        from oms.session_versions import newest_session

        if self._session is None:
            self._session = newest_session(self.settings)
        return self._session

    def instrument(self, symbol: str) -> Instrument:
        """An instrument by the definition that is in force; the core refuses the entry when that changes meanwhile."""
        from oms.traded import traded_instrument

        named = traded_instrument(self.settings, symbol)
        return self.session.definitions.in_force(named.id) or named

    def strategy(self, name: str | None, number: int) -> int:
        """The number of the strategy called ``name``, of account ``number``; -1 for None.

        Raises
        ------
        CommandError
            When the account has none of that name, or several.
        """
        if name is None:
            return -1
        titles = [
            each.title if self.settings.account_number(each.account) == number else ""
            for each in self.settings.strategies
        ]
        if titles.count(name) == 1:
            return titles.index(name)
        problem = "is there more than once" if name in titles else "is not there"
        known = ", ".join(filter(None, titles)) or "none"
        raise CommandError(f"strategy {name!r} of account number {number} {problem}: its strategies are {known}")

    def send(self, told: str, report: Records) -> None:
        """Tell the core, and say what it made of it."""
        event = send_report(self.settings, self.session.tail, report)
        if self._as_json:
            say_json(event)
        else:
            say(told)


def new_report(**fields: int) -> Records:
    """One REPORT that is about no order that the core knows, at the core's present time.

    Its ``ts`` is 0: in a session of a recording the wall clock's time would end everything that lasts for a while.
    """
    import numpy as np

    from oms.records import REPORT

    report = np.zeros(1, REPORT)
    report["exch_ts"] = time.time_ns()
    report["strategy"] = -1
    for name, value in fields.items():
        report[name] = value
    return report


def send_report(settings: Settings, tail: JournalTail, report: Records) -> dict[str, Any]:
    """Send a report to the running core, and wait in its journal, from ``tail`` on, for the event that it became.

    Raises
    ------
    CommandError
        When the core ignores the report, or does not answer.
    """
    from oms.bus import Pusher, new_context
    from oms.records import EventKind, Reason, RecordKind, ReportKind, Source

    kind = ReportKind(int(report["kind"][0]))
    wanted = {
        ReportKind.POSITION: EventKind.POSITION_ADOPTED,
        ReportKind.ADOPTED: EventKind.ORDER_ADOPTED,
        ReportKind.BALANCE: EventKind.BALANCE,
        ReportKind.FUNDING: EventKind.FUNDING,
        ReportKind.SETTLEMENT: EventKind.SETTLED,
    }[kind]
    context = new_context()
    pusher = Pusher(context, settings.core_endpoint, RecordKind.REPORT, Source.EXECUTION)
    try:
        pusher.send(report)
        deadline = time.monotonic() + ANSWER_S
        while time.monotonic() < deadline:
            for entry in tail.read():
                for event in entry.records if entry.kind == RecordKind.EVENT else ():
                    if event["kind"] == wanted and event["account"] == report["account"][0]:
                        names = event.dtype.names or ()
                        return {name: int(event[name]) for name in names}
                    if event["kind"] == EventKind.REPORT_IGNORED and event["aux"] == kind:
                        reason = Reason(int(event["reason"])).name
                        raise CommandError(f"the core has not taken the entry: {reason} (docs/reasons.md)")
            time.sleep(0.02)
    finally:
        pusher.close()
        context.destroy(linger=500)
    raise CommandError(f"the core has not answered within {ANSWER_S:g} s: see zoms status, then zoms positions")


@app.command()
def position(
    symbol: Symbol,
    qty: Annotated[str, typer.Argument(help="The position from now on, decimal; short: negative, after --.")],
    price: Annotated[str, typer.Argument(help="Its average price, decimal; it need not be on the tick.")],
    short_leg: ShortLeg = False,
    strategy: Annotated[
        str | None,
        typer.Option(
            "--strategy", help="Name of the strategy whose share it is. Default: the account's own.", metavar="NAME"
        ),
    ] = None,
    number: Number = 0,
    account: Account = None,
    data_dir: DataDir = None,
    as_json: Json = False,
) -> None:
    """Set a position to what it is at the venue, or a strategy's share of it."""
    from oms.records import OrderFlag, ReportKind

    adoption = Adoption(account, data_dir, as_json)
    instrument = adoption.instrument(symbol)
    px, px_fraction = instrument.average_to_ticks(price)
    report = new_report(
        kind=ReportKind.POSITION,
        account=number,
        instrument=instrument.id,
        version=instrument.version,
        qty=instrument.qty_to_lots(qty),
        px=px,
        px_fraction=px_fraction,
        flags=OrderFlag.SHORT_LEG if short_leg else 0,
        value=adoption.strategy(strategy, number) + 1,
    )
    whose = f" of strategy {strategy}" if strategy else ""
    adoption.send(f"position{whose} in {symbol} is now {qty} at {price}", report)


@app.command()
def order(
    side: Annotated[str, typer.Argument(help="buy or sell.")],
    symbol: Symbol,
    qty: Annotated[str, typer.Argument(help="Total quantity, decimal.")],
    price: Annotated[str, typer.Argument(help="Its limit price, decimal.")],
    order_id: Annotated[int, typer.Option("--order-id", help="The id that the venue's reports carry.", metavar="N")],
    leaves: Annotated[
        str | None, typer.Option("--leaves", help="What is not filled yet. Default: all.", metavar="QTY")
    ] = None,
    reduce_only: Annotated[bool, typer.Option("--reduce-only", help="It only closes.")] = False,
    short_leg: ShortLeg = False,
    strategy: Strategy = None,
    number: Number = 0,
    account: Account = None,
    data_dir: DataDir = None,
    as_json: Json = False,
) -> None:
    """Take over an open limit order that was placed elsewhere."""
    from oms.records import BUY, SELL, OrderFlag, OrderType, ReportKind, TimeInForce

    if side not in ("buy", "sell"):
        raise CommandError(f"side {side!r} is neither buy nor sell")
    adoption = Adoption(account, data_dir, as_json)
    instrument = adoption.instrument(symbol)
    report = new_report(
        kind=ReportKind.ADOPTED,
        account=number,
        strategy=adoption.strategy(strategy, number),
        instrument=instrument.id,
        version=instrument.version,
        order_id=order_id,
        side=BUY if side == "buy" else SELL,
        qty=instrument.qty_to_lots(qty),
        leaves_qty=instrument.qty_to_lots(leaves or qty),
        px=instrument.px_to_ticks(price),
        order_type=OrderType.LIMIT,
        time_in_force=TimeInForce.GTC,
        flags=OrderFlag.REDUCE_ONLY * reduce_only | OrderFlag.SHORT_LEG * short_leg,
    )
    adoption.send(f"order {order_id}: {side} {qty} {symbol} at {price} is now zoms'", report)


@app.command()
def balance(
    wallet: Annotated[str, typer.Argument(help="Currency and venue, such as USDT.binance_usdm.")],
    amount: Annotated[str, typer.Argument(help="What it holds, decimal.")],
    number: Number = 0,
    account: Account = None,
    data_dir: DataDir = None,
    as_json: Json = False,
) -> None:
    """Set what a wallet holds."""
    from oms.decimals import scaled
    from oms.records import ReportKind
    from oms.recovery import wallet_names

    adoption = Adoption(account, data_dir, as_json)
    known = wallet_names(adoption.settings.wallets)
    if wallet not in known:
        raise CommandError(f"unknown wallet {wallet!r}: the session has {', '.join(known) or 'none'}")
    cash = scaled("balance", amount, "balance")
    report = new_report(kind=ReportKind.BALANCE, account=number, instrument=-1, value=known.index(wallet), fee=cash)
    adoption.send(f"wallet {wallet} holds {amount}", report)


@app.command()
def funding(
    symbol: Symbol,
    amount: Annotated[str, typer.Argument(help="What was paid, decimal; received: negative, after --.")],
    number: Number = 0,
    short_leg: ShortLeg = False,
    account: Account = None,
    data_dir: DataDir = None,
    as_json: Json = False,
) -> None:
    """Book a funding payment."""
    from oms.records import OrderFlag, ReportKind

    adoption = Adoption(account, data_dir, as_json)
    instrument = adoption.instrument(symbol)
    report = new_report(
        kind=ReportKind.FUNDING,
        account=number,
        instrument=instrument.id,
        version=instrument.version,
        fee=instrument.amount_to_cash(amount, "funding"),
        flags=OrderFlag.SHORT_LEG if short_leg else 0,
    )
    adoption.send(f"funding of {amount} {instrument.settlement} paid on {symbol}", report)


@app.command()
def settlement(
    symbol: Symbol,
    price: Annotated[
        str, typer.Argument(help="The settlement price, decimal, on any grid; of an option its underlying's.")
    ],
    number: Number = 0,
    short_leg: ShortLeg = False,
    account: Account = None,
    data_dir: DataDir = None,
    as_json: Json = False,
) -> None:
    """Close a position at its settlement price."""
    from oms.decimals import scaled
    from oms.records import OrderFlag, ReportKind

    adoption = Adoption(account, data_dir, as_json)
    instrument = adoption.instrument(symbol)
    report = new_report(
        kind=ReportKind.SETTLEMENT,
        account=number,
        instrument=instrument.id,
        version=instrument.version,
        px=scaled("settlement price", price, f"{symbol}'s settlement price"),
        flags=OrderFlag.SHORT_LEG if short_leg else 0,
    )
    adoption.send(f"position in {symbol} was settled at {price}", report)
