"""The page about real orders, followed as it stands on its sandbox: first watching, then trading."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from gateways.sandbox.server import credentials_of
from tests.docs.pages import ROOT, blocks, console_commands
from tests.docs.test_sandbox import run, served

PAGE = ROOT / "docs" / "firm.md"
SECONDS = "1"

pytestmark = pytest.mark.timeout(400)


def test_page_is_followed(tmp_path: Path) -> None:
    _, *sessions = console_commands(PAGE)
    with served(tmp_path) as (port, environment):
        login = credentials_of(0)
        environment |= {"ZOMS_BINANCE_USDM_KEY": login.key, "ZOMS_BINANCE_USDM_SECRET": login.secret}
        text = blocks(PAGE, "toml")[0]
        assert "port = 8443" in text
        config = tmp_path / "firm.toml"
        config.write_text(f'rpc_endpoint = "ipc://{tmp_path}/rpc"\n' + text.replace("port = 8443", f"port = {port}"))
        orders = []
        for words in sessions:
            assert words[2:4] == ["--config", "firm.toml"]
            given = [str(config) if word == "firm.toml" else SECONDS if word == "10" else word for word in words[1:]]
            done = run(["-m", "oms.cli", *given, "--json"], environment)
            assert done.returncode == 0, done.stderr
            assert login.secret not in done.stdout + done.stderr
            summary = json.loads(done.stdout.splitlines()[-1])
            assert summary["problems"] == []
            assert "the SANDBOX on port" in done.stderr
            orders.append(summary["orders"])
        assert orders[0] == 0
        assert orders[1] > 0


def test_nobody_trades_without_the_accounts_name(tmp_path: Path) -> None:
    config = tmp_path / "firm.toml"
    config.write_text(blocks(PAGE, "toml")[0])
    done = run(["-m", "oms.cli", "firm", "--config", str(config), "--confirm", "desk"], {"ZOMS_HOME": str(tmp_path)})
    assert (done.returncode, done.stderr) == (1, "zoms: --confirm 'desk' confirms --trade: give both\n")
