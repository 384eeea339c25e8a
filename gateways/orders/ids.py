"""Order ids of ours as text for an exchange, and ids of an exchange as our integers.

The text is ``zoms``, six characters that stand for the session's account, and the order id as thirteen digits to base
36: letters and digits only, 23 of them, which every venue that takes text takes (Binance: ``[.A-Z:/a-z0-9_-]{1,36}``;
OKX: 32 letters and digits). Its length is fixed, so that each order id has one text and no other text is one.
"""

from __future__ import annotations

import re
from hashlib import blake2b
from typing import Final

PREFIX: Final = "zoms"
OWNER_LENGTH: Final = 6
SHORT_PREFIX: Final = "z"
SHORT_OWNER_LENGTH: Final = 4
"""Where there is room for 18 characters only (Kraken)."""
NUMBER_LENGTH: Final = 13
"""Digits to base 36 of the largest int64."""

MOST: Final = 2**63 - 1

EXTERNAL: Final = 1 << 62
"""Bit of the ids that we give orders which were placed elsewhere: no client index comes so far."""
VENUE_ID_BITS: Final = 50
FOLDED: Final = 1 << (VENUE_ID_BITS - 1)
"""Bit of a venue's id that does not fit, of which bits of a digest stand in its place."""
INSTRUMENT_BITS: Final = 12

_DIGITS: Final = "0123456789abcdefghijklmnopqrstuvwxyz"
_DECIMAL: Final = re.compile(r"0|[1-9][0-9]{0,18}")
_OURS: Final = re.compile(
    rf"{PREFIX}[0-9a-z]{{{OWNER_LENGTH + NUMBER_LENGTH}}}$|"
    rf"^{SHORT_PREFIX}[0-9a-z]{{{SHORT_OWNER_LENGTH + NUMBER_LENGTH}}}$"
)


class ClientIds:
    """The client order ids of one account of ours.

    Parameters
    ----------
    owner
        What tells our orders from those of another installation on the same exchange account: the account's name.
    """

    prefix = PREFIX
    owner_length = OWNER_LENGTH

    def __init__(self, owner: str) -> None:
        length = self.owner_length
        tag = int.from_bytes(blake2b(owner.encode(), digest_size=8).digest(), "little") % 36**length
        self._head = self.prefix + _to_base_36(tag, length)
        self._pattern = re.compile(f"{self._head}([0-9a-z]{{{NUMBER_LENGTH}}})")

    def text(self, order_id: int) -> str:
        """What an order is called at the exchange; raises ``ValueError`` for an id that is no int64 above 0."""
        if not 0 < order_id <= MOST:
            raise ValueError(f"order id {order_id} must be 1 to {MOST}")
        return self._head + _to_base_36(order_id, NUMBER_LENGTH)

    def order_id(self, text: str) -> int | None:
        """The order that a client order id names; None when it is none of ours."""
        found = self._pattern.fullmatch(text)
        number = int(found[1], 36) if found else 0
        return number if 0 < number <= MOST else None


class ShortIds(ClientIds):
    """Client order ids of 18 characters."""

    prefix = SHORT_PREFIX
    owner_length = SHORT_OWNER_LENGTH


class IntegerIds(ClientIds):
    """Client order ids of a venue that takes whole numbers only (HTX's contracts: 1 to 2**63 - 1): our order ids.

    They do not tell one installation's orders from another's, so that only one may trade an account there.
    """

    def text(self, order_id: int) -> str:
        """As ``ClientIds.text``."""
        if not 0 < order_id <= MOST:
            raise ValueError(f"order id {order_id} must be 1 to {MOST}")
        return str(order_id)

    def order_id(self, text: str) -> int | None:
        """As ``ClientIds.order_id``."""
        number = int(text) if _DECIMAL.fullmatch(text) else 0
        return number if 0 < number <= MOST else None


def is_of_zoms(client_id: str) -> bool:
    """Whether a client order id is one that some session of zoms has given; none that is a whole number tells."""
    return _OURS.search(client_id) is not None


def ids_of(owner: str, *, are_integers: bool, are_short: bool = False) -> ClientIds:
    """The client order ids of one account of ours at a venue (``gateways.venues.Venue.has_integer_ids``)."""
    if are_integers:
        return IntegerIds(owner)
    return ShortIds(owner) if are_short else ClientIds(owner)


def ours_in(text: str) -> str:
    """The client order id of any account of ours that a text has in it, such as one that an exchange wants a prefix
    before (Gate: ``t-``); the text itself where there is none."""
    found = _OURS.search(text)
    return found[0] if found else text


def number_of(text: str | int, what: str = "id") -> int:
    """A venue's decimal id as int64, so that no two ids are one.

    Raises
    ------
    ValueError
        When it is not written as a plain whole number that an int64 holds.
    """
    given = str(text)
    if not _DECIMAL.fullmatch(given) or int(given) > MOST:
        raise ValueError(f"{what} {given!r} is no whole number from 0 to {MOST}")
    return int(given)


def external_order_id(instrument: int, key: int) -> int:
    """Our id of an order that was placed elsewhere: the same in every session, and never that of an order of ours.

    A venue's id that does not fit (OKX's have 61 bits) is folded: bits of its digest stand for it. So is that of a
    stop, which is less than 0 here.

    Raises
    ------
    ValueError
        When the instrument's number does not fit, or the venue's id is 0 or no int64.
    """
    if not 0 <= instrument < 1 << INSTRUMENT_BITS or not 0 < abs(key) <= MOST:
        raise ValueError(
            f"order {key} of instrument {instrument} was placed elsewhere, and no id of ours fits it: cancel it there"
        )
    fitting = key
    if not 0 < key < FOLDED:
        digest = blake2b(str(key).encode(), digest_size=8).digest()
        fitting = int.from_bytes(digest, "little") % FOLDED | FOLDED
    return EXTERNAL | instrument << VENUE_ID_BITS | fitting


def is_external(order_id: int) -> bool:
    """Whether it is one of ``external_order_id``'s."""
    return bool(order_id & EXTERNAL)


def venue_id_of(order_id: int) -> int:
    """The venue's id in one of ``external_order_id``'s; 0: it is none, or a folded one."""
    return order_id & (FOLDED - 1) if is_external(order_id) and not order_id & FOLDED else 0


def _to_base_36(number: int, length: int) -> str:
    digits = []
    for _ in range(length):
        number, digit = divmod(number, 36)
        digits.append(_DIGITS[digit])
    return "".join(reversed(digits))
