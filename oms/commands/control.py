"""``zoms halt``, ``resume``, ``reduce``, ``kill``: what accounts and strategies of the running session may do."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from oms.commands.options import (
    Account,
    CommandError,
    DataDir,
    StrategyName,
    SubAccount,
    running_settings,
    say,
)
from oms.commands.orders import CLIENT_NAME, connect

if TYPE_CHECKING:
    from rpc.entities import TradingStateName


def set_state(
    state: TradingStateName, account: str | None, data_dir: Path | None, sub_account: str | None, strategy: str | None
) -> None:
    """Set the trading state of every account, or of the one or the strategy that is named, and print what it is now."""
    if sub_account is not None and strategy is not None:
        raise CommandError("--sub-account and --strategy exclude each other: give one of them")
    with connect(running_settings(account, data_dir), CLIENT_NAME) as connection:
        now = connection.set_trading_state(state, account=sub_account, strategy=strategy)
    whose = f" for {sub_account or strategy}" if sub_account or strategy else ""
    say(f"trading is {now}{whose}")


def halt(
    account: Account = None, data_dir: DataDir = None, sub_account: SubAccount = None, strategy: StrategyName = None
) -> None:
    """Stop all trading but cancels: of every account, or of one account or strategy."""
    set_state("halted", account, data_dir, sub_account, strategy)


def resume(
    account: Account = None, data_dir: DataDir = None, sub_account: SubAccount = None, strategy: StrategyName = None
) -> None:
    """Trade again, after halt, reduce, kill or a restart of the core."""
    set_state("active", account, data_dir, sub_account, strategy)


def reduce(
    account: Account = None, data_dir: DataDir = None, sub_account: SubAccount = None, strategy: StrategyName = None
) -> None:
    """Let only cancels and orders through that shrink a position."""
    set_state("reducing", account, data_dir, sub_account, strategy)


def kill(
    flatten: Annotated[bool, typer.Option("--flatten", help="Also close all positions, at the market.")] = False,
    account: Account = None,
    data_dir: DataDir = None,
    sub_account: SubAccount = None,
) -> None:
    """The kill switch: halt every account, or one, and cancel all orders."""
    with connect(running_settings(account, data_dir), CLIENT_NAME) as connection:
        connection.kill(account=sub_account, flatten=flatten)
    closing = ", positions are being closed" if flatten else ""
    say(f"trading is halted for {sub_account or 'every account'}, orders are being cancelled{closing}")
