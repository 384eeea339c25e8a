"""The process: commands and reports over the bus, heartbeats, the dead man's switch, keys that stay secret."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest

from gateways.credentials import CredentialsError, variable
from gateways.orders.process import serve
from gateways.sandbox.server import Sandbox
from gateways.sidecar import open_recording
from oms.bus import Puller, Pusher, new_context
from oms.config import LiveSettings, Settings, load_settings
from oms.records import COMMAND, CommandKind, OrderType, RecordKind, ReportKind, Source, TimeInForce
from tests.gateways.orders.booth import FAR
from tests.gateways.sandbox.desk import RECORDING, shipped_instrument

ORDER_ID = 1024 << 40 | 1

VENUE = "binance_usdm"
KEY, SECRET = (variable(VENUE, part) for part in ("key", "secret"))


class OwnLife:
    """Ends the process when it is told to, and keeps its heartbeats."""

    def __init__(self) -> None:
        self.stopping = False
        self.states: list[str] = []
        self.counters: dict[str, float] = {}

    def beat(self, counters: Mapping[str, float], state: str = "") -> bool:
        self.states += [state] * bool(state)
        self.counters = dict(counters)
        return True


def own_settings(folder: Path) -> Settings:
    return load_settings(
        None, {"replay": {"file": str(RECORDING)}, "data_dir": str(folder), "heartbeat_s": 0.02, "watchdog_s": 5.0}
    )


def command(kind: CommandKind, **fields: Any) -> Any:
    record = np.zeros(1, COMMAND)
    terms = {"side": 1, "order_type": OrderType.LIMIT, "time_in_force": TimeInForce.GTC, "qty": 100, "px": FAR}
    for name, value in ({"order_id": ORDER_ID, "kind": kind, "strategy": -1} | terms | fields).items():
        record[name] = value
    return record


async def reports_until(puller: Puller, kind: ReportKind) -> list[ReportKind]:
    found: list[ReportKind] = []
    async with asyncio.timeout(20):
        while kind not in found:
            frame = puller.receive()
            if frame is None:
                await asyncio.sleep(0)
                continue
            found += [ReportKind(int(report["kind"])) for report in frame.records]
    return found


def test_commands_of_the_bus_are_traded_and_reports_come_back(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    async def body() -> None:
        settings = own_settings(tmp_path)
        settings.socket_dir.mkdir(parents=True)
        context = new_context()
        orders = Pusher(context, settings.orders_endpoint, RecordKind.COMMAND, Source.CORE, binding=True)
        core = Puller(context, settings.core_endpoint)
        life = OwnLife()
        async with Sandbox(open_recording(RECORDING), shipped_instrument()) as sandbox:
            sandbox.step(50)
            ca_file = tmp_path / "ca.pem"
            ca_file.write_bytes(sandbox.ca_pem)
            environment = {KEY: sandbox.login["apiKey"], SECRET: sandbox.login["secret"]}
            live = LiveSettings(sandbox_port=sandbox.port, sandbox_ca=str(ca_file))
            settings = msgspec.structs.replace(settings, live=live)
            serving = asyncio.ensure_future(serve(settings, life, context, environment, VENUE))
            assert await reports_until(core, ReportKind.BALANCE) == [ReportKind.BALANCE]
            async with asyncio.timeout(20):
                while not life.counters.get("trades"):
                    await asyncio.sleep(0)
            orders.send(command(CommandKind.NEW))
            assert await reports_until(core, ReportKind.ACCEPTED) == [ReportKind.ACCEPTED]
            account = sandbox.venue.exchange.accounts[0]
            assert len(account.open_orders) == 1
            orders.send(command(CommandKind.CANCEL))
            assert await reports_until(core, ReportKind.CANCELLED) == [ReportKind.CANCELLED]
            orders.send(command(CommandKind.NEW, order_id=ORDER_ID + 1))
            await reports_until(core, ReportKind.ACCEPTED)
            life.stopping = True
            assert await serving == 0
            assert life.states == ["recovering", "ready", "stopping"]
            assert len(account.open_orders) == 1
            sandbox.advance(61_000)
            assert not account.open_orders  # nobody has told the exchange that the gateway lives
            said = capfd.readouterr().err
            assert "reconciled: trading" in said
            assert sandbox.login["apiKey"] not in said
            assert sandbox.login["secret"] not in said
        orders.close()
        core.close()
        context.destroy(linger=0)

    asyncio.run(body())


@pytest.mark.parametrize("missing", [KEY, SECRET])
def test_process_without_keys_does_not_start(tmp_path: Path, missing: str) -> None:
    environment = {KEY: "k", SECRET: "s"}
    del environment[missing]
    context = new_context()
    with pytest.raises(CredentialsError, match=missing):
        asyncio.run(serve(own_settings(tmp_path), OwnLife(), context, environment, VENUE))
    context.destroy(linger=0)
