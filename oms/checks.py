"""A small vocabulary of checks on settings: each names the setting, its value and the remedy."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable
from decimal import Decimal
from ipaddress import ip_address
from typing import Final

from oms.decimals import GridError, parse_decimal

MAX_NUMBER: Final = 10**12


class ConfigError(ValueError):
    """A setting that cannot be used; the message names it, its value and the remedy."""


def check_number(what: str, text: str, largest: int = MAX_NUMBER) -> Decimal:
    """The number in ``text``; raises ``ConfigError`` unless it is a decimal from zero to ``largest``."""
    try:
        value = parse_decimal(what, text)
    except GridError as error:
        raise ConfigError(str(error)) from None
    if value < 0:
        raise ConfigError(f"{what} {text} is negative: it must be zero or more")
    if value > largest:
        raise ConfigError(f"{what} {text} is too large: at most {largest}")
    return value


def refuse_open_endpoint(what: str, endpoint: str) -> None:
    """Raise ``ConfigError`` unless only this machine can reach ``endpoint``, ``ipc://PATH`` or ``tcp://HOST:PORT``."""
    host = endpoint.removeprefix("tcp://").rpartition(":")[0]
    try:
        is_loopback = endpoint.startswith("ipc://") or ip_address(host).is_loopback
    except ValueError:
        is_loopback = False
    if not is_loopback:
        raise ConfigError(
            f"{what} {endpoint} is open to the network, and rpc has no authentication yet: use"
            " tcp://127.0.0.1:PORT or an ipc:// path"
        )


def check_finite(what: str, value: float) -> None:
    """Raise ``ConfigError`` unless ``value`` is a finite number."""
    if not math.isfinite(value):
        raise ConfigError(f"{what} is {value}: it must be a finite number")


def check_once(what: str, values: Iterable[object]) -> None:
    """Raise ``ConfigError`` for a value that comes twice."""
    for value, count in Counter(values).items():
        if count > 1:
            raise ConfigError(f"{what} {value!r} is given {count} times: each must be given once")
