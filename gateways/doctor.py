"""The doctor: whether this machine, these settings and these keys are fit to trade real money, a line for each check.

It asks and changes nothing. What it refuses must be mended before ``zoms firm`` starts; what it warns of should be.
"""

from __future__ import annotations

import asyncio
import shutil
import time
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from fractions import Fraction
from types import MappingProxyType
from typing import Any, Final, Literal, NamedTuple

import msgspec

from gateways.account_claim import claimant, in_use
from gateways.credentials import Credentials, CredentialsError, read_credentials, refused_text
from gateways.venues import REQUEST_S, VENUES, Sandbox, Venue, connected, find_venue, one_line, why_closed
from oms.checks import ConfigError
from oms.config import Settings, load_settings, qualified_symbol
from oms.instruments import Instrument
from oms.lock import holder

CLOCK_SAMPLES: Final = 5
REFUSED_OFFSET_MS: Final = 1_000
"""How far this machine's clock may be from the exchange's: Binance takes no request from further ahead."""
WARNED_OFFSET_MS: Final = 250
REFUSED_DISK_MB: Final = 1_024
WARNED_DISK_MB: Final = 10_240
MOVING_MONEY: Final = ("enableWithdrawals", "enableInternalTransfer", "permitsUniversalTransfer")
"""Permissions of Binance's keys by which money leaves the account."""
TRADING: Final = {
    "binance_usdm": ("enableFutures", "futures"),
    "binance_coinm": ("enableFutures", "futures"),
    "binance_spot": ("enableSpotAndMarginTrading", "spot"),
}
"""Permissions of Binance's keys by which each venue is traded, and what that is."""

NO_SANDBOXES: Final[Mapping[str, Sandbox]] = MappingProxyType({})

Level = Literal["ok", "warning", "refused"]


class Finding(msgspec.Struct, frozen=True):
    """What one check has found."""

    check: str
    level: Level
    text: str


CheckOfKeys = Callable[..., Awaitable[list[Finding]]]
"""What the keys of an exchange may do: of its ccxt and the venue; ``may_withdraw`` only warns of moving money."""


class Bounds(NamedTuple):
    """From where on a figure is warned of, and from where on it is refused."""

    warned: float
    refused: float

    def level(self, value: float) -> Level:
        if value >= self.refused:
            return "refused"
        return "warning" if value >= self.warned else "ok"


# This machine and the settings


def check_limits(settings: Settings) -> Iterator[Finding]:
    """Whether the user has set limits, of instruments and of accounts: those that zoms ships are for trying it."""
    shipped = load_settings(None, {"replay": {"file": ""}})
    (shipped_account,) = shipped.accounts.values()
    found = []
    if settings.risk == shipped.risk:
        found.append(Finding("limits", "refused", "of instruments are those that zoms ships: set [risk] of your own"))
    for name, account in settings.accounts.items():
        if account == shipped_account:
            found.append(Finding("limits", "refused", f"of account {name} are those that zoms ships: set your own"))
    for instrument in settings.instruments:
        if settings.risk_limits(instrument) is None:
            name = qualified_symbol(instrument)
            found.append(Finding("limits", "warning", f"{name} has none and cannot be traded: set [risk.{name!r}]"))
    yield from found or [Finding("limits", "ok", "they are your own")]


def check_disk(settings: Settings, usage: Callable[[Any], Any] = shutil.disk_usage) -> Iterator[Finding]:
    """Whether there is room for the journal and the store."""
    folder = settings.account_dir
    while not folder.exists():
        folder = folder.parent
    free_mb = usage(folder).free // 2**20
    level = Bounds(-WARNED_DISK_MB, -REFUSED_DISK_MB).level(-free_mb)
    need = "" if level == "ok" else f": a session needs {REFUSED_DISK_MB:,} MB, and should have {WARNED_DISK_MB:,}"
    yield Finding("disk", level, f"{free_mb:,} MB are free where {settings.account_dir} is{need}")


def check_instance(settings: Settings) -> Iterator[Finding]:
    """Whether no other session has the account."""
    pid = holder(settings)
    if pid:
        yield Finding("one session", "refused", f"account {settings.account!r} is in use by process {pid}: end it")
    else:
        yield Finding("one session", "ok", f"account {settings.account!r} is free")


def check_wallets(settings: Settings) -> Iterator[Finding]:
    """Whether each venue's money is its own: what two of them show as theirs would be counted twice, and what one asks
    for its account, such as the cancelling of all orders, would be done to the other one's too."""
    by_wallet: dict[str, list[str]] = {}
    for venue in filter(None, map(find_venue, settings.venues)):
        by_wallet.setdefault(venue.wallet, []).append(venue.name)
    for venues in by_wallet.values():
        if len(venues) > 1:
            text = f"{' and '.join(venues)} are one wallet at the exchange: trade one of them"
            yield Finding("wallets", "refused" if settings.is_live else "warning", text)


# A venue


def check_account(venue: Venue, settings: Settings, key: str, sandbox_port: int) -> Finding:
    """Whether no other session on this machine trades the exchange account, from whatever data folder."""
    pid = claimant(venue.wallet, key, sandbox_port)
    if not pid:
        return Finding("exchange account", "ok", "no other session on this machine trades it")
    watches = settings.mode == "firm" and not settings.firm.trade
    return Finding("exchange account", "warning" if watches else "refused", in_use(venue.wallet, key, pid))


async def check_clock(exchange: Any, now_ms: Callable[[], float]) -> list[Finding]:
    """How far this machine's clock is from the exchange's, by the quickest of some answers."""
    if not exchange.has["fetchTime"]:
        return [Finding("clock", "warning", "the exchange does not tell its time: have this machine's set by NTP")]
    samples = []
    for _ in range(CLOCK_SAMPLES):
        sent_ms = now_ms()
        server_ms = await exchange.fetch_time()
        came_ms = now_ms()
        samples.append((came_ms - sent_ms, (sent_ms + came_ms) / 2 - server_ms))
    round_trip_ms, ahead_ms = min(samples)
    level = Bounds(WARNED_OFFSET_MS, REFUSED_OFFSET_MS).level(abs(ahead_ms))
    remedy = "" if level == "ok" else ": have it set by NTP"
    way = "ahead of" if ahead_ms >= 0 else "behind"
    known_ms = round_trip_ms / 2 + 1
    return [Finding("clock", level, f"{abs(ahead_ms):.0f} ms {way} the exchange's, known to {known_ms:.0f} ms{remedy}")]


def findings_of_keys(
    trades: str, moving: Sequence[str], *, may_trade: bool, is_bound: bool, may_withdraw: bool
) -> list[Finding]:
    """What valid keys may do.

    Parameters
    ----------
    trades
        What they should trade, in words.
    moving
        Those of their permissions by which money leaves the account.
    may_trade, is_bound
        Whether they may trade that, and work from certain addresses alone.
    may_withdraw
        Only warn of ``moving``.
    """
    found = [Finding("keys", "ok", "they are valid")]
    if not may_trade:
        found.append(Finding("keys", "refused", f"they may not trade {trades}: enable it for the key"))
    if moving:
        level: Level = "warning" if may_withdraw else "refused"
        found.append(
            Finding("keys", level, f"they may move money away ({', '.join(moving)}): forbid it, or --allow-withdrawals")
        )
    if not is_bound:
        found.append(Finding("keys", "warning", "they work from any address: bind the key to this machine's"))
    return found


async def check_keys_of_binance(exchange: Any, venue: Venue, *, may_withdraw: bool) -> list[Finding]:
    """What the keys may do (Binance, Wallet: "Get API Key Permission")."""
    told = await exchange.sapiGetAccountApiRestrictions()
    permission, what = TRADING[venue.name]
    return findings_of_keys(
        what,
        [name for name in MOVING_MONEY if told.get(name)],
        may_trade=bool(told.get(permission)),
        is_bound=bool(told.get("ipRestrict")),
        may_withdraw=may_withdraw,
    )


def findings_of_list(venue: Venue, permissions: str, addresses: str, *, may_withdraw: bool) -> list[Finding]:
    """As ``findings_of_keys``, of an exchange that lists permissions and addresses, by commas."""
    may = permissions.split(",")
    return findings_of_keys(
        f"at {venue.name}",
        [name for name in may if name == "withdraw"],
        may_trade="trade" in may,
        is_bound=bool(addresses),
        may_withdraw=may_withdraw,
    )


async def check_keys_of_okx(exchange: Any, venue: Venue, *, may_withdraw: bool) -> list[Finding]:
    """What the keys may do (OKX v5, "Get account configuration")."""
    (told,) = (await exchange.privateGetAccountConfig())["data"]
    return findings_of_list(venue, told["perm"], told["ip"], may_withdraw=may_withdraw)


async def check_keys_of_htx(exchange: Any, venue: Venue, *, may_withdraw: bool) -> list[Finding]:
    """What the keys may do (HTX, "API key query")."""
    uid = (await exchange.spotPrivateGetV2UserUid())["data"]
    answer = await exchange.spotPrivateGetV2UserApiKey({"uid": uid, "accessKey": exchange.apiKey})
    (told,) = (row for row in answer["data"] if row["accessKey"] == exchange.apiKey)
    return findings_of_list(venue, told["permission"], told["ipAddresses"], may_withdraw=may_withdraw)


async def check_keys_of_any(exchange: Any, venue: Venue, *, may_withdraw: bool) -> list[Finding]:
    """Whether the keys are taken: what they may do, ccxt has no method for."""
    await exchange.fetch_balance()
    found = [Finding("keys", "ok", "they are valid")]
    if not may_withdraw:
        text = f"what they may do is not told by {venue.exchange}: see there that they may trade and not withdraw"
        found.append(Finding("keys", "warning", text))
    return found


def check_abilities(venue: Venue) -> list[Finding]:
    """What ccxt can do at an exchange that zoms has no gateway of its own for; asks nobody."""
    from gateways.abilities import caveats, lacks
    from gateways.generic import exchange_class

    try:
        exchange = exchange_class(venue)({"options": dict(venue.options)})
    except ConfigError as error:
        return [Finding("abilities", "refused", str(error))]
    missing = [Finding("abilities", "refused", text) for text in lacks(exchange, venue)]
    return missing + [Finding("abilities", "warning", text) for text in caveats(exchange, venue)]


CHECKS_OF_KEYS: Final[dict[str, CheckOfKeys]] = {
    "binance": check_keys_of_binance,
    "okx": check_keys_of_okx,
    "htx": check_keys_of_htx,
}
"""By exchange."""


async def check_instruments(exchange: Any, instruments: Sequence[Instrument]) -> list[Finding]:
    """Whether the settings define the instruments as the exchange does."""
    markets = {market["id"]: market for market in (await exchange.load_markets()).values()}
    found = []
    for instrument in instruments:
        market = markets.get(instrument.symbol)
        if market is None or not market["active"]:
            found.append(Finding("instruments", "refused", f"the exchange does not trade {instrument.symbol}"))
            continue
        for what, ours, theirs in (
            ("tick", instrument.tick, market["precision"]["price"]),
            ("lot", instrument.lot, market["precision"]["amount"]),
            ("multiplier", instrument.multiplier, market["contractSize"] or instrument.multiplier),
        ):
            if Fraction(ours) != Fraction(str(theirs)):
                text = f"{instrument.symbol} has {what} {ours}, at the exchange {theirs}: set that"
                found.append(Finding("instruments", "refused", text))
    return found or [Finding("instruments", "ok", ", ".join(each.symbol for each in instruments))]


async def check_instruments_of_any(exchange: Any, venue: Venue, instruments: Sequence[Instrument]) -> list[Finding]:
    """As ``check_instruments``, of an exchange that zoms has no gateway of its own for."""
    from gateways.abilities import why_unfit
    from gateways.generic import differences, market_of
    from gateways.orders.ids import MOST, ids_of

    client_id = ids_of("", are_integers=venue.has_integer_ids, are_short=venue.has_short_ids).text(MOST)
    await exchange.load_markets()
    found = []
    for instrument in instruments:
        try:
            texts = differences(exchange, venue, instrument)
            symbol = market_of(exchange, venue, instrument.symbol)["symbol"]
            if not texts and (why := await why_unfit(exchange, instrument, symbol, client_id)):
                texts = [f"{instrument.symbol} cannot be traded: {why}"]
        except ConfigError as error:
            texts = [str(error)]
        found += [Finding("instruments", "refused", text) for text in texts]
    return found or [Finding("instruments", "ok", ", ".join(each.symbol for each in instruments))]


async def is_hedged_at_htx(exchange: Any) -> bool:
    """Whether long and short are kept side by side ("Get Position Mode"), which ccxt has no method of its own for."""
    mode: str = (await exchange.contractPrivateGetV5PositionMode())["data"]["position_mode"]
    return mode != "single_side"


async def check_position_mode(exchange: Any, venue: Venue, settings: Settings) -> list[Finding]:
    """Whether the exchange keeps positions as the settings say."""
    if venue.market and exchange.has["fetchPositionMode"] is not True:
        return [Finding("position mode", "warning", "ccxt cannot ask for it: see there that it is as in the settings")]
    if venue.family == "htx":
        hedged = await is_hedged_at_htx(exchange)
    else:
        hedged = (await exchange.fetch_position_mode())["hedged"]
    ours = settings.accounts[settings.account].position_mode
    theirs = "hedging" if hedged else "netting"
    if ours != theirs:
        return [Finding("position mode", "refused", f"{ours} in the settings, {theirs} at the exchange: change one")]
    return [Finding("position mode", "ok", ours)]


async def examine_venue(
    venue: Venue,
    settings: Settings,
    sandbox: Sandbox | None = None,
    *,
    may_withdraw: bool = False,
    credentials: Credentials | None = None,
    now_ms: Callable[[], float] = lambda: time.time_ns() / 1e6,
) -> list[Finding]:
    """All checks of a venue; never raises for what the exchange or the way to it does."""
    try:
        login = credentials or read_credentials(venue.name)
    except CredentialsError as error:
        return [Finding("keys", "refused", str(error))]
    instruments = [each for each in settings.instruments if each.venue == venue.name]
    abilities = check_abilities(venue) if venue.market else []
    found = [check_account(venue, settings, login.key, 0 if sandbox is None else sandbox.port), *abilities]
    if any(each.level == "refused" for each in abilities):
        return found
    async with connected(venue, login, sandbox) as exchange:
        checks: dict[str, Callable[[], Awaitable[list[Finding]]]] = {
            "clock": lambda: check_clock(exchange, now_ms),
            "keys": lambda: CHECKS_OF_KEYS[venue.family](exchange, venue, may_withdraw=may_withdraw),
            "instruments": lambda: check_instruments(exchange, instruments),
        }
        if venue.market:
            checks["keys"] = lambda: check_keys_of_any(exchange, venue, may_withdraw=may_withdraw)
            checks["instruments"] = lambda: check_instruments_of_any(exchange, venue, instruments)
        if venue.has_positions:
            checks["position mode"] = lambda: check_position_mode(exchange, venue, settings)
        for name, check in checks.items():
            found += await _answered(name, check, lambda error: refused_text(venue.name, login.key, one_line(error)))
    return found


async def _answered(
    name: str, check: Callable[[], Awaitable[list[Finding]]], refused: Callable[[BaseException], str]
) -> list[Finding]:
    """What a check finds, or that it had no answer: that is not fit to trade on; ``refused`` words that of the keys."""
    from ccxt.base.errors import AuthenticationError

    from gateways.orders.outcomes import REQUEST_ERRORS

    try:
        async with asyncio.timeout(REQUEST_S):
            return await check()
    except AuthenticationError as error:
        return [Finding(name, "refused", refused(error))]
    except (*REQUEST_ERRORS, AttributeError) as error:  # also what is ccxt's own, of an answer that it cannot read
        return [Finding(name, "refused", f"it could not be found out: {one_line(error)}")]


def examine(
    settings: Settings, sandboxes: Mapping[str, Sandbox] = NO_SANDBOXES, *, may_withdraw: bool = False
) -> dict[str, list[Finding]]:
    """Every check: those of this machine, and those of each venue that is traded live, or might be, by its name.

    Parameters
    ----------
    settings : Settings
    sandboxes : mapping of str to Sandbox
        To ask instead of venues, by those.
    may_withdraw : bool
        Only warn of keys that may move money away.
    """
    found = {
        "this machine": [
            *check_limits(settings),
            *check_disk(settings),
            *check_instance(settings),
            *check_wallets(settings),
        ]
    }
    for name in settings.venues:
        venue = find_venue(name)
        if venue is not None:
            sandbox = sandboxes.get(name)
            found[name] = asyncio.run(examine_venue(venue, settings, sandbox, may_withdraw=may_withdraw))
        else:
            text = why_closed(name) or f"zoms knows it from recordings only, but {', '.join(VENUES)}"
            found[name] = [Finding("venue", "warning", text)]
    return found
