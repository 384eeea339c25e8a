"""Settings of sessions with real orders, against a sandbox or nothing at all."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any, Final

from oms.config import Settings, load_settings

SYMBOL: Final = "BTCUSDT.binance_usdm"
ACCOUNT: Final = "desk"
SETTINGS: Final = f"""
account = "{ACCOUNT}"
heartbeat_s = 0.1

[live]
instruments = ["{SYMBOL}"]
sandbox_port = {{port}}
sandbox_ca = "{{ca}}"

[accounts.{ACCOUNT}]
position_mode = "netting"
margin_mode = "cross"
cost_basis = "average"
leverage = "5"
day_reset = "00:00 UTC"
balances = {{{{ "binance_usdm.USDT" = "100000" }}}}
max_gross_exposure = "60000"
max_net_exposure = "60000"
max_leverage = "3"
max_open_orders = 20
max_daily_loss = "1000"
max_drawdown = "2000"
max_orders_per_second = 20
max_cancels_per_second = 40

[risk."{SYMBOL}"]
max_order_qty = "0.1"
max_order_notional = "10000"
price_collar = "0.02"
max_position = "0.5"
max_open_orders = 10
max_orders_per_second = 10
max_book_age_ms = 5000
duplicate_window_ms = 10
"""
"""Of a session on one contract, with limits of its own and without a strategy."""


def settings_file(folder: Path, *, port: int = 1, ca_pem: bytes = b"", more: str = "") -> Path:
    """Write ``SETTINGS``, and ``more`` behind them, to a file."""
    ca = folder / "ca.pem"
    ca.write_bytes(ca_pem)
    path = folder / "firm.toml"
    path.write_text(SETTINGS.format(port=port, ca=ca) + more)
    return path


def firm_settings(folder: Path, *, trade: bool = True, more: str = "", **given: Any) -> Settings:
    """The settings of a session that may trade."""
    path = settings_file(folder, more=more)
    overrides = {"mode": "firm", "firm": {"trade": trade}, "data_dir": os.fspath(folder / "data")}
    return load_settings(path, {**overrides, **given})
