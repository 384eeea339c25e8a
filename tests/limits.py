"""Accounts and limits that nothing reaches, for tests that are about something else."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

import msgspec

from oms.config import AccountSettings, RiskSettings
from oms.currencies import wallets_of
from oms.instruments import Instrument

WIDE_LIMITS: Final = RiskSettings(
    max_order_qty="2000000",
    max_order_notional="10000000000",
    price_collar="10",
    max_position="100000000",
    max_open_orders=1024,
    max_orders_per_second=1_000_000_000,
    max_book_age_ms=1_000_000_000,
    duplicate_window_ms=0,
    self_trade="allow",
)

WIDE_ACCOUNT: Final = AccountSettings(
    position_mode="netting",
    margin_mode="cross",
    cost_basis="average",
    leverage="1",
    day_reset="00:00 UTC",
    max_gross_exposure="40000000000",
    max_net_exposure="40000000000",
    max_leverage="1000000",
    max_open_orders=1_000_000,
    max_daily_loss="40000000000",
    max_drawdown="40000000000",
    max_orders_per_second=1_000_000_000,
    max_cancels_per_second=1_000_000_000,
)


def rich_account(instruments: Iterable[Instrument]) -> AccountSettings:
    """``WIDE_ACCOUNT`` with ten billion in every wallet of these instruments."""
    balances = {str(wallet): "10000000000" for wallet in wallets_of(instruments)}
    return msgspec.structs.replace(WIDE_ACCOUNT, balances=balances)
