"""The kill switch on the sandbox of OKX, which has no request that cancels all."""

from __future__ import annotations

from pathlib import Path

from gateways.kill_switch import KillSwitch
from gateways.sandbox.conditionals import Conditional
from gateways.sandbox.server import credentials_of
from gateways.venues import VENUES, Sandbox
from oms.records import TimeInForce
from tests.gateways.okx.booth import OkxBooth, on_booth
from tests.gateways.okx.test_orders import elsewhere
from tests.gateways.test_kill_switch import Seconds

GTC = TimeInForce.GTC


def test_everything_is_cancelled_and_what_stays_is_named(tmp_path: Path) -> None:
    @on_booth(is_open=False)
    async def body(booth: OkxBooth) -> None:
        exchange = booth.exchange
        for number in range(12):
            await exchange.privatePostTradeOrder(elsewhere(clOrdId=f"elsewhere{number}"))
        await exchange.privatePostTradeOrder(elsewhere(ordType="market", px="", clOrdId="market"))
        await exchange.privatePostTradeOrderAlgo(
            {**elsewhere(ordType="trigger", side="sell", clOrdId="trigger"), "triggerPx": "50000", "orderPx": "-1"}
        )
        await exchange.privatePostTradeOrderAlgo(
            {**elsewhere(ordType="conditional", side="sell", clOrdId="stop"), "slTriggerPx": "50000", "slOrdPx": "-1"}
        )
        for kind in ("move_order_stop", "iceberg", "twap"):  # which the sandbox takes no requests for
            booth.side.conditionals.place(Conditional(booth.account, kind, kind, -1, 100, 0, 500_000, -1, GTC))
        ca = tmp_path / "ca.pem"
        ca.write_bytes(booth.sandbox.ca_pem)
        seconds, said = Seconds(), list[str]()
        booth.side.limits.charge = lambda *_: None  # type: ignore[method-assign]  # its seconds are others
        switch = KillSwitch(
            VENUES["okx"],
            credentials_of(0),
            Sandbox(booth.sandbox.port, ca),
            say=said.append,
            clock=seconds,
            sleep=seconds.sleep,
        )
        verdict = await switch.run()
        assert (verdict.is_clear, verdict.ended, verdict.left, verdict.problem) == (True, 17, (), ""), said
        assert said[0] == "okx: chase orders and smart iceberg orders are not looked for: see there yourself"
        assert [(each.side, each.qty) for each in verdict.positions] == [("long", "1.0")]
        assert not booth.account.open_orders
        assert not booth.side.conditionals.are_open
        assert seconds.now >= VENUES["okx"].receive_window_s

    body()
