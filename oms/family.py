"""The processes of a session: which there are, in which order they start and stop, and which it cannot do without.

A process is known by its role and, where a live session has one for each venue, by the venue too: ``orders.okx``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from oms.config import Settings

FAMILIES: Final = {
    "paper": ("core", "recorder", "rpc", "gateway"),
    "firm": ("core", "recorder", "rpc", "gateway", "orders"),
}
"""The roles of each mode, in the order in which they start. They get ready side by side; a gateway sends its first tick
when the core and the recorder have subscribed, which they do when they are ready."""

OF_VENUES: Final = frozenset({"gateway", "orders"})
"""Of these a live session has one process for each venue."""

BEHIND: Final = {"orders": "core"}
"""A process that starts when another one is ready, and ends when that ends: it begins with what that has rebuilt."""

STOP_ORDER: Final = ("orders", "gateway", "rpc", "core", "recorder")
INDISPENSABLE: Final = frozenset({"core", "gateway", "orders"})
"""Without one of these the session ends, of the processes of venues without those of the last venue; without another
one it goes on, and says so."""

STOP_GRACE_S: Final = {"orders": 20.0}
"""From SIGTERM to SIGKILL, where that is longer than the policy's: it has orders to cancel at the exchange."""


def family_of(settings: Settings) -> tuple[str, ...]:
    """The names of a session's processes, in the order in which they start."""
    names: list[str] = []
    for role in FAMILIES[settings.mode]:
        of_venues = settings.is_live and role in OF_VENUES
        names += [f"{role}.{venue}" for venue in settings.venues] if of_venues else [role]
    return tuple(names)


def role_and_venue(name: str) -> tuple[str, str]:
    """The two parts of a process's name; the venue is empty where the role has one process only."""
    role, _, venue = name.partition(".")
    return role, venue
