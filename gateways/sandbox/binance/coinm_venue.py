"""Binance COIN-M futures over one recorded instrument: contracts of so many dollars, settled in the base currency.

It is USD-M but for its host names, its paths, how it writes what contracts are worth, and some codes. Its streams have
no entries: market data are at ``/ws`` and ``/stream``, an account's events at ``/ws/LISTENKEY`` ("Connect").
"""

from __future__ import annotations

import re
from types import MappingProxyType
from typing import ClassVar, Final

from gateways.sandbox.binance.coinm_routes import ROUTES
from gateways.sandbox.binance.coinm_views import CoinmViews
from gateways.sandbox.binance.errors import Error, Words
from gateways.sandbox.binance.listen_keys import LENGTH
from gateways.sandbox.binance.streams import CHANNELS as USDM_CHANNELS
from gateways.sandbox.binance.streams import Streams
from gateways.sandbox.binance.venue import Venue

HOSTS: Final = ("dapi.binance.com", "dstream.binance.com", "api.binance.com")
"""The exchange's hosts that the sandbox stands for."""

PATH: Final = re.compile(rf"/(?:ws/(?P<key>[0-9A-Za-z]{{{LENGTH}}})|(?P<mode>ws|stream)(?:/(?P<names>.*))?)")
CHANNELS: Final = tuple((pattern, channel._replace(entry="public")) for pattern, channel in USDM_CHANNELS)

WORDS: Final[Words] = MappingProxyType(
    {
        Error.BELOW_NOTIONAL: (
            400,
            -4178,
            "Order's notional must be no smaller than {} (unless you choose reduce only)",
        ),
        Error.ONLY_LIMIT: (400, -4196, "Only limit order is supported."),
        Error.NOTHING_TO_AMEND: (400, -4197, "No need to modify the order."),
        Error.TOO_MANY_AMENDS: (400, -4198, "Exceed maximum modify order limit."),
    }
)
"""Codes of COIN-M's own "Error Code" page. Those for a post-only order that would take, for one of all or nothing and
for a client's id twice are on no page of it: they are USD-M's, with which it shares its system."""


class CoinmVenue(Venue):
    """COIN-M futures; see ``Venue``."""

    hosts: tuple[str, ...] = HOSTS
    routes = ROUTES
    words = WORDS
    views_type: ClassVar = CoinmViews
    views: CoinmViews

    def new_streams(self) -> Streams:
        """Without entries."""
        return Streams(self, PATH, CHANNELS)
