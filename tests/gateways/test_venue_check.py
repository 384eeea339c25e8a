"""The checks of a venue: all pass at every venue that has a sandbox, and each fails at a venue that misbehaves."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager, suppress
from pathlib import Path
from queue import Queue
from typing import Any, Final, NamedTuple
from urllib.parse import urlsplit

import ccxt
import pytest
from msgspec.structs import replace

from gateways.credentials import Credentials, CredentialsError
from gateways.live.client import Policy
from gateways.live.requests import RequestError, Requests
from gateways.live.venue import Feed
from gateways.orders.clock import Clock
from gateways.orders.venue import VenueType
from gateways.orders.views import PositionView
from gateways.proof import read_proof
from gateways.sandbox.faults import Fault, FaultPlan
from gateways.sandbox.server import Sandbox, credentials_of
from gateways.sandbox.stand_ins import STAND_INS
from gateways.sidecar import open_recording
from gateways.venue_check.bench import Bench, CheckError, on_bench
from gateways.venue_check.checks import AT_THE_END, CHECKS
from gateways.venue_check.place import Place, Where, place_of
from gateways.venue_check.run import Result, Verdict, keep_proof, try_venue
from gateways.venues import VENUES, Role, implementation, with_role
from gateways.venues import Sandbox as SandboxAddress
from oms.checks import ConfigError
from oms.compiled import compile_entries
from oms.instruments import Instrument
from oms.records import OrderFlag, TimeInForce
from tests.docs.pages import console_commands
from tests.gateways.htx.booth import SPOT
from tests.gateways.okx.booth import SPOT as OKX_SPOT
from tests.gateways.reference import COINM_FILE
from tests.gateways.sandbox.desk import RECORDING, shipped_instrument
from tests.oms.command_line import Zoms

compile_entries()

PAGE: Final = Path(__file__).resolve().parents[2] / "docs" / "venue-check.md"
SPOT_RECORDING: Final = RECORDING.with_name("spot_btcusdt_20240808_30s.gz")
QUICK: Final = Policy(silent_s=30.0, first_wait_s=0.005, longest_wait_s=0.02, snapshot_every_s=0.005)
PATIENCE_S: Final = 10.0
SHORT_S: Final = 0.4
"""Where it is certain that what is awaited does not come."""


LINEAR_STAND_INS: Final = {each.venue: each for each in STAND_INS["binance_usdm", "BTCUSDT"]}
INVERSE_STAND_INS: Final = {each.venue: each for each in STAND_INS["binance_coinm", "BTCUSD_PERP"]}


class Ground(NamedTuple):
    """A sandbox whose market goes on by itself, and the place that it is."""

    sandbox: Sandbox
    place: Place
    instrument: Instrument

    @property
    def account(self) -> Any:
        """The sandbox's side of it."""
        return self.sandbox.venue.exchange.accounts[0]


MARKETS: Final = {
    "binance_usdm": (RECORDING, shipped_instrument()),
    "binance_spot": (SPOT_RECORDING, shipped_instrument(SPOT_RECORDING)),
    "binance_coinm": (COINM_FILE, INVERSE_STAND_INS["binance_coinm"]),
    "okx": (RECORDING, LINEAR_STAND_INS["okx"]),
    "okx inverse": (COINM_FILE, INVERSE_STAND_INS["okx"]),
    "okx_spot": (SPOT_RECORDING, OKX_SPOT),
    "htx_linear": (RECORDING, LINEAR_STAND_INS["htx_linear"]),
    "htx_spot": (SPOT_RECORDING, SPOT),
}
"""Recording and instrument of each venue that has a sandbox."""


ALIKE: Final = ("okx inverse", "okx_spot")
"""Those that are another one's code with other names and numbers."""


@asynccontextmanager
async def on_ground(folder: Path, name: str = "binance_usdm", pace_s: float = 0.002) -> AsyncIterator[Ground]:
    """A venue's sandbox within the block."""
    recording, instrument = MARKETS[name]
    async with Sandbox(open_recording(recording), instrument, loop=True) as sandbox:
        sandbox.step(50)
        ca = folder / "ca.pem"
        ca.write_bytes(sandbox.ca_pem)
        place = place_of(VENUES[instrument.venue], SandboxAddress(sandbox.port, ca))
        playing = asyncio.ensure_future(played(sandbox, pace_s))
        try:
            yield Ground(sandbox, place, instrument)
        finally:
            playing.cancel()
            with suppress(asyncio.CancelledError):
                await playing


async def played(sandbox: Sandbox, pace_s: float) -> None:
    """Let the market go on."""
    while True:
        sandbox.step()
        await sandbox.venue.flush()
        await asyncio.sleep(pace_s)


async def tried(ground: Ground, tell: Callable[[Verdict], None] = lambda _: None, **given: Any) -> Result:
    """All checks."""
    known = {"instrument": ground.instrument, "credentials": credentials_of(0), "patience_s": PATIENCE_S}
    return await try_venue(ground.place, tell=tell, policy=QUICK, **{**known, **given})


def failed(result: Result) -> dict[str, str]:
    """What the checks that failed said, by name."""
    return {verdict.check: verdict.text for verdict in result.verdicts if verdict.level == "failed"}


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=pytest.mark.thorough) if name in ALIKE else name for name in MARKETS]
)
def test_every_check_passes_and_leaves_nothing_behind(name: str, tmp_path: Path) -> None:
    async def body() -> None:
        async with on_ground(tmp_path, name) as ground:
            told: list[Verdict] = []
            result = await tried(ground, told.append)
            assert failed(result) == {}
            assert result.has_passed
            assert told == result.verdicts
            assert [each.check for each in told] == [check.name for check in (*CHECKS, AT_THE_END)]
            assert not ground.account.open_orders
            assert len(ground.account.fills) == 2
            assert ground.account.qty == 0
            assert keep_proof(result, ground.place, tmp_path).proof is None
            assert read_proof(tmp_path, result.venue) is None

    asyncio.run(body())


def test_every_venue_that_has_a_sandbox_is_tried() -> None:
    assert {instrument.venue for _, instrument in MARKETS.values()} == {
        each.name for each in with_role(Role.SANDBOX) if Role.ORDERS in each.roles
    }


# A venue that misbehaves

Sabotage = Callable[[Bench, Ground], None]


def answering(bench: Bench, name: str, answer: Callable[..., Awaitable[Any]]) -> None:
    """Have a method of the venue do something else; the real one is its first argument."""
    real = getattr(bench.venue, name)

    async def method(*given: Any) -> Any:
        return await answer(real, *given)

    setattr(bench.venue, name, method)


def shows_nothing(bench: Bench, _ground: Ground) -> None:
    async def none(_real: Any, _instrument: Any) -> list[Any]:
        return []

    answering(bench, "open_orders", none)


def shows_what_was(bench: Bench, _ground: Ground) -> None:
    shown: list[Any] = []

    async def first(real: Any, instrument: Any) -> list[Any]:
        shown.extend([] if shown else await real(instrument))
        return [*shown]

    answering(bench, "open_orders", first)
    answering(bench, "cancel", showing_first)


async def showing_first(real: Any, order: Any) -> Any:
    """Look at what is open before it is cancelled."""
    await real.__self__.open_orders(order.instrument)
    return await real(order)


def shows_twice(bench: Bench, _ground: Ground) -> None:
    async def twice(real: Any, instrument: Any) -> list[Any]:
        shown = await real(instrument)
        return [*shown, *shown]

    answering(bench, "open_orders", twice)


def shows_other_terms(bench: Bench, _ground: Ground) -> None:
    async def dearer(real: Any, instrument: Any) -> list[Any]:
        return [view._replace(px=view.px + 1) for view in await real(instrument)]

    answering(bench, "open_orders", dearer)


def places(**changes: Any) -> Sabotage:
    """It places orders otherwise than they are asked for."""

    def sabotage(bench: Bench, _ground: Ground) -> None:
        async def otherwise(real: Any, order: Any) -> Any:
            for name, value in changes.items():
                setattr(order, name, value)
            return await real(order)

        answering(bench, "place", otherwise)

    return sabotage


def forgets_amends(bench: Bench, _ground: Ground) -> None:
    async def nothing(_real: Any, *_given: Any) -> None:
        return None

    answering(bench, "amend", nothing)


def owes_a_cent(bench: Bench, _ground: Ground) -> None:
    async def less(real: Any) -> dict[str, int]:
        return {currency: cash - 1_000_000 for currency, cash in (await real()).items()}

    answering(bench, "balances", less)


def holds_another_position(bench: Bench, _ground: Ground) -> None:
    async def more(_real: Any) -> list[PositionView]:
        return [PositionView(bench.instrument.id, 7, 600_000, 0)]

    answering(bench, "positions", more)


def refuses_duplicates_vaguely(bench: Bench, _ground: Ground) -> None:
    seen: set[str] = set()

    async def vague(real: Any, order: Any) -> Any:
        if order.client_id in seen:
            raise ccxt.InvalidOrder("not this one")
        seen.add(order.client_id)
        return await real(order)

    answering(bench, "place", vague)


def takes_duplicates(bench: Bench, _ground: Ground) -> None:
    async def taken(real: Any, order: Any) -> Any:
        with suppress(ccxt.BaseError):
            return await real(order)

    answering(bench, "place", taken)


def finds_another(bench: Bench, _ground: Ground) -> None:
    async def other(real: Any, order: Any) -> Any:
        return (await real(order))._replace(venue_order_id=1)

    answering(bench, "query", other)


def cancels_twice(bench: Bench, _ground: Ground) -> None:
    async def gladly(real: Any, order: Any) -> Any:
        with suppress(ccxt.BaseError):
            return await real(order)

    answering(bench, "cancel", gladly)


def cancels_nothing(bench: Bench, _ground: Ground) -> None:
    async def never(_real: Any, _order: Any) -> None:
        raise ccxt.RequestTimeout("no answer")

    answering(bench, "cancel", never)


def opens_no_more_streams(bench: Bench, _ground: Ground) -> None:
    async def refused(_real: Any) -> str:
        raise ccxt.ExchangeNotAvailable("no stream")

    answering(bench, "new_stream", refused)


class OtherBook:
    """Market data whose book by request is none that ever was."""

    def __init__(self, bench: Bench) -> None:
        self._bench = bench

    def feeds(self, _instrument: Instrument) -> tuple[Feed, ...]:
        """None that brings a whole book."""
        return ()

    async def snapshot(self, _requests: Any, instrument: Instrument) -> bytes:
        """A book of one level."""
        book = self._bench.market.book()
        assert book is not None
        best = instrument.px_from_ticks(self._bench.best(1))
        return b'{"lastUpdateId":%d,"bids":[["%s","77"]],"asks":[]}' % (int(book["update_id"][0]), best.encode())


def stands_still(bench: Bench, ground: Ground) -> None:
    bench.heard.updates.clear()
    ground.sandbox.venue.faults = FaultPlan(1, {Fault.DROP: 1.0})


def is_down(_bench: Bench, ground: Ground) -> None:
    ground.sandbox.venue.faults = FaultPlan(1, {Fault.MAINTENANCE: 1.0})


class Lie(NamedTuple):
    """Which check fails, of what the venue does, and what it says; ``awaits``: something that never comes."""

    check: str
    sabotage: Sabotage
    said: str
    awaits: bool = False


LIES: Final = (
    Lie("rests", shows_nothing, "an accepted order is among those that are open 0 times"),
    Lie("rests", shows_other_terms, "is shown as"),
    Lie("amended", forgets_amends, "AMENDED of an order did not come", awaits=True),
    Lie("amended", shows_other_terms, "is shown as"),
    Lie("cancelled", cancels_nothing, "CANCELLED of an order did not come", awaits=True),
    Lie("cancelled", shows_what_was, "was told cancelled, and is shown open"),
    Lie("post-only", places(flags=0), "a post-only order took what was displayed"),
    Lie("immediate or cancel", places(time_in_force=TimeInForce.GTC), "the end of an order did not come", awaits=True),
    Lie("market order", owes_a_cent, "USDT are at the exchange, and .* were told", awaits=True),
    Lie("market order", holds_another_position, "lots at the exchange, and 1 were told", awaits=True),
    Lie("market order", places(flags=int(OrderFlag.REDUCE_ONLY)), "of 1 lots at the market 0 were filled"),
    Lie("closed", lambda *_: None, "nothing was filled that could be closed"),
    Lie("reduce-only", places(flags=0), "a reduce-only order opened a position"),
    Lie("not doubled", shows_twice, "2 orders of the id"),
    Lie("not doubled", takes_duplicates, "a second order of the same id was taken"),
    Lie("not doubled", refuses_duplicates_vaguely, "not as a duplicate: InvalidOrder: not this one"),
    Lie("found by id", finds_another, "and told of"),
    Lie("ended", cancels_twice, "was taken as if it were open"),
    Lie("private stream", opens_no_more_streams, "another private stream did not come", awaits=True),
    Lie("reconciled", holds_another_position, "nothing explains the rest"),
)

RUN: Final = {check.name: check.run for check in (*CHECKS, AT_THE_END)}
FIRST: Final = ("instruments", "market data", "account")
"""Checks without which the others can do nothing."""


@asynccontextmanager
async def on_own_bench(ground: Ground, checks: Iterable[str] = (), **given: Any) -> AsyncIterator[Bench]:
    """A bench, some checks run."""
    known = {"place": ground.place, "instrument": ground.instrument, "credentials": credentials_of(0)}
    async with on_bench(**{**known, **given}, patience_s=PATIENCE_S, policy=QUICK) as bench:
        for name in checks:
            await RUN[name](bench)
        yield bench


class Standing:
    """A sandbox and a bench that many tests use, one after the other: they stand still between them."""

    def __init__(self, folder: Path) -> None:
        self.runner = asyncio.Runner()
        self._held = AsyncExitStack()
        self.ground = self.runner.run(within(self._held.enter_async_context(on_ground(folder))))
        self.bench = self.runner.run(within(self._held.enter_async_context(on_own_bench(self.ground, FIRST))))

    def close(self) -> None:
        """End it."""
        self.runner.run(self._held.aclose())
        self.runner.close()


async def within(awaitable: Awaitable[Any]) -> Any:
    """As a coroutine."""
    return await awaitable


@pytest.fixture(scope="module")
def standing(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Standing]:
    """See ``Standing``."""
    stands = Standing(tmp_path_factory.mktemp("standing"))
    yield stands
    stands.close()


@pytest.mark.parametrize("lie", LIES, ids=[f"{lie.check}-{lie.said[:30]}" for lie in LIES])
def test_venue_that_misbehaves_fails_its_check(lie: Lie, standing: Standing) -> None:
    bench = standing.bench

    async def body() -> None:
        bench.patience_s = PATIENCE_S
        await bench.until(lambda: bench.gateway.entry.is_open and bench.market.is_in_step, "a gateway that trades")
        real = {**vars(bench.venue)}
        lie.sabotage(bench, standing.ground)
        bench.patience_s = SHORT_S if lie.awaits else PATIENCE_S
        try:
            with pytest.raises(CheckError, match=lie.said):
                await RUN[lie.check](bench)
        finally:
            vars(bench.venue).clear()
            vars(bench.venue).update(real)
        await cleared(bench, standing.ground)

    standing.runner.run(body())


async def cleared(bench: Bench, ground: Ground) -> None:
    """Whatever a venue has done, nothing is left once it does what it should."""
    bench.patience_s = PATIENCE_S
    await bench.until(lambda: bench.gateway.stream.is_open, "the stream")
    await bench.gateway.reconcile()
    assert await bench.clear() == []
    assert not ground.account.open_orders
    assert ground.account.qty == 0


@pytest.mark.parametrize(
    ("name", "sabotage", "said"),
    [
        ("instruments", is_down, "maintenance"),
        ("market data", stands_still, "a book in step, its updates and quotes did not come within 0.4 s"),
        ("account", opens_no_more_streams, "the private stream and a reconciled account did not come"),
    ],
)
def test_venue_that_does_not_even_begin_fails_its_check(
    name: str, sabotage: Sabotage, said: str, standing: Standing
) -> None:
    async def body() -> None:
        async with on_own_bench(standing.ground, FIRST[: FIRST.index(name)]) as bench:
            sabotage(bench, standing.ground)
            bench.patience_s = SHORT_S
            try:
                with pytest.raises((CheckError, ccxt.BaseError), match=said):
                    await RUN[name](bench)
            finally:
                standing.ground.sandbox.venue.faults = FaultPlan()

    standing.runner.run(body())


def test_book_that_is_another_one_fails_its_check(standing: Standing) -> None:
    bench = standing.bench

    async def body() -> None:
        real, bench.live.venue = bench.live.venue, OtherBook(bench)
        try:
            with pytest.raises(CheckError, match=r"the live book has .* where a fresh one has"):
                await RUN["book"](bench)
        finally:
            bench.live.venue = real

    standing.runner.run(body())


def test_instruments_that_could_not_be_loaded_fail_what_needs_them(
    standing: Standing, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(standing.bench.exchange, "markets", None)
    with pytest.raises(CheckError, match="instruments are not known"):
        _ = standing.bench.market_type


def test_orders_that_cannot_be_cancelled_are_named(standing: Standing) -> None:
    bench = standing.bench

    async def body() -> None:
        real = {**vars(bench.venue)}
        order = await bench.rest()
        cancels_nothing(bench, standing.ground)
        bench.patience_s = SHORT_S
        with pytest.raises(CheckError, match=f"LEFT AT THE EXCHANGE: order {order.venue_order_id}"):
            await RUN["nothing left"](bench)
        vars(bench.venue).clear()
        vars(bench.venue).update(real)
        await cleared(bench, standing.ground)

    standing.runner.run(body())


# Whole runs that go wrong


def test_wrong_keys_fail_what_needs_them_and_prove_nothing(standing: Standing, tmp_path: Path) -> None:
    async def body() -> None:
        result = await tried(standing.ground, credentials=Credentials("nobody", "hidden"), patience_s=SHORT_S)
        said = failed(result)
        assert {"account", "rests", "market order", "reconciled"} <= set(said)
        assert "no order leaves" in said["rests"]
        assert not result.has_passed
        assert "hidden" not in str(result)
        assert keep_proof(result, Place(standing.ground.place.venue, Where.REAL), tmp_path).proof is None

    standing.runner.run(body())


def test_clock_that_is_off_fails(standing: Standing) -> None:
    clock = standing.ground.sandbox.venue.clock

    async def body() -> None:
        clock.skew_ms = -3_000
        async with on_own_bench(standing.ground) as bench:
            with pytest.raises(CheckError, match=r"ahead of the exchange's, .* have it set by NTP"):
                await RUN["clock"](bench)
        clock.skew_ms = 0

    standing.runner.run(body())


def test_grid_that_is_another_one_fails_and_no_order_leaves(standing: Standing) -> None:
    async def body() -> None:
        async with on_own_bench(standing.ground, instrument=replace(standing.ground.instrument, tick="0.01")) as bench:
            with pytest.raises(CheckError, match=r"BTCUSDT has tick 0\.01, at the exchange 0\.1"):
                await RUN["instruments"](bench)
            for name in ("market data", "account"):
                await RUN[name](bench)
            with pytest.raises(CheckError, match="no order leaves: the instrument is not as the exchange has it"):
                await RUN["rests"](bench)

    standing.runner.run(body())


def test_check_that_is_broken_off_leaves_nothing_behind(tmp_path: Path) -> None:
    async def body() -> None:
        async with on_ground(tmp_path) as ground:
            told: list[Verdict] = []

            def tell(verdict: Verdict) -> None:
                told.append(verdict)
                if verdict.check == "market order":
                    trying.cancel()

            trying = asyncio.ensure_future(tried(ground, tell))
            with pytest.raises(asyncio.CancelledError):
                await trying
            assert told[-1] == Verdict("nothing left", "ok", told[-1].text)
            assert "closed" not in [each.check for each in told]
            assert not ground.account.open_orders
            assert ground.account.qty == 0

    asyncio.run(body())


# Where, and what it proves


@pytest.mark.parametrize("where", [Where.TESTNET, Where.REAL])
def test_what_passes_is_a_proof_but_on_the_sandbox(where: Where, tmp_path: Path) -> None:
    verdicts = [Verdict(check.name, "ok", "") for check in CHECKS]
    result = Result(venue="okx", where=where.value, instrument="", verdicts=verdicts, has_passed=True)
    assert keep_proof(result, Place(VENUES["okx"], Where.SANDBOX), tmp_path).proof is None
    assert read_proof(tmp_path, "okx") is None
    kept = keep_proof(result, Place(VENUES["okx"], where), tmp_path)
    assert kept.proof == str(tmp_path / "venue-checks" / "okx.json")
    proof = read_proof(tmp_path, "okx")
    assert proof is not None
    assert proof.checks == tuple(check.name for check in CHECKS)


def test_nothing_is_tried_on_the_real_exchange_unless_that_is_said() -> None:
    address = SandboxAddress(1, Path("ca.pem"))
    assert place_of(VENUES["okx"]).where is Where.TESTNET
    assert place_of(VENUES["okx"], address).where is Where.SANDBOX
    assert place_of(VENUES["okx"], is_real=True).where is Where.REAL
    with pytest.raises(ConfigError, match=r"htx_linear has no testnet .* or --real"):
        place_of(VENUES["htx_linear"])
    with pytest.raises(ConfigError, match="not both"):
        place_of(VENUES["okx"], address, is_real=True)


def test_testnet_has_keys_of_its_own() -> None:
    real = {"ZOMS_OKX_KEY": "k", "ZOMS_OKX_SECRET": "s", "ZOMS_OKX_PASSPHRASE": "p"}
    own = {name.replace("OKX", "OKX_TESTNET"): f"{value}-testnet" for name, value in real.items()}
    place = place_of(VENUES["okx"])
    assert place.credentials({**real, **own}) == Credentials("k-testnet", "s-testnet", "p-testnet")
    with pytest.raises(CredentialsError, match="set ZOMS_OKX_TESTNET_KEY and ZOMS_OKX_TESTNET_SECRET"):
        place.credentials(real)
    del own["ZOMS_OKX_TESTNET_PASSPHRASE"]
    with pytest.raises(CredentialsError, match="have a passphrase too: set ZOMS_OKX_TESTNET_PASSPHRASE"):
        place.credentials(own)


WITH_TESTNET: Final = [venue.name for venue in VENUES.values() if venue.testnet is not None]


@pytest.mark.parametrize("name", WITH_TESTNET)
def test_testnet_is_asked_at_its_own_hosts(name: str) -> None:
    """Requests, private stream and market data go to no host of the exchange but one that a header tells apart."""
    place = place_of(VENUES[name])
    testnet = place.venue.testnet
    assert testnet is not None
    assert set(testnet.hosts) <= set(place.venue.hosts)
    allowed = set(testnet.hosts.values())
    shared = allowed & set(place.venue.hosts)

    async def body() -> None:
        venue_type: VenueType = implementation(name, Role.ORDERS)
        session = place.session()
        assert session is not None
        exchange = venue_type.new_exchange(Credentials("k", "s", "p"), session)
        place.turn(exchange)
        asked: list[str] = []

        async def fetch(url: str, *_given: Any) -> Any:
            asked.append(url)
            return {"listenKey": "key"}

        exchange.fetch = fetch
        instrument = MARKETS[name][1]
        venue: Any = venue_type(exchange, (instrument,), Clock())
        with suppress(Exception):
            await venue.balances()
        asked.append(await venue.new_stream())
        route = place.route()
        feeds = implementation(name, Role.MARKET_DATA).feeds(instrument)
        asked += [route.address(feed.url) for feed in feeds]
        async with Requests(route) as requests:
            with pytest.raises(RequestError, match=r"elsewhere\.example is not of the testnet"):
                await requests.get("https://elsewhere.example/")
        assert len(asked) > len(feeds)
        assert {urlsplit(url).hostname for url in asked} <= allowed
        if shared:
            assert dict(session.headers) == dict(testnet.headers)
            assert exchange.headers.items() >= testnet.headers.items()
        await venue.close()
        await session.close()

    asyncio.run(body())


@pytest.mark.parametrize("name", ["binance_usdm", "binance_spot"])
def test_exchange_that_was_not_turned_to_the_testnet_reaches_nothing(name: str) -> None:
    async def body() -> None:
        place = place_of(VENUES[name])
        session = place.session()
        assert session is not None
        venue_type: VenueType = implementation(name, Role.ORDERS)
        exchange = venue_type.new_exchange(Credentials("k", "s"), session)
        with pytest.raises(ccxt.ExchangeNotAvailable) as refused:
            await exchange.fetch_time()
        assert "is not of the testnet, and is not asked" in str(refused.value.__cause__)
        await exchange.close()
        await session.close()

    asyncio.run(body())


# The command


def test_command_refuses_before_anything_is_asked(zoms: Zoms, monkeypatch: pytest.MonkeyPatch) -> None:
    for part in ("KEY", "SECRET"):
        monkeypatch.delenv(f"ZOMS_BINANCE_USDM_TESTNET_{part}", raising=False)
        monkeypatch.setenv(f"ZOMS_BINANCE_USDM_{part}", "real")
    for arguments, said in (
        (("binance_usdm",), "there are no keys for binance_usdm_testnet: set ZOMS_BINANCE_USDM_TESTNET_KEY"),
        (("binance_usdm", "--real"), "nobody can confirm here: give --confirm binance_usdm"),
        (("binance_usdm", "--real", "--confirm", "okx"), "'okx' is not the venue's name 'binance_usdm'"),
        (("binance_usdm", "--confirm", "binance_usdm"), "confirms --real: give both"),
        (("binance_usdm", "--instrument", "ETHUSDT"), "no ETHUSDT of binance_usdm, but BTCUSDT: give a --settings"),
        (("okx",), "the settings define no instrument of okx: give a --settings FILE that does"),
        (("htx_linear",), "htx_linear has no testnet that zoms knows of: give --sandbox-port"),
        (("bitmex",), "BitMEX closed on 2026-09-23"),
    ):
        outcome = zoms("venue-check", *arguments)
        assert outcome.status == 1
        assert said in outcome.err


def test_command_tries_the_sandbox_and_proves_nothing_by_it(zoms: Zoms, monkeypatch: pytest.MonkeyPatch) -> None:
    login = credentials_of(0)
    monkeypatch.setenv("ZOMS_BINANCE_USDM_KEY", login.key)
    monkeypatch.setenv("ZOMS_BINANCE_USDM_SECRET", login.secret)
    (words,) = console_commands(PAGE)
    assert words[-2:] == ["--sandbox-port", "8443"]
    with elsewhere(zoms.folder) as port:
        given = [*words[1:-1], str(port), "--sandbox-ca", str(zoms.folder / "ca.pem"), "--json"]
        status, out, err = outcome = zoms(*given)
    result = outcome.last_json
    assert (status, result["has_passed"], result["proof"]) == (0, True, None), err
    assert len(out.splitlines()) == 1
    assert f"binance_usdm: the SANDBOX on port {port}, in BTCUSDT" in err
    assert "  ok       cancelled: buy 0.001 at" in err
    assert "that proves nothing of binance_usdm, and no proof is written" in err
    assert read_proof(zoms.folder, "binance_usdm") is None


def test_page_names_every_check_and_what_it_does() -> None:
    rows = [f"| {check.name} | {check.does} |" for check in (*CHECKS, AT_THE_END)]
    assert "\n".join(["| check | what it does there |", "| --- | --- |", *rows, ""]) in PAGE.read_text()


@contextmanager
def elsewhere(folder: Path) -> Iterator[int]:
    """A sandbox in another thread, and its port."""
    folder.mkdir(parents=True, exist_ok=True)
    ports: Queue[int] = Queue()
    loop = asyncio.new_event_loop()
    ended = asyncio.Event()

    async def stand() -> None:
        async with on_ground(folder) as ground:
            ports.put(ground.sandbox.port)
            await ended.wait()

    thread = threading.Thread(target=loop.run_until_complete, args=(stand(),))
    thread.start()
    try:
        yield ports.get(timeout=30)
    finally:
        loop.call_soon_threadsafe(ended.set)
        thread.join()
        loop.close()
