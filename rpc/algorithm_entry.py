"""Algorithm entry: orders that an algorithm works are started, amended, paused and resumed.

Such an order, the parent, is an order of the client like any other: it is placed, found, told and cancelled as those
are. What is different is said here: its algorithm and the parameters, which are checked before anything is sent, and
travel ahead of its command.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from oms.algorithms import Algorithm, AlgorithmError, exact_parameters
from oms.canonical import canonical_groups, routes_of
from oms.config import Settings, qualified_symbol
from oms.decimals import GridError
from oms.definitions import Definitions
from oms.instruments import Instrument
from oms.record_fields import CommandFields, command_fields
from oms.records import CommandKind, Reason, Trigger
from rpc.algorithm_terms import AlgorithmTerms, TermsBook
from rpc.core_link import addressed
from rpc.dispatch import Dispatch
from rpc.ledger_rows import LedgerRow
from rpc.messages import Reply
from rpc.own_orders import OwnOrders
from rpc.pending import Waiter
from rpc.placing import Placing
from rpc.refusals import RefusalError
from rpc.requests import AmendAlgorithm, OrderTerms, PauseAlgorithm, ResumeAlgorithm, StartAlgorithm
from rpc.sessions import Session
from rpc.translation import named_instrument, price_ticks, qty_lots, refuse_expired, refuse_new_limit

_AT_ONCE: Final = frozenset({"ioc", "fok"})


class AlgorithmEntry:
    """Takes requests about orders that algorithms work; each returns its reply, or None when the core's answer will
    be the reply."""

    def __init__(
        self,
        settings: Settings,
        definitions: Definitions,
        terms_book: TermsBook,
        own_orders: OwnOrders,
        dispatch: Dispatch,
        placing: Placing,
    ) -> None:
        self._settings = settings
        self._definitions = definitions
        self._terms_book = terms_book
        self._own_orders = own_orders
        self._dispatch = dispatch
        self._placing = placing

    def start(self, session: Session, request: StartAlgorithm) -> Reply | None:
        """Place an order and have an algorithm work it, or tell how the one of the same id stands."""
        refuse_expired(request.expires_ts)
        algorithm = self._named(request.algorithm)
        symbol, venues = self._routes(algorithm, request)
        instrument = named_instrument(self._settings, self._definitions, symbol)
        terms = AlgorithmTerms.of(algorithm, _values(algorithm, request.parameters, instrument), venues)
        if request.time_in_force in _AT_ONCE:
            raise RefusalError(
                Reason.BAD_TIME_IN_FORCE,
                f"an order that an algorithm works is never {request.time_in_force}: say gtc, gtd or day",
            )
        order = OrderTerms(
            client_order_id=request.client_order_id,
            symbol=symbol,
            side=request.side,
            qty=request.qty,
            price=request.price,
            account=request.account,
            order_type="algorithm_market" if request.price is None else "algorithm_limit",
            time_in_force=request.time_in_force,
            good_till_ts=request.good_till_ts,
            reduce_only=request.reduce_only,
            position_side=request.position_side,
        )
        waiter = Waiter(session, request.request_id)
        return self._placing.place_worked(session, order, terms, waiter, request.expires_ts)

    def amend(self, session: Session, request: AmendAlgorithm) -> Reply | None:
        """Ask for another target, another limit price, other parameters."""
        refuse_expired(request.expires_ts)
        row, asked = self._parent(session, request)
        if request.price is None and request.qty is None and not request.parameters:
            raise RefusalError(
                Reason.BAD_COMMAND,
                f"the amend of order {row.client_order_id!r} changes nothing: give a price, a qty or parameters",
            )
        instrument = self._definitions.in_force(asked.instrument)
        if instrument is None:
            raise RefusalError(
                Reason.UNKNOWN_INSTRUMENT, f"instrument {asked.instrument} is no longer defined in the settings"
            )
        refuse_new_limit(asked, request.price)
        terms = self._amended_terms(row, request.parameters, instrument) if request.parameters else None
        self._dispatch.refuse_unless_listening()
        command = CommandFields(
            kind=CommandKind.AMEND,
            account=asked.account,
            instrument=instrument.id,
            version=instrument.version,
            px=0 if request.price is None else price_ticks(instrument, request.price),
            qty=0 if request.qty is None else qty_lots(instrument, request.qty),
            trigger=Trigger.NONE if terms is None else Trigger.ALGORITHM,
        )
        pending = self._dispatch.send(
            CommandKind.AMEND,
            row,
            [addressed(command, row.order_id)],
            Waiter(session, request.request_id),
            expires_ts=request.expires_ts,
            terms=b"" if terms is None else terms.record(row.order_id),
        )
        if terms is not None:
            self._terms_book.ask(row.order_id, pending.request_id, terms)
        return None

    def pause(self, session: Session, request: PauseAlgorithm) -> Reply | None:
        """Have an order rest."""
        return self._command(session, request, CommandKind.PAUSE, 0)

    def resume(self, session: Session, request: ResumeAlgorithm) -> Reply | None:
        """Let a paused order go on."""
        refuse_expired(request.expires_ts)
        return self._command(session, request, CommandKind.RESUME, request.expires_ts)

    def _command(
        self, session: Session, request: PauseAlgorithm | ResumeAlgorithm, kind: CommandKind, expires_ts: int
    ) -> Reply | None:
        row, asked = self._parent(session, request)
        self._dispatch.refuse_unless_listening()
        command = CommandFields(kind=kind, instrument=asked.instrument, account=asked.account)
        waiter = Waiter(session, request.request_id)
        self._dispatch.send(kind, row, [addressed(command, row.order_id)], waiter, expires_ts=expires_ts)
        return None

    def _parent(
        self, session: Session, request: AmendAlgorithm | PauseAlgorithm | ResumeAlgorithm
    ) -> tuple[LedgerRow, CommandFields]:
        """The client's order of that id, and the command that placed it."""
        row = self._own_orders.find(session.client, request.client_order_id, request.order_id)
        asked = command_fields(row.command)
        if asked.trigger != Trigger.ALGORITHM:
            raise RefusalError(
                Reason.NO_PARENT,
                f"no algorithm works order {row.client_order_id!r}: amend or cancel it as an order",
                self._own_orders.state(row),
            )
        return row, asked

    def _named(self, name: str) -> Algorithm:
        algorithm = self._terms_book.algorithms.get(name)
        if algorithm is None:
            known = ", ".join(self._terms_book.algorithms)
            raise RefusalError(Reason.BAD_ALGORITHM, f"unknown algorithm {name!r}: this session has {known}")
        return algorithm

    def _routes(self, algorithm: Algorithm, request: StartAlgorithm) -> tuple[str, list[int]]:
        """The symbol of the order's own instrument, and the other instruments in which the algorithm may trade."""
        canonical, _, venue = request.symbol.partition(".")
        is_canonical = canonical in canonical_groups(self._settings.instruments)
        if (request.venues or is_canonical) and not algorithm.several_venues:
            raise RefusalError(
                Reason.BAD_ALGORITHM, f"algorithm {algorithm.name} trades at one venue: name one instrument"
            )
        if is_canonical and not request.venues:
            try:
                own, *others = routes_of(self._settings.instruments, canonical, venue)
            except ValueError as error:
                raise RefusalError(Reason.UNKNOWN_INSTRUMENT, str(error)) from None
            return qualified_symbol(own), [each.id for each in others]
        return request.symbol, self._venues(request)

    def _venues(self, request: StartAlgorithm) -> list[int]:
        """The other instruments that a request names."""
        own, *others = (
            named_instrument(self._settings, self._definitions, symbol).id
            for symbol in (request.symbol, *request.venues)
        )
        if len({own, *others}) <= len(others):
            raise RefusalError(
                Reason.BAD_ALGORITHM,
                f"venues {', '.join(request.venues)} of {request.symbol}: name each instrument once, and the order's"
                " own not at all",
            )
        return others

    def _amended_terms(
        self, row: LedgerRow, parameters: Mapping[str, float | str], instrument: Instrument
    ) -> AlgorithmTerms:
        """An order's terms with other values of some parameters."""
        known = self._terms_book.of(row.order_id)
        algorithm = self._terms_book.algorithm_of(row.order_id)
        if known is None or algorithm is None:
            raise RefusalError(
                Reason.BAD_ALGORITHM,
                f"the algorithm of order {row.client_order_id!r} is not one of this session: cancel the order",
            )
        if self._dispatch.pending.get(self._terms_book.asked_by(row.order_id)) is not None:
            raise RefusalError(
                Reason.REQUEST_IN_FLIGHT,
                f"order {row.client_order_id!r} has an amend of its parameters under way: wait for its answer",
            )
        given = _exact(algorithm, parameters, instrument)
        values = _values(algorithm, {**self._terms_book.parameters_of(row.order_id), **given}, instrument)
        return AlgorithmTerms.of(algorithm, values, [route for route in known.routes if route >= 0])


def _exact(algorithm: Algorithm, given: Mapping[str, float | str], instrument: Instrument) -> dict[str, float]:
    try:
        return exact_parameters(algorithm, given, instrument)
    except (AlgorithmError, GridError) as error:
        raise RefusalError(Reason.BAD_PARAMETER, str(error)) from None


def _values(algorithm: Algorithm, given: Mapping[str, float | str], instrument: Instrument) -> list[float]:
    try:
        return algorithm.values(_exact(algorithm, given, instrument))
    except AlgorithmError as error:
        raise RefusalError(Reason.BAD_PARAMETER, str(error)) from None
