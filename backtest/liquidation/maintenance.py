"""The exchange liquidates: what is left of a margin has come down to the maintenance margin, at the mark price.

- **Cross**: the balance of a venue's wallet in a currency, without what is assigned to isolated positions, with the
  unrealized PnL of its cross positions, against the sum of their maintenance margins. All of these positions are
  closed, and every order but spot that draws on the wallet is cancelled before; one on its way is rejected.
- **Isolated**: the position's own margin and unrealized PnL against its own maintenance margin. It is closed, and the
  account's orders in its instrument are cancelled before.
- **At which price** (``Liquidation``): of bankruptcy, at which nothing is left; or the mark, less a fee of the value,
  at most what is left. Past bankruptcy it is that price both ways: the loss beyond the margin is the insurance fund's.
  What is left of a cross margin is shared by maintenance margins. Prices are rounded in the position's favour.
- A short option is on margin too; bought options and spot are not, and are left alone.
- It judges what the core holds: while fills of an account are under way to the core, it waits for them.

Source: Binance's liquidation protocol for USD-M futures, with two simplifications. There the position is first offered
to the market in one immediate-or-cancel order, for what that brings less a liquidation fee (``liquidationFee`` of
``/fapi/v1/exchangeInfo``), and it is closed at the bankruptcy price where that does not save the account; a large
position may be reduced in steps. Here it is closed whole, and by default at the price of bankruptcy, the worst that can
happen to the account and the one that no book has to be believed for.
"""

from __future__ import annotations

from typing import Final

from backtest.liquidation.closing import cancel_orders, close_position
from backtest.liquidation.margins import in_wallet, is_margined, wallet_margin, watch_position, worth_and_need
from backtest.matching.exchange import FILL, has_answer_room
from oms.compiled import kernel
from oms.core.exact import share
from oms.core.margin_watch import HELD, NOTHING, STALE, open_bands
from oms.core.option_margin import UNKNOWN
from oms.core.state import MAX_ACCOUNTS, MAX_LEGS, MODEL_QUEUE, Record, State
from oms.instrument_kinds import InstrumentKind
from oms.records import MarginMode

_ISOLATED: Final = int(MarginMode.ISOLATED)
_SPOT: Final = int(InstrumentKind.SPOT)


@kernel
def fills_under_way(s: Record, account: int) -> bool:
    """True while the core has not heard of every fill of an account."""
    model = s["model"]
    for i in range(model["answer_count"]):
        report = model["answers"][(model["answer_head"] + i) % MODEL_QUEUE]
        if report["kind"] == FILL and report["account"] == account:
            return True
    return False


@kernel
def liquidate_wallet(s: Record, account: int, wallet: int, left: int, need: int) -> None:
    """Close every cross position of a wallet; each gets of what is left its part by maintenance margin."""
    model = s["model"]
    for instrument in range(s["instruments_used"]):
        definition = s["instruments"][instrument]
        if definition["defined"] != 0 and definition["kind"] != _SPOT and definition["settle_wallet"] == wallet:
            cancel_orders(s, account, instrument)
    number = s["scopes"][account]["first_active"]
    while number >= 0:
        instrument = number // MAX_LEGS
        leg = number % MAX_LEGS
        if in_wallet(s, account, wallet, number):
            _, own_need = worth_and_need(s, account, instrument, leg)
            part = share(left, own_need, need) if own_need < need else left
            left -= close_position(s, account, instrument, leg, part)
            need -= own_need
        number = s["valuations"][account, instrument, leg]["next_active"]
    last = model["answers"][(model["answer_head"] + model["answer_count"] - 1) % MODEL_QUEUE]
    model["liquidated_ts"][account, wallet] = last["ts"]


@kernel
def look_at_wallet(s: Record, account: int, wallet: int) -> bool:
    """Liquidate a wallet's cross positions where their margin is used up, else watch them; False: it has none."""
    left, need, count = wallet_margin(s, account, wallet)
    if count == 0 or need == UNKNOWN:
        return bool(count > 0)
    if left <= need:
        liquidate_wallet(s, account, wallet, left, need)
        return True
    number = s["scopes"][account]["first_active"]
    while number >= 0:
        instrument = number // MAX_LEGS
        leg = number % MAX_LEGS
        if in_wallet(s, account, wallet, number):
            watch_position(s, account, instrument, leg, float(left - need) / count)
        number = s["valuations"][account, instrument, leg]["next_active"]
    return True


@kernel
def look_at_isolated(s: Record, account: int) -> bool:
    """Liquidate each isolated position whose margin is used up, else watch it; False: there is none."""
    found = False
    number = s["scopes"][account]["first_active"]
    while number >= 0:
        instrument = number // MAX_LEGS
        leg = number % MAX_LEGS
        number = s["valuations"][account, instrument, leg]["next_active"]
        position = s["positions"][account, instrument, leg]
        if position["margin_mode"] != _ISOLATED or not is_margined(s, account, instrument, leg):
            continue
        found = True
        worth, need = worth_and_need(s, account, instrument, leg)
        left = position["isolated_margin"] + worth
        if need != UNKNOWN and left <= need:
            cancel_orders(s, account, instrument)
            close_position(s, account, instrument, leg, left)
        elif need != UNKNOWN:
            watch_position(s, account, instrument, leg, float(left - need))
    return found


def on_margin(st: State, _instrument: int, _tick: Record) -> None:
    """A mark has left its band, or a position or a balance has changed: look at every margin, and make the bands."""
    s = st[0]
    open_bands(s)
    watch = NOTHING
    for account in range(MAX_ACCOUNTS):
        if s["scopes"][account]["first_active"] < 0:
            continue
        if not has_answer_room(s) or fills_under_way(s, account):
            watch = STALE
            continue
        found = look_at_isolated(s, account)
        for wallet in range(s["wallets_used"]):
            found = look_at_wallet(s, account, wallet) or found
        if found:
            watch = max(watch, HELD)
    s["model"]["watch"] = watch
