"""What the private stream of OKX does not say is asked for soon, and not only when the account is next reconciled."""

from __future__ import annotations

from collections.abc import Callable

from gateways.sandbox.accounts import Account
from gateways.sandbox.okx.contract import Json
from oms.records import ReportKind
from tests.gateways.okx.booth import OkxBooth, on_booth


def lose(booth: OkxBooth, is_lost: Callable[[Json], bool]) -> None:
    """Have orders' messages get lost."""
    streams = booth.side.streams
    real = streams.publish_private

    def publish(account: Account, channel: str, row: Json) -> None:
        if channel != "orders" or not is_lost(row):
            real(account, channel, row)

    streams.publish_private = publish  # type: ignore[method-assign]


@on_booth()
async def test_fill_that_only_the_account_tells_of_is_asked_for(booth: OkxBooth) -> None:
    order_id = booth.place(1, 100, booth.best(1))
    await booth.done(order_id, ReportKind.ACCEPTED)
    lose(booth, lambda _row: True)
    booth.market_moves(lambda: booth.account.qty == 100)
    await booth.until(lambda: not booth.known.orders)
    assert set(booth.of(order_id)) == {"ACCEPTED", "FILL"}
    assert booth.known.cash["USDT"] == booth.account.wallet
