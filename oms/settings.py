"""Settings: everything that one session needs, checked as a whole, and where its files and sockets lie."""

from __future__ import annotations

import math
import os
import re
import tempfile
from collections.abc import Mapping
from functools import cached_property
from hashlib import sha256
from pathlib import Path
from typing import Final, Literal

import msgspec

from oms.account_settings import (
    AccountSettings,
    AlgorithmSettings,
    CurrencySettings,
    RiskSettings,
    RuleSettings,
    StrategyRisk,
    StrategySettings,
)
from oms.bus import ipc_endpoint
from oms.checks import ConfigError, check_number, check_once, refuse_open_endpoint
from oms.core.state import MAX_ACCOUNTS, MAX_CURRENCIES, MAX_INSTRUMENTS, MAX_RULES, MAX_WALLETS
from oms.currencies import Conversion, Wallet, conversions, currencies_of, wallets_of
from oms.decimals import GridError, rate
from oms.definitions import FILE as DEFINITIONS_FILE
from oms.definitions import Definitions
from oms.instrument_kinds import MARGINED_KINDS
from oms.instruments import Instrument, underlying_of
from oms.records import Source
from oms.session_settings import (
    SYNC_OF_MODE,
    FirmSettings,
    JournalSettings,
    LiveSettings,
    MatchingSettings,
    ReplaySettings,
)

DATA_DIR_VARIABLE: Final = "ZOMS_HOME"
MAX_SOCKET_FOLDER_BYTES: Final = 56
MAX_HEARTBEAT_S: Final = 5.0
MAX_VENUES: Final = 8
"""That a session may trade live."""
SOURCES_A_VENUE: Final = 8
"""Frames of the processes of two venues are told apart by their sources, which are so far from each other."""
assert max(Source) < SOURCES_A_VENUE

_ACCOUNT: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,31}")
_ENDPOINT: Final = re.compile(r"tcp://[^:/\s]+:\d{1,5}|ipc://\S+")


class Settings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, dict=True):
    """Everything one session needs."""

    mode: Literal["paper", "firm"] = "paper"
    """``paper``: the exchange model answers orders; ``firm``: an exchange does."""
    account: str = "paper"
    """The session's account, which names its data folder; orders that name no account are this one's."""
    data_dir: str = ""
    """Where journal, store and run files live; empty: ``$ZOMS_HOME`` or ``~/.zoms``."""
    rpc_endpoint: str = "tcp://127.0.0.1:5570"
    heartbeat_s: float = 0.5
    watchdog_s: float = 10.0
    """A process that has sent no heartbeat for this long is killed and started again; not while it compiles."""
    record_ticks: bool = True
    replay: ReplaySettings = ReplaySettings()
    live: LiveSettings = LiveSettings()
    firm: FirmSettings = FirmSettings()
    matching: MatchingSettings = MatchingSettings()
    journal: JournalSettings = JournalSettings()
    instruments: tuple[Instrument, ...]
    accounts: dict[str, AccountSettings]
    """By name; ``account`` is one of them."""
    risk: dict[str, RiskSettings]
    """Limits by instrument (``BTCUSDT``, or ``BTCUSDT.binance_usdm`` where two venues have one), of every account that
    has none of its own for it; an instrument without limits cannot be traded."""
    reporting_currency: str
    """What exposure, PnL and limits of accounts and strategies are counted in."""
    currencies: dict[str, CurrencySettings] = {}
    """How to convert a currency that the instruments leave open."""
    rules: tuple[RuleSettings, ...] = ()
    algorithms: tuple[AlgorithmSettings, ...] = ()
    """The user's own, beside those that come with zoms."""
    strategies: tuple[StrategySettings, ...] = ()

    def __post_init__(self) -> None:
        if not _ACCOUNT.fullmatch(self.account):
            raise ConfigError(
                f"account {self.account!r} cannot be a folder's name: use letters, digits, '-' and '_', at most 32"
            )
        if not 0 < self.heartbeat_s <= MAX_HEARTBEAT_S:
            raise ConfigError(f"heartbeat_s {self.heartbeat_s} must be above zero and at most {MAX_HEARTBEAT_S}")
        if not self.heartbeat_s * 2 < self.watchdog_s < math.inf:
            raise ConfigError(f"watchdog_s {self.watchdog_s} must be over twice heartbeat_s {self.heartbeat_s}")
        if not _ENDPOINT.fullmatch(self.rpc_endpoint):
            raise ConfigError(f"rpc_endpoint {self.rpc_endpoint!r} is not like tcp://127.0.0.1:5570 or ipc:///path")
        refuse_open_endpoint("rpc_endpoint", self.rpc_endpoint)
        if not self.instruments:
            raise ConfigError("no instrument is defined: add an [[instruments]] table")
        for instrument in self.instruments:
            if not 0 <= instrument.id < MAX_INSTRUMENTS:
                raise ConfigError(
                    f"instrument {instrument.symbol} has id {instrument.id}: use 0 to {MAX_INSTRUMENTS - 1}"
                )
            check_grid(instrument)
            _check_underlying(instrument, self.instruments)
        check_once("instrument id", (instrument.id for instrument in self.instruments))
        check_once("instrument", (qualified_symbol(instrument) for instrument in self.instruments))
        self._check_risk("", self.risk)
        self._check_accounts()
        self._check_live()
        if self.mode == "firm":
            self._check_firm()
        for strategy in self.strategies:
            self.account_number(strategy.account)
            _check_limits(self.instrument(strategy.instrument), strategy.risk)
        _check_count("wallets", len(self.wallets), MAX_WALLETS)
        _check_count("currencies", len(self.currency_codes), MAX_CURRENCIES)
        _check_count("rules", len(self.rules), MAX_RULES)
        if not self.reporting_currency.isalnum():
            raise ConfigError(f"reporting_currency {self.reporting_currency!r} is no currency code, such as USDT")
        _ = self.conversions

    def _check_accounts(self) -> None:
        _check_count("accounts", len(self.accounts), MAX_ACCOUNTS)
        if self.account not in self.accounts:
            raise ConfigError(
                f"account {self.account!r} has no table [accounts.{self.account}]: add one, or choose "
                f"{' or '.join(self.accounts) or 'a name for it'}"
            )
        wallets = {str(wallet) for wallet in self.wallets}
        for name, account in self.accounts.items():
            if not _ACCOUNT.fullmatch(name):
                raise ConfigError(f"account {name!r}: use letters, digits, '-' and '_', at most 32")
            self._check_risk(f"account {name}'s ", account.risk)
            self._check_margin_mode(name, account)
            for wallet in account.balances:
                if wallet not in wallets:
                    raise ConfigError(
                        f"account {name} has a balance of {wallet!r}, which no instrument is traded in: "
                        f"the wallets are {', '.join(sorted(wallets))}"
                    )

    def _check_live(self) -> None:
        check_once("live instrument", (qualified_symbol(each) for each in self.live_instruments))
        if self.is_live:
            _check_count("live venues", len(self.venues), MAX_VENUES)
        for venue in self.live.sandbox:
            if venue not in {each.venue for each in self.instruments}:
                raise ConfigError(
                    f"[live.sandbox.{venue}] stands for a venue that no instrument is of: "
                    f"they are of {', '.join(dict.fromkeys(each.venue for each in self.instruments))}"
                )

    def _check_firm(self) -> None:
        """Refuse what cannot be traded at an exchange."""
        if not self.is_live:
            raise ConfigError(
                "firm mode trades on live market data: name instruments in the settings, "
                f'[live] instruments = ["{qualified_symbol(self.instruments[0])}"]'
            )
        real = [venue for venue in self.venues if venue not in self.live.sandbox]
        if real and len(real) < len(self.venues):
            raise ConfigError(
                f"firm mode trades at exchanges or at sandboxes, not at both: {', '.join(real)} would be real, give "
                f"[live.sandbox.{real[0]}], or none at all"
            )
        if len(self.accounts) > 1:
            raise ConfigError(
                f"firm mode trades one account a session, and the settings have {', '.join(self.accounts)}: "
                "keep one, and run a session for each"
            )
        (account,) = self.accounts.values()
        for name, needed in (("position_mode", "netting"), ("margin_mode", "cross")):
            if getattr(account, name) != needed:
                raise ConfigError(
                    f"account {self.account} has {name} {getattr(account, name)!r}: firm mode trades {needed!r} only"
                )
        live = self.live_instruments
        if not any(self.risk_limits(each) for each in live):
            raise ConfigError(
                f"firm mode trades nothing without limits: add [risk.{qualified_symbol(live[0])!r}], see docs/firm.md"
            )
        for strategy in self.strategies:
            if self.instrument(strategy.instrument) not in live:
                raise ConfigError(
                    f"strategy {strategy.title} trades {strategy.instrument}, whose market data are not taken: "
                    "add it to [live] instruments"
                )

    def _check_margin_mode(self, name: str, account: AccountSettings) -> None:
        """Refuse isolated margin for an account that trades nothing on margin."""
        traded = [each for each in self.instruments if self.risk_limits(each, name) is not None]
        if account.margin_mode == "isolated" and traded and not any(each.kind in MARGINED_KINDS for each in traded):
            raise ConfigError(
                f"account {name} has margin_mode isolated and trades only "
                f"{', '.join(map(qualified_symbol, traded))}: spot and options have no margin of their own, use cross"
            )

    def _check_risk(self, whose: str, risk: Mapping[str, RiskSettings]) -> None:
        check_once(f"{whose}risk limits of", (qualified_symbol(self.instrument(name)) for name in risk))
        for name, limits in risk.items():
            _check_limits(self.instrument(name), limits)

    def instrument(self, name: str) -> Instrument:
        """The instrument called ``name``: a symbol (``BTCUSDT``), or symbol and venue (``BTCUSDT.binance_usdm``).

        Raises
        ------
        ConfigError
            When there is none, or when several venues have the symbol.
        """
        found = self.instruments_called(name)
        if len(found) == 1:
            return found[0]
        if found:
            choice = " or ".join(qualified_symbol(each) for each in found)
            raise ConfigError(f"instrument {name!r} is ambiguous: say {choice}")
        known = ", ".join(qualified_symbol(each) for each in self.instruments)
        raise ConfigError(f"unknown instrument {name!r}: the settings define {known}")

    @property
    def is_live(self) -> bool:
        """Whether market data come from the exchange itself, and not from a recording."""
        return bool(self.live.instruments)

    @property
    def live_instruments(self) -> tuple[Instrument, ...]:
        """Those whose market data come from the exchange itself; raises as ``instrument`` does."""
        return tuple(self.instrument(name) for name in self.live.instruments)

    @property
    def traded_instruments(self) -> tuple[Instrument, ...]:
        """Those whose market data are live; where none are, all."""
        return self.live_instruments or self.instruments

    @property
    def venues(self) -> tuple[str, ...]:
        """The venues of the traded instruments."""
        return tuple(dict.fromkeys(each.venue for each in self.traded_instruments))

    def instruments_called(self, name: str) -> list[Instrument]:
        """Every instrument of that name, as ``instrument`` understands it: several where venues share a symbol."""
        return self._instruments_by_name.get(name, [])

    @cached_property
    def _instruments_by_name(self) -> dict[str, list[Instrument]]:
        by_name: dict[str, list[Instrument]] = {}
        for instrument in self.instruments:
            for name in {instrument.symbol, qualified_symbol(instrument)}:
                by_name.setdefault(name, []).append(instrument)
        return by_name

    def risk_limits(self, instrument: Instrument, account: str = "") -> RiskSettings | None:
        """The limits of ``instrument`` for an account, by default the session's; None: it cannot be traded."""
        for risk in (self.accounts[account or self.account].risk, self.risk):
            for name, limits in risk.items():
                if self.instrument(name) is instrument:
                    return limits
        return None

    @cached_property
    def account_names(self) -> tuple[str, ...]:
        """The accounts by number: the session's own is 0, the others follow as they are given."""
        return (self.account, *(name for name in self.accounts if name != self.account))

    def account_number(self, name: str) -> int:
        """The number of the account called ``name``, of the session's own where that is empty.

        Raises
        ------
        ConfigError
            When there is none.
        """
        names = self.account_names
        if (name or self.account) not in names:
            raise ConfigError(f"unknown account {name!r}: the settings define {', '.join(names)}")
        return names.index(name or self.account)

    @property
    def wallets(self) -> tuple[Wallet, ...]:
        """The wallets of every account, by number."""
        return wallets_of(self.instruments)

    @property
    def currency_codes(self) -> tuple[str, ...]:
        """The currencies by number; 0 is the reporting one."""
        return currencies_of(self.instruments, self.reporting_currency)

    @property
    def conversions(self) -> dict[str, Conversion]:
        """How each currency that can be converted becomes the reporting currency."""
        return conversions(self.instruments, self.reporting_currency, self.currencies)

    @property
    def unconverted(self) -> tuple[str, ...]:
        """Currencies that settle an instrument and cannot be converted: orders in it are refused."""
        settled = {each.settlement for each in self.instruments}
        settled |= {each.base for each in self.instruments if each.kind == "spot"}
        return tuple(code for code in self.currency_codes if code in settled and code not in self.conversions)

    @property
    def journal_sync(self) -> Literal["always", "batch", "os"]:
        """``journal.sync``, or what the mode has in its place."""
        return self.journal.sync or SYNC_OF_MODE[self.mode]

    @property
    def algorithm_files(self) -> tuple[Path, ...]:
        """The files of the user's own execution algorithms."""
        return tuple(Path(chosen.file) for chosen in self.algorithms)

    @property
    def account_dir(self) -> Path:
        """The folder of this account's journal, store and run files, one for each mode."""
        return account_folder(data_dir(self.data_dir), self.account, self.mode)

    @property
    def definitions_file(self) -> Path:
        """Every definition of an instrument that this account has ever used."""
        return self.account_dir / DEFINITIONS_FILE

    def definitions(self) -> Definitions:
        """The instruments' definitions by version, those of the past included."""
        return Definitions(self.instruments, self.definitions_file)

    @property
    def run_dir(self) -> Path:
        return self.account_dir / "run"

    @property
    def journal_dir(self) -> Path:
        return self.account_dir / "journal"

    @property
    def snapshot_dir(self) -> Path:
        return self.account_dir / "snapshots"

    @property
    def store_dir(self) -> Path:
        return self.account_dir / "store"

    @property
    def socket_dir(self) -> Path:
        """Where the ipc sockets lie: the run folder, or a short stand-in when its path is too long for a socket."""
        folder = self.run_dir
        if len(os.fspath(folder).encode()) <= MAX_SOCKET_FOLDER_BYTES:
            return folder
        digest = sha256(os.fspath(folder).encode()).hexdigest()[:16]
        return Path(tempfile.gettempdir()) / f"zoms-{os.getuid()}-{digest}"

    def source(self, source: Source, venue: str) -> int:
        """The number in the frames of a venue's process."""
        return source + SOURCES_A_VENUE * self.venues.index(venue)

    @property
    def ticks_endpoint(self) -> str:
        """TICK frames of a recorded stream: the gateway's XPUB binds, the core and the recorder subscribe."""
        return ipc_endpoint(self.socket_dir, "ticks")

    def live_ticks_endpoint(self, venue: str) -> str:
        """TICK frames of a venue: its gateway's XPUB binds, the core and the recorder subscribe."""
        return ipc_endpoint(self.socket_dir, f"ticks.{venue}")

    @property
    def ticks_endpoints(self) -> tuple[str, ...]:
        """Where the session's TICK frames come from."""
        return tuple(map(self.live_ticks_endpoint, self.venues)) if self.is_live else (self.ticks_endpoint,)

    @property
    def core_endpoint(self) -> str:
        """COMMAND and REPORT frames: the core's PULL binds, rpc, gateways and the supervisor push."""
        return ipc_endpoint(self.socket_dir, "core")

    @property
    def events_endpoint(self) -> str:
        """EVENT frames: the core's XPUB binds; rpc, the recorder and the live view subscribe."""
        return ipc_endpoint(self.socket_dir, "events")

    def orders_endpoint(self, venue: str) -> str:
        """COMMAND frames for a venue: its order gateway's PULL binds, the core pushes. Unused in paper mode."""
        return ipc_endpoint(self.socket_dir, f"orders.{venue}")

    @property
    def heartbeat_endpoint(self) -> str:
        """Heartbeats of all processes: the supervisor's PULL binds."""
        return ipc_endpoint(self.socket_dir, "heartbeat")

    @property
    def status_endpoint(self) -> str:
        """The same heartbeats for everyone: the supervisor's XPUB binds, rpc and the live view subscribe."""
        return ipc_endpoint(self.socket_dir, "status")


def check_grid(instrument: Instrument) -> None:
    """Refuse an instrument whose numbers are no numbers, too large, or off its own grid."""
    for name in ("tick", "lot", "multiplier", "min_qty", "max_qty", "min_notional"):
        check_number(f"{instrument.symbol}'s {name}", getattr(instrument, name))
    try:
        instrument.row()
    except GridError as error:
        raise ConfigError(str(error)) from None
    except OverflowError:
        raise ConfigError(
            f"{instrument.symbol}'s tick {instrument.tick}, lot {instrument.lot} and multiplier "
            f"{instrument.multiplier} are too large or too fine for 64-bit integers"
        ) from None


def _check_underlying(instrument: Instrument, known: tuple[Instrument, ...]) -> None:
    """Refuse an instrument whose underlying the settings do not define."""
    try:
        underlying_of(instrument, known)
    except ValueError as error:
        raise ConfigError(f"{error}: the settings define {', '.join(map(qualified_symbol, known))}") from None


def _check_limits(instrument: Instrument, limits: RiskSettings | StrategyRisk) -> None:
    """Refuse limits that are not on the instrument's grid."""
    try:
        for name in ("max_order_qty", "max_position"):
            instrument.qty_to_lots(getattr(limits, name) or "0", f"risk limit {name}")
        instrument.amount_to_cash(limits.max_order_notional or "0", "risk limit max_order_notional")
        rate(f"{instrument.symbol}'s risk limit price_collar", limits.price_collar or "0")
    except GridError as error:
        raise ConfigError(str(error)) from None


def _check_count(what: str, count: int, most: int) -> None:
    if count > most:
        raise ConfigError(f"the settings have {count} {what}: the core holds at most {most}")


def data_dir(setting: str = "") -> Path:
    """The data folder as an absolute path: the setting, ``$ZOMS_HOME``, or ``~/.zoms``."""
    return Path(setting or os.environ.get(DATA_DIR_VARIABLE, "") or "~/.zoms").expanduser().absolute()


def account_folder(folder: Path, account: str, mode: str) -> Path:
    """The folder of an account's sessions in a mode, within the data folder: no paper position becomes a real one."""
    return folder / (account if mode == "paper" else f"{account}.{mode}")


def qualified_symbol(instrument: Instrument) -> str:
    """Symbol and venue: the name that no other instrument of the settings has, such as ``BTCUSDT.binance_usdm``."""
    return f"{instrument.symbol}.{instrument.venue}"
