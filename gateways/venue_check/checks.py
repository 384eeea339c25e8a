"""What is tried at a venue, in this order: each check does one thing there, and says what came of it.

A check returns what it saw, in words. It raises ``CheckError`` where the venue does something else than zoms counts on,
and ``NotHereError`` where it has no such thing. Each uses orders of its own, so that none is in the way of another.
"""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable
from dataclasses import replace
from decimal import Decimal
from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt

from gateways.book import BookRebuild
from gateways.doctor import REFUSED_OFFSET_MS, check_instruments
from gateways.live.requests import RequestError
from gateways.orders.known import Order
from gateways.orders.outcomes import REQUEST_ERRORS, Outcome, Verdict, outcome_of
from gateways.orders.venue import CommandError
from gateways.orders.views import OrderView, Standing
from gateways.recording import LineDecoder, ReadCounters
from gateways.venue_check.bench import ENDS, Bench, CheckError, NotHereError, currencies_of
from oms.decimals import cash_text
from oms.records import CommandKind, OrderFlag, Reason, ReportKind, TickKind, TimeInForce, Trigger, TriggerSource

LEVELS: Final = 20
"""Of each side of the book, in a comparison."""
ATTEMPTS: Final = 5
"""At best prices by request that the stream has shown too: they may change on the way."""
ROUNDING: Final = 1
"""How far a balance may be off for each fill, in 1e-8: some exchanges count finer."""


class Check(NamedTuple):
    """One thing that is tried."""

    name: str
    does: str
    """What it does at the exchange."""
    run: Callable[[Bench], Awaitable[str]]


async def clock(bench: Bench) -> str:
    """How far the clocks are apart, as market data measure it."""
    measured = bench.live.clock
    await bench.until(lambda: measured.error_ms, "the exchange's time")
    way = "ahead of" if measured.offset_ms >= 0 else "behind"
    said = f"{abs(measured.offset_ms):.0f} ms {way} the exchange's, known to {measured.error_ms:.0f} ms"
    if abs(measured.offset_ms) >= REFUSED_OFFSET_MS:
        raise CheckError(f"{said}: have it set by NTP")
    return said


async def instruments(bench: Bench) -> str:
    """The grid by ccxt's reading, and by the gateway's own."""
    found = await check_instruments(bench.exchange, [bench.instrument])
    if refused := [finding.text for finding in found if finding.level == "refused"]:
        raise CheckError("; ".join(refused))
    try:
        await bench.venue.open()
    except ValueError as error:
        raise CheckError(str(error)) from error
    bench.is_fit = True
    instrument = bench.instrument
    return f"{instrument.symbol}: tick {instrument.tick}, lot {instrument.lot}"


async def market_data(bench: Bench) -> str:
    """The book is in step, and goes on."""
    market, heard = bench.market, bench.heard

    def goes_on() -> bool:
        return market.is_in_step and bool(heard.updates) and heard.counts[TickKind.QUOTE] > 0

    await bench.until(goes_on, "a book in step, its updates and quotes")
    if market.counters.refused.total():
        raise CheckError(f"{market.counters.refused.total()} messages could not be read: {market.counters.refused}")
    counts = ", ".join(f"{heard.counts[kind]:,} {kind.name}" for kind in TickKind if heard.counts[kind])
    return f"{counts} records; {market.sequencer.gaps} gaps"


async def book(bench: Bench) -> str:
    """The live book against one that is asked for."""
    instrument = bench.instrument
    if any(feed.renewal for feed in bench.live.venue.feeds(instrument)):
        return await _best_prices(bench)
    try:
        answer = await bench.live.venue.snapshot(bench.requests, instrument)
    except RequestError as error:
        raise CheckError(str(error)) from error
    decoder = LineDecoder(instrument.venue, instrument, ReadCounters(), instrument.symbol)
    (fresh,) = decoder.decode(b"%d %b\n" % (time.time_ns(), answer.replace(b"\n", b" ")))
    books: list[list[tuple[int, int, int]]] = []

    def both() -> int:
        asked = BookRebuild()
        asked.take(fresh)
        for update in bench.heard.updates:
            asked.take(update)
        mine, theirs = bench.market.book(), asked.snapshot(0)
        if mine is None or theirs is None or mine["update_id"][0] < fresh["update_id"][0]:
            return 0
        books[:] = [_top(mine), _top(theirs)]
        return int(mine["update_id"][0])

    update_id = await bench.until(both, "an update behind the snapshot")
    mine, theirs = books
    if mine != theirs:
        wrong = next(pair for pair in zip(mine, theirs, strict=False) if pair[0] != pair[1])
        raise CheckError(f"at update {update_id} the live book has {wrong[0]} where a fresh one has {wrong[1]}")
    return f"at update {update_id:,} the best {len(mine)} levels are those of a fresh snapshot"


def _top(ticks: npt.NDArray[np.void]) -> list[tuple[int, int, int]]:
    """Side, price and quantity of the best levels."""
    sides = (ticks[ticks["side"] == side][:LEVELS] for side in (1, -1))
    return [level for levels in sides for level in levels[["side", "px", "qty"]].tolist()]


async def _best_prices(bench: Bench) -> str:
    """Where the whole book comes on the stream alone: the best prices by request must have been quoted there."""
    instrument, heard = bench.instrument, bench.heard
    for _ in range(ATTEMPTS):
        told = await bench.exchange.fetch_order_book(bench.market_type["symbol"], 5)
        texts = [format(Decimal(repr(told[side][0][0])), "f") for side in ("bids", "asks")]
        bid, ask = (instrument.px_to_ticks(text) for text in texts)
        quotes = heard.counts[TickKind.QUOTE]

        def has_come(pair: tuple[int, int] = (bid, ask), before: int = quotes) -> bool:
            return pair in heard.best or heard.counts[TickKind.QUOTE] > before

        await bench.until(has_come, "a quote")
        if (bid, ask) in heard.best:
            return f"the best prices by request, {' and '.join(texts)}, are among those of the stream"
    raise CheckError(f"the best prices by request, {' and '.join(texts)}, were never quoted on the stream")


async def account(bench: Bench) -> str:
    """The private stream opens, and the account is read."""
    bench.gateway.start()
    await bench.until(lambda: bench.gateway.entry.is_open, "the private stream and a reconciled account")
    cash = bench.known.cash
    held = ", ".join(f"{cash_text(cash.get(each, 0))} {each}" for each in currencies_of(bench.instrument))
    qty = bench.known.positions[bench.instrument.id]
    position = f"; position {bench.instrument.qty_from_lots(qty)}" if bench.place.venue.has_positions else ""
    return f"{held}{position}"


async def rests(bench: Bench) -> str:
    """An order far from the market."""
    order = await bench.rest()
    view = await _shown(bench, order)
    if view.standing is not Standing.OPEN or (view.side, view.px, view.qty) != (order.side, order.px, order.qty):
        raise CheckError(f"an order was asked for with {_terms(order)}, and is shown as {view}")
    return f"{_terms(order)} rests, and is shown open"


async def amended(bench: Bench) -> str:
    """Fewer lots, then another price, where orders can be given one."""
    order = await bench.rest(times=2)
    px, fewer = order.px, bench.smallest(order.px)
    done = []
    for said, terms in (("made smaller", (px, fewer)), ("given another price", (px + 1, fewer))):
        try:
            bench.venue.check_amend(order, *terms)
        except CommandError:
            continue
        bench.send(CommandKind.AMEND, order.order_id, px=terms[0], qty=terms[1], side=order.side)
        done.append(said)
        await bench.told(order.order_id, ReportKind.AMENDED, times=len(done))
        view = await _shown(bench, order)
        if (view.px, view.qty) != terms:
            raise CheckError(f"an order was amended to {_terms(order)}, and is shown as {view}")
    if not done:
        raise NotHereError("orders cannot be amended, but only cancelled and placed anew")
    return ", then ".join(done)


async def cancelled(bench: Bench) -> str:
    """An end that is asked for."""
    order = await bench.rest()
    await bench.end(order)
    if any(view.client_id == order.client_id for view in await bench.venue.open_orders(bench.instrument)):
        raise CheckError(f"order {order.client_id} was told cancelled, and is shown open")
    return f"{_terms(order)} has ended, and is not shown open any more"


async def post_only(bench: Bench) -> str:
    """An order that must not take, at a price that would."""
    px = bench.crossing(1)
    order_id = bench.ask(1, bench.smallest(px), px, flags=OrderFlag.POST_ONLY)
    await bench.done(order_id)
    if bench.of(order_id, ReportKind.FILL):
        raise CheckError("a post-only order took what was displayed")
    reason = Reason.POST_ONLY_WOULD_CROSS if bench.venue.tells_why else Reason.NONE
    return f"{_end_of(bench, order_id, reason)}, and nothing was taken"


async def immediate(bench: Bench) -> str:
    """An order that finds nothing and must not rest."""
    px = bench.far(1)
    order_id = bench.ask(1, bench.smallest(px), px, TimeInForce.IOC)
    await bench.done(order_id)
    if bench.of(order_id, ReportKind.FILL):
        raise CheckError("an immediate order far from the market was filled")
    return f"{_end_of(bench, order_id, Reason.NO_LIQUIDITY)}, without a fill"


def _end_of(bench: Bench, order_id: int, reason: Reason) -> str:
    """How an order has ended, which must be for a reason; raises ``CheckError`` where it is another one."""
    (end, *_) = bench.of(order_id, *ENDS)
    told = Reason(int(end["reason"]))
    if told is not reason:
        raise CheckError(f"an order ended as {told.name} instead of {reason.name}{bench.last_line}")
    return f"{ReportKind(int(end['kind'])).name} as {told.name}"


async def filled(bench: Bench) -> str:
    """The smallest order at the market, in the direction of the position that there is."""
    side = 1 if bench.known.positions[bench.instrument.id] >= 0 else -1
    qty = bench.smallest(bench.best(-side))
    order_id = bench.ask(side, qty)
    await bench.done(order_id)
    if any(end["reason"] == Reason.BAD_ORDER_TYPE for end in bench.of(order_id, ReportKind.REJECTED)):
        order_id = bench.ask(side, qty, bench.crossing(side), TimeInForce.IOC)
        return f"{await _traded(bench, order_id)}; by a price, as the market takes no lots without one"
    return await _traded(bench, order_id)


async def closed(bench: Bench) -> str:
    """What the check before has bought is sold."""
    qty = bench.qty_to_close
    if not qty:
        raise CheckError("nothing was filled that could be closed")
    return await _traded(bench, bench.ask_close(qty))


async def _traded(bench: Bench, order_id: int) -> str:
    """Wait for an order at the market, and compare fills, fee, position and balances with the exchange's."""
    await bench.done(order_id)
    order, instrument = bench.order(order_id), bench.instrument
    fills = bench.of(order_id, ReportKind.FILL)
    if sum(int(fill["qty"]) for fill in fills) != order.qty:
        raise CheckError(f"of {order.qty} lots at the market {order.filled_qty} were filled{bench.last_line}")
    await _account_is_as_shown(bench)
    px = ", ".join(instrument.px_from_ticks(int(fill["px"])) for fill in fills)
    paid = cash_text(sum(int(fill["fee"]) for fill in fills))
    fee = (
        f"fee {paid} {instrument.settlement}" if all(fill["fee_known"] for fill in fills) else "fee in another currency"
    )
    way = "bought" if order.side > 0 else "sold"
    return f"{way} {instrument.qty_from_lots(order.qty)} at {px}, {fee}; the account is as the exchange shows it"


async def reduce_only(bench: Bench) -> str:
    """An order that has nothing to reduce."""
    if not bench.place.venue.has_positions:
        raise NotHereError("there are no positions")
    if bench.known.positions[bench.instrument.id]:
        raise NotHereError("there is a position of before, which it would reduce")
    order_id = bench.ask(1, bench.smallest(bench.best(-1)), flags=OrderFlag.REDUCE_ONLY)
    await bench.done(order_id)
    if bench.of(order_id, ReportKind.FILL):
        raise CheckError("a reduce-only order opened a position")
    return f"{_end_of(bench, order_id, Reason.REDUCE_ONLY)}, and nothing was opened"


async def _account_is_as_shown(bench: Bench) -> None:
    """Position and balances, counted from what was told, are those of the exchange, which may take a moment."""
    differs = ""
    deadline_s = time.monotonic() + bench.patience_s
    while time.monotonic() < deadline_s:
        positions = {view.instrument: view.qty for view in await bench.venue.positions()}
        balances = await bench.venue.balances()
        differs = _difference(bench, positions, balances)
        if not differs:
            return
        await bench.pause()
    raise CheckError(differs)


def _difference(bench: Bench, positions: dict[int, int], balances: dict[str, int]) -> str:
    known, number = bench.known, bench.instrument.id
    if bench.place.venue.has_positions and positions.get(number, 0) != known.positions[number]:
        return (
            f"the position is {positions.get(number, 0)} lots at the exchange, and {known.positions[number]} were told"
        )
    tolerance = ROUNDING * sum(int(report["kind"]) == ReportKind.FILL for report in bench.reports)
    for currency in currencies_of(bench.instrument):
        counted = known.cash.get(currency, 0) + known.uncharged.get(currency, 0)
        shown = balances.get(currency, 0)
        if abs(shown - counted) > tolerance:
            return f"{cash_text(shown)} {currency} are at the exchange, and {cash_text(counted)} were told"
    return ""


async def stop_stands(bench: Bench) -> str:
    """A stop far from the market that stands at the exchange, and its end."""
    px = bench.far(-1)
    order_id = bench.ask(
        1,
        bench.smallest(px),
        flags=OrderFlag.AT_EXCHANGE,
        trigger=Trigger.STOP,
        trigger_source=TriggerSource.LAST,
        trigger_px=px,
    )
    answers = (ReportKind.ACCEPTED, ReportKind.REJECTED)
    (answer, *_) = await bench.until(lambda: bench.of(order_id, *answers), "the answer to a stop")
    if answer["reason"] == Reason.NO_STOPS_AT_EXCHANGE:
        raise NotHereError("stops are held by the core: the gateway keeps none at the exchange")
    await bench.told(order_id, ReportKind.ACCEPTED)
    order = bench.order(order_id)
    view = await _shown(bench, order)
    if view.stop is None or view.stop.trigger_px != px or view.qty != order.qty:
        raise CheckError(f"a stop was asked for from {px} ticks on, and is shown as {view}")
    await bench.end(order)
    if any(each.client_id == order.client_id for each in await bench.venue.open_orders(bench.instrument)):
        raise CheckError(f"stop {order.client_id} was told cancelled, and is shown open")
    return "a stop stood there, was shown, and has ended"


async def not_doubled(bench: Bench) -> str:
    """The same order again, past the gateway, which would not ask twice."""
    order = await bench.rest()
    outcome = await _outcome(bench, bench.venue.place(_anew(order)), "a second order of the same id was taken")
    shown = [view for view in await bench.venue.open_orders(bench.instrument) if view.client_id == order.client_id]
    if len(shown) != 1:
        raise CheckError(f"{len(shown)} orders of the id {order.client_id} are open")
    if outcome.verdict is not Verdict.DUPLICATE:
        raise CheckError(f"it was refused, but not as a duplicate: {outcome.text}")
    return "a second order of the same id is refused as a duplicate, and one is open"


async def found_by_client_id(bench: Bench) -> str:
    """An order of which only our own id is known: how an unknown outcome is resolved."""
    order = await bench.rest()
    view = await bench.venue.query(_anew(order))
    if (view.venue_order_id, view.client_id, view.qty) != (order.venue_order_id, order.client_id, order.qty):
        raise CheckError(f"asked for {order.client_id}, and told of {view}")
    return f"{order.client_id} is order {view.venue_order_id}"


async def ended_cannot_end(bench: Bench) -> str:
    """A cancel that comes too late: how it is known that an order has ended."""
    order = await bench.rest()
    await bench.end(order)
    try:
        view = await bench.venue.cancel(order)
    except REQUEST_ERRORS as error:
        outcome = outcome_of(error, bench.venue.codes, sent_once=False)
        if outcome.verdict is not Verdict.GONE:
            raise CheckError(f"a cancel of an ended order was not refused as that: {outcome.text}") from error
        return f"refused as no open order ({outcome.code})"
    if view is None or view.standing is Standing.OPEN:
        raise CheckError("a cancel of an ended order was taken as if it were open")
    return "answered with how it ended"


async def stream_reopened(bench: Bench) -> str:
    """The private stream is closed, and what happens meanwhile is found out."""
    order = await bench.rest()
    stream, before = bench.gateway.stream, bench.gateway.stream.connections
    stream.drop("closed by the check")
    await bench.until(lambda: not stream.is_open or stream.connections > before, "the end of the stream")
    await bench.venue.cancel(order)  # its answer is not told to the gateway
    await bench.until(lambda: stream.connections > before and bench.gateway.entry.is_open, "another private stream")
    await bench.told(order.order_id, ReportKind.CANCELLED)
    told = len(bench.of(order.order_id, ReportKind.CANCELLED))
    if told != 1:
        raise CheckError(f"an order that ended while the stream was closed was told {told} times")
    return "opened anew; an order that had ended meanwhile was told, once"


async def reconciled(bench: Bench) -> str:
    """Both sides have the same at the end."""
    await bench.gateway.idle()
    if not await bench.gateway.reconcile():
        raise CheckError(f"{bench.gateway.entry.why_not or 'it failed'}{bench.last_line}")
    await _account_is_as_shown(bench)
    missed = bench.gateway.reconciler.missed_fills
    return "orders, fills, position and balances agree" + (f"; {missed} fills came by request alone" if missed else "")


async def nothing_left(bench: Bench) -> str:
    """What was placed has ended, and what was bought was sold."""
    if left := await bench.clear():
        raise CheckError(f"LEFT AT THE EXCHANGE: {', '.join(left)}")
    return f"none of {len(bench.placed)} orders is open"


async def _shown(bench: Bench, order: Order) -> OrderView:
    """An order among those that the exchange shows open."""
    views = await bench.venue.open_orders(bench.instrument)
    found = [view for view in views if view.client_id == order.client_id]
    if len(found) != 1:
        raise CheckError(f"an accepted order is among those that are open {len(found)} times")
    return found[0]


async def _outcome(bench: Bench, asking: Awaitable[OrderView | None], otherwise: str) -> Outcome:
    """How a request is refused; raises ``CheckError`` where it is not."""
    try:
        await asking
    except REQUEST_ERRORS as error:
        return outcome_of(error, bench.venue.codes, sent_once=True)
    raise CheckError(otherwise)


def _anew(order: Order) -> Order:
    """An order as it is asked for: the exchange's id is not known."""
    return replace(order, venue_order_id=0)


def _terms(order: Order) -> str:
    way = "buy" if order.side > 0 else "sell"
    return f"{way} {order.instrument.qty_from_lots(order.qty)} at {order.instrument.px_from_ticks(order.px)}"


CHECKS: Final = (
    Check("clock", "asks for its time", clock),
    Check("instruments", "asks for the instrument and the account's mode", instruments),
    Check("market data", "subscribes to its streams", market_data),
    Check("book", "asks for the book", book),
    Check("account", "opens the private stream, reads orders, fills, positions and balances", account),
    Check("rests", "places an order far from the market", rests),
    Check("amended", "places an order, makes it smaller, gives it another price", amended),
    Check("cancelled", "places an order, cancels it", cancelled),
    Check("post-only", "places a post-only order that would take", post_only),
    Check("immediate or cancel", "places an order far from the market that must not rest", immediate),
    Check("market order", "buys the smallest size", filled),
    Check("closed", "sells it again, reduce-only where there are positions", closed),
    Check("reduce-only", "places a reduce-only order that has nothing to reduce", reduce_only),
    Check("stop at the exchange", "places a stop far from the market, cancels it", stop_stands),
    Check("not doubled", "places an order twice by one client order id", not_doubled),
    Check("found by id", "places an order, asks for it by its client order id", found_by_client_id),
    Check("ended", "cancels an order that has ended", ended_cannot_end),
    Check("private stream", "closes its own stream while an order ends", stream_reopened),
    Check("reconciled", "reads everything again", reconciled),
)

AT_THE_END: Final = Check("nothing left", "cancels what is open of its own, closes what is bought", nothing_left)
"""Also when the checks are broken off."""
