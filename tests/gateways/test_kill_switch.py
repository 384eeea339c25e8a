"""The kill switch, through the unmodified ccxt, on the sandbox exchange."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from gateways.credentials import Credentials, CredentialsError, read_credentials
from gateways.kill_switch import KillSwitch, Verdict
from gateways.sandbox.faults import Fault
from gateways.venues import VENUES, Sandbox
from oms.commands.kill_switch import print_verdict
from tests.gateways.sandbox.desk import SYMBOL, Desk, on_sandbox
from tests.oms.command_line import Zoms


class Seconds:
    """Time that passes only where somebody waits for it."""

    def __init__(self) -> None:
        self.now = 0.0
        self.then: dict[float, Callable[[], Awaitable[Any]]] = {}
        """What happens while somebody waits, by the second at which it is due."""

    def __call__(self) -> float:
        return self.now

    async def sleep(self, seconds: float) -> None:
        self.now += seconds
        for due in [due for due in self.then if due <= self.now]:
            await self.then.pop(due)()


class Trial:
    """A kill switch on a desk's sandbox, and what it said."""

    def __init__(self, desk: Desk, folder: Path, **given: Any) -> None:
        ca = folder / "ca.pem"
        ca.write_bytes(desk.sandbox.ca_pem)
        self.seconds = Seconds()
        self.said: list[str] = []
        login = desk.sandbox.login
        credentials = given.pop("credentials", None) or Credentials(login["apiKey"], login["secret"])
        self.switch = KillSwitch(
            VENUES["binance_usdm"],
            credentials,
            Sandbox(desk.sandbox.port, ca),
            say=self.said.append,
            clock=self.seconds,
            sleep=self.seconds.sleep,
            **given,
        )


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path


def tried(folder: Path, body: Callable[[Desk, Path], Awaitable[None]], **options: Any) -> None:
    """Run a test's body on a sandbox of these options."""

    async def with_folder(desk: Desk) -> None:
        desk.sandbox.step(200)
        await body(desk, folder)

    on_sandbox(**options)(with_folder)()


async def placed(desk: Desk) -> None:
    """Three orders that rest, one of them conditional, and a position."""
    await desk.buy(0.01, 50_000)
    await desk.order("sell", 0.02, 70_000, clientOrderId="mine")
    await desk.order("sell", 0.01, triggerPrice=50_000)
    await desk.buy(0.003)


async def open_at(desk: Desk) -> int:
    """How many orders the exchange has."""
    plain = await desk.exchange.fetch_open_orders(SYMBOL)
    return len(plain) + len(await desk.exchange.fetch_open_orders(SYMBOL, params={"trigger": True}))


def test_everything_is_cancelled_and_what_stays_is_named(folder: Path) -> None:
    async def body(desk: Desk, folder: Path) -> None:
        await placed(desk)
        assert await open_at(desk) == 3
        trial = Trial(desk, folder)
        verdict = await trial.switch.run()
        assert (verdict.is_clear, verdict.ended, verdict.left, verdict.problem) == (True, 3, (), "")
        assert [(each.side, each.qty) for each in verdict.positions] == [("long", "0.003")]
        assert await open_at(desk) == 0
        assert trial.seconds.now >= 10
        assert trial.said == [
            "binance_usdm: 3 open, cancelling",
            "binance_usdm: nothing is open; looking on for 10 s",
        ]

    tried(folder, body)


def test_an_order_that_was_on_its_way_is_cancelled_too(folder: Path) -> None:
    async def body(desk: Desk, folder: Path) -> None:
        trial = Trial(desk, folder)

        async def arrive() -> None:
            await desk.buy(0.01, 50_000)

        trial.seconds.then[7.0] = arrive
        verdict = await trial.switch.run()
        assert (verdict.is_clear, verdict.ended) == (True, 1)
        assert trial.seconds.now >= 17  # the window begins anew
        assert await open_at(desk) == 0

    tried(folder, body)


@pytest.mark.parametrize("fault", [Fault.LOSE_REQUEST, Fault.LOSE_ANSWER, Fault.BUSY, Fault.HTML, Fault.UNKNOWN])
def test_it_goes_on_through_what_goes_wrong(folder: Path, fault: Fault) -> None:
    async def body(desk: Desk, folder: Path) -> None:
        plan = desk.venue.faults
        rates, plan.rates = plan.rates, {}
        await placed(desk)
        plan.rates = rates
        verdict = await Trial(desk, folder, deadline_s=10_000).switch.run()
        plan.rates = {}
        assert (verdict.is_clear, verdict.ended, verdict.left) == (True, 3, ())
        assert await open_at(desk) == 0

    tried(folder, body, faults=(3, {fault: 0.3}))


def test_an_exchange_that_does_not_answer_is_not_clear(folder: Path) -> None:
    async def body(desk: Desk, folder: Path) -> None:
        await desk.buy(0.01, 50_000)
        desk.venue.faults.rates = {Fault.MAINTENANCE: 1.0}
        verdict = await Trial(desk, folder, deadline_s=60).switch.run()
        desk.venue.faults.rates = {}
        assert not verdict.is_clear
        assert verdict.problem.startswith("the time is over; open orders: OnMaintenance")
        assert await open_at(desk) == 1

    tried(folder, body, faults=(1, {}))


def test_an_order_that_cannot_be_cancelled_is_named(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def body(desk: Desk, folder: Path) -> None:
        await desk.order("sell", 0.02, 70_000, clientOrderId="mine")
        trial = Trial(desk, folder, deadline_s=30)

        async def in_vain(kind: str, symbol: str) -> None:
            await asyncio.sleep(0)

        monkeypatch.setattr(trial.switch, "_cancel", in_vain)
        verdict = await trial.switch.run()
        assert (verdict.is_clear, verdict.ended) == (False, 0)
        (left,) = verdict.left
        assert left.text.endswith(f"(mine): sell 0.02 {SYMBOL} at 70000.0")
        assert await open_at(desk) == 1

    tried(folder, body)


def test_wrong_keys_end_it_at_once(folder: Path) -> None:
    async def body(desk: Desk, folder: Path) -> None:
        trial = Trial(desk, folder, credentials=Credentials("nobody", "nothing"))
        verdict = await trial.switch.run()
        assert not verdict.is_clear
        assert verdict.problem.startswith("the keys are refused: ")
        assert "nothing" not in verdict.problem
        assert trial.seconds.now == 0

    tried(folder, body)


# Keys


@pytest.mark.pure
@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({}, "there are no keys for binance_usdm: set ZOMS_BINANCE_USDM_KEY and ZOMS_BINANCE_USDM_SECRET"),
        ({"ZOMS_BINANCE_USDM_KEY": "a"}, "ZOMS_BINANCE_USDM_SECRET is not set, and ZOMS_BINANCE_USDM_KEY is: set both"),
        ({"ZOMS_BINANCE_USDM_SECRET": "a"}, "ZOMS_BINANCE_USDM_KEY is not set, and"),
    ],
)
def test_keys_that_are_not_there_are_an_error(given: Mapping[str, str], words: str) -> None:
    with pytest.raises(CredentialsError, match=words):
        read_credentials("binance_usdm", given)


@pytest.mark.pure
def test_a_secret_is_in_no_text() -> None:
    given = {"ZOMS_BINANCE_USDM_KEY": "key-abcd", "ZOMS_BINANCE_USDM_SECRET": "hidden"}
    found = read_credentials("binance_usdm", given)
    assert (found.key, found.secret) == ("key-abcd", "hidden")
    assert f"{found} {found!r} {found!s}" == " ".join(["Credentials(key='...abcd')"] * 3)


# The command


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["nowhere"], "there is no kill switch for 'nowhere': there is one for binance_usdm"),
        (["binance_usdm"], "there are no keys for binance_usdm"),
        ([], "there are no keys for binance_usdm"),
        (["--sandbox-port", "1", "--sandbox-ca", "/nowhere.pem"], "there is no certificate /nowhere.pem"),
        (["--sandbox-ca", "/nowhere.pem"], "is of a sandbox exchange: give --sandbox-port too"),
    ],
)
def test_the_command_names_what_is_wrong(
    zoms: Zoms, monkeypatch: pytest.MonkeyPatch, arguments: list[str], words: str
) -> None:
    for part in ("KEY", "SECRET"):
        monkeypatch.delenv(f"ZOMS_BINANCE_USDM_{part}", raising=False)
    status, out, err = zoms("kill-switch", *arguments)
    assert (status, out) == (1, "")
    assert words in err


def test_a_verdict_in_words(capsys: pytest.CaptureFixture[str]) -> None:
    print_verdict(Verdict(venue="binance_usdm", is_clear=False, ended=1, problem="the time is over"))
    print_verdict(Verdict(venue="binance_usdm", is_clear=True, ended=2, problem="no answer"))
    assert capsys.readouterr().out.splitlines() == [
        "binance_usdm: NOT CLEAR: the time is over; 1 that were open are no more",
        "binance_usdm: no order is open; 2 that were open are no more",
        "  positions could not be looked at: no answer",
    ]
