"""What algorithms work orders, and by which terms: known to this server, kept in the ledger, mended from the journal.

No event of the core says it. The terms of an order are in the ledger before the order is sent, and are changed there
once the core has taken their amend. What was changed while this server did not listen is in the core's own rows of
parent orders, which the journal holds.
"""

from __future__ import annotations

from collections.abc import Mapping
from hashlib import sha256
from struct import Struct
from typing import Final, NamedTuple

import numpy as np

from oms.algorithms import Algorithm, name_number
from oms.journal_format import Entry
from oms.record_fields import EventFields
from oms.records import PARENT_PARAMETERS, ROUTES, TERMS, EventKind, RecordKind
from rpc.ledger import Ledger, LedgerError

_STRUCT: Final = Struct(f"<qq{PARENT_PARAMETERS}d{ROUTES}i")
assert _STRUCT.size == TERMS.itemsize
_AMENDED: Final = int(EventKind.HELD_AMENDED)
_REFUSED: Final = int(EventKind.ORDER_REFUSED)
MOST_KNOWN: Final = 10_000
"""Terms kept at hand; others are read from the ledger."""


class AlgorithmTerms(NamedTuple):
    """A TERMS record, whatever order it is of."""

    algorithm: int
    parameters: tuple[float, ...]
    """``PARENT_PARAMETERS`` of them."""
    routes: tuple[int, ...]
    """``ROUTES`` instruments beside the order's own; -1: none."""

    @classmethod
    def of(cls, algorithm: Algorithm, values: list[float], venues: list[int]) -> AlgorithmTerms:
        """Terms by an algorithm's values in the order of their numbers, and the other instruments."""
        parameters = (*values, *(0.0 for _ in range(PARENT_PARAMETERS - len(values))))
        routes = (*venues, *(-1 for _ in range(ROUTES - len(venues))))
        return cls(algorithm.id, parameters, routes)

    def record(self, order_id: int) -> bytes:
        """The bytes of a TERMS record."""
        return _STRUCT.pack(order_id, self.algorithm, *self.parameters, *self.routes)

    @property
    def digest(self) -> int:
        """A number that stands for these terms, above 0: a command that has it in ``value`` is of no others."""
        return (int.from_bytes(sha256(self.record(0)).digest()[:8], "little") >> 2) + 1


def read_terms(record: bytes) -> AlgorithmTerms:
    """The terms in a TERMS record's bytes."""
    _, algorithm, *values = _STRUCT.unpack(record)
    return AlgorithmTerms(algorithm, tuple(values[:PARENT_PARAMETERS]), tuple(values[PARENT_PARAMETERS:]))


class _Asked(NamedTuple):
    request_id: int
    terms: AlgorithmTerms


class TermsBook:
    """The terms of parent orders.

    Parameters
    ----------
    algorithms : mapping of str to Algorithm
        Those of the session, by name.

    Attributes
    ----------
    failed_writes : int
        Amended terms that the ledger did not take; until it does, a restart finds them in the journal.
    """

    def __init__(self, ledger: Ledger, algorithms: Mapping[str, Algorithm]) -> None:
        self.algorithms = algorithms
        self.failed_writes = 0
        self._ledger = ledger
        self._by_id = {algorithm.id: algorithm for algorithm in algorithms.values()}
        self._names = {name_number(algorithm.id): name for name, algorithm in algorithms.items()}
        self._known: dict[int, AlgorithmTerms] = {}
        self._asked: dict[int, _Asked] = {}
        self._told: dict[int, bytes] = {}

    def of(self, order_id: int) -> AlgorithmTerms | None:
        """The terms of an order; None: they are not known."""
        known = self._known.get(order_id)
        if known is None:
            record = self._ledger.terms(order_id)
            known = self._remember(order_id, read_terms(record)) if record is not None else None
        return known

    def algorithm_of(self, order_id: int) -> Algorithm | None:
        """The algorithm that works an order; None: it is not known, or not of this session, or of another version."""
        known = self.of(order_id)
        return self._by_id.get(known.algorithm) if known is not None else None

    def name_of(self, order_id: int) -> str | None:
        """The name of the algorithm that works an order, of whichever version; None as ``algorithm_of``."""
        known = self.of(order_id)
        return self._names.get(name_number(known.algorithm)) if known is not None else None

    def parameters_of(self, order_id: int) -> dict[str, float]:
        """The parameters by which an order is worked, as far as they are known."""
        known = self.of(order_id)
        algorithm = self.algorithm_of(order_id)
        return dict(zip(algorithm.parameters, known.parameters, strict=False)) if known and algorithm else {}

    def _remember(self, order_id: int, terms: AlgorithmTerms) -> AlgorithmTerms:
        if len(self._known) >= MOST_KNOWN:
            self._known.clear()
        self._known[order_id] = terms
        return terms

    def put(self, order_id: int, terms: AlgorithmTerms) -> None:
        """Keep the terms of a new order, with whatever the ledger commits next.

        Raises
        ------
        LedgerError
            When the disk refuses.
        """
        self._ledger.keep_terms([(order_id, terms.record(order_id))])
        self._remember(order_id, terms)

    def asked_by(self, order_id: int) -> int:
        """Request id of the last command that asked for other terms, where the core has not answered it; else 0."""
        asked = self._asked.get(order_id)
        return asked.request_id if asked is not None else 0

    def ask(self, order_id: int, request_id: int, terms: AlgorithmTerms) -> None:
        """Note that the command ``request_id`` asks for other terms of an order."""
        self._asked.pop(order_id, None)
        if len(self._asked) >= MOST_KNOWN:
            del self._asked[next(iter(self._asked))]
        self._asked[order_id] = _Asked(request_id, terms)

    def settle(self, event: EventFields) -> None:
        """Take an event of the core: it may be the answer to what was asked."""
        asked = self._asked.get(event.order_id)
        if asked is None or asked.request_id != event.request_id or event.kind not in (_AMENDED, _REFUSED):
            return
        del self._asked[event.order_id]
        if event.kind == _AMENDED:
            self._remember(event.order_id, asked.terms)
            try:
                self._ledger.keep_terms([(event.order_id, asked.terms.record(event.order_id))])
            except LedgerError:
                self.failed_writes += 1

    # From the journal

    def take(self, entry: Entry) -> None:
        """Take one entry of the journal, whatever it is: the core's rows of parent orders say their terms."""
        if entry.kind != RecordKind.PARENT:
            return
        rows = entry.records
        terms = np.zeros(len(rows), TERMS)
        for name in ("order_id", "algorithm", "parameters"):
            terms[name] = rows[name]
        terms["routes"] = -1
        terms["routes"][:, : ROUTES - 1] = rows["routes"][:, 1:]  # the first is the order's own
        self._told.update((int(each["order_id"]), each.tobytes()) for each in terms)

    def give(self) -> None:
        """Give the ledger what was taken since the last call; raises ``LedgerError`` when it cannot be written."""
        told, self._told = self._told, {}
        changed = [(order_id, record) for order_id, record in told.items() if self._ledger.terms(order_id) != record]
        if changed:
            self._ledger.keep_terms(changed)
            self._ledger.commit()
