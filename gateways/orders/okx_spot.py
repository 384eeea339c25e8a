"""OKX spot: the venue ``okx_spot``. There are no positions: what is bought is a balance.

The account is the one of ``okx``. Orders are for the account's own cash (``tdMode`` cash), which accounts of the two
margin modes with several currencies do not have: there every order may borrow.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, Final

from gateways.orders.known import Order
from gateways.orders.okx import Okx
from gateways.orders.okx_spot_views import OkxSpotViews
from gateways.orders.okx_words import BASE
from gateways.orders.venue import CommandError
from gateways.orders.views import FundingView, PositionView
from oms.instruments import Instrument
from oms.records import OrderFlag, OrderType, Reason

SPOT_MODE, FUTURES_MODE = "1", "2"
"""``acctLv`` of the accounts that trade spot with their own cash ("Get account configuration", "Place order")."""

ACCOUNT_MODES: Final = (SPOT_MODE, FUTURES_MODE)


class OkxSpot(Okx):
    """See ``gateways.orders.venue.Venue``, and ``Okx`` for what it shares."""

    name: ClassVar[str] = "okx_spot"
    kinds: ClassVar[tuple[str, ...]] = ("spot",)
    inst_type: ClassVar[str] = "SPOT"
    trade_mode: ClassVar[str] = "cash"

    def new_views(self) -> OkxSpotViews:
        """See ``Okx``."""
        return OkxSpotViews(self._by_symbol)

    def check_account(self, account: Mapping[str, str]) -> None:
        """See ``Okx``; how positions are kept does not matter here."""
        if account["acctLv"] not in ACCOUNT_MODES:
            raise ValueError(
                "the account at okx is in a margin mode of several currencies, where spot orders borrow: set it to "
                "spot mode or futures mode"
            )

    def check_contract(self, _instrument: Instrument, _row: Mapping[str, str]) -> None:
        """There are no contracts."""

    def check(self, order: Order) -> None:
        """See ``Venue``; that an order only reduces is for the core to see to, as the exchange cannot."""
        if order.flags & OrderFlag.SHORT_LEG:
            raise CommandError("okx_spot has no short leg", Reason.BAD_LEG)
        super().check(order)

    def check_stop(self, _order: Order) -> None:
        """None are kept: an order here cannot be one that only closes."""
        raise CommandError("okx_spot keeps no stops: without the flag the core holds it", Reason.NO_STOPS_AT_EXCHANGE)

    def terms_of(self, order: Order) -> dict[str, Any]:
        """See ``Okx``; a buy at the market would be for so much of the quote currency, were nothing said."""
        request = super().terms_of(order)
        request.pop("reduceOnly", None)
        if order.order_type is OrderType.MARKET:
            request["tgtCcy"] = BASE
        return request

    async def positions(self) -> list[PositionView]:
        """There are none."""
        return []

    async def fundings_since(self, _ts: int) -> list[FundingView]:
        """There is no funding."""
        return []
