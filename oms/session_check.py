"""Whether a session of an account comes out of its journal as it was: what ``zoms replay`` does.

A replay begins with the session's first snapshot, or with what the sessions before come to. Its output is compared with
what the journal holds, its state with each later snapshot and with the one that the next session began with.
"""

from __future__ import annotations

import time

import msgspec

from oms.config import Settings
from oms.core.state import State, new_state
from oms.durable import begin_session, differences
from oms.journal_format import JournalError, place_of, session_of
from oms.journal_segments import sessions
from oms.recovery import carry_definitions
from oms.replay import NO_END, Replay, Replayed
from oms.replay_all import WholeReplay
from oms.snapshot import Place, Snapshot, read_snapshot, restore, session_of_snapshot, snapshots


class Checked(msgspec.Struct, kw_only=True):
    """What a replay came to."""

    session: int
    inputs: str
    """``orders`` or ``all``: what the journal holds of the inputs."""
    began_with: str = ""
    """The snapshot that the replay began with; empty: the first session's beginning."""
    sessions: int = 0
    records: int = 0
    events: int = 0
    requests: int = 0
    reports: int = 0
    unfinished: int = 0
    """Requests and reports at a session's end whose events were never written; they had no effect."""
    torn_bytes: int = 0
    closed: bool = False
    elapsed_s: float = 0.0
    check_s: float = 0.0
    apply_s: float = 0.0
    compared: list[str] = []
    """Snapshots that the state was compared with."""
    differences: list[str] = []
    """Where the state is not what a snapshot holds."""

    def add(self, done: Replayed) -> None:
        self.records += done.records
        self.events += done.events
        self.requests += done.requests
        self.reports += done.reports
        self.check_s += done.check_s
        self.apply_s += done.apply_s
        self.unfinished += done.unfinished
        self.torn_bytes += done.torn.size if done.torn else 0
        self.closed = done.closed


class SessionCheck:
    """Replays one session of an account.

    Parameters
    ----------
    settings : Settings
    assembled : array of STATE, shape (1,)
        As the settings define it, with their strategies and exchange model. It is used up.
    session : int or None
        None: the newest.

    Raises
    ------
    JournalError, SnapshotError
        When there is no such session, or nothing that its replay can begin with.
    """

    def __init__(self, settings: Settings, assembled: State, session: int | None = None) -> None:
        self._folder = settings.journal_dir
        left = sessions(self._folder)
        if not left:
            raise JournalError(f"there is no journal in {self._folder}: no session of this account has run yet")
        self._sessions = [session_of(path) for path in left]
        self.session = self._sessions[-1] if session is None else session
        if self.session not in self._sessions:
            known = ", ".join(map(str, self._sessions))
            raise JournalError(f"there is no journal of session {session} in {self._folder}: there are {known}")
        self._snapshots = sorted(snapshots(settings.snapshot_dir))
        base = self._base()
        self._whole = base is not None and base.whole
        self.st = assembled if self._whole else new_state()
        if base is not None:
            restore(self.st, base, definitions=True)
            self._place = base.place
        else:
            carry_definitions(self.st, assembled)
            first = place_of(left[0])
            if first is not None and first[1]:
                raise JournalError(f"journal {left[0]} has no segments before it, and no snapshot covers them")
            self._place = Place(self._sessions[0], 0, 0, 0)
        self.checked = Checked(
            session=self.session,
            inputs="all" if self._whole else "orders",
            began_with=base.path.name if base is not None else "",
        )

    def _base(self) -> Snapshot | None:
        """The session's first snapshot; otherwise the newest one of those before."""
        own = [path for path in self._snapshots if session_of_snapshot(path) == self.session]
        before = [path for path in self._snapshots if session_of_snapshot(path) < self.session]
        chosen = own[0] if own else before[-1] if before else None
        return read_snapshot(chosen) if chosen is not None else None

    def run(self) -> Checked:
        """Replay to the session's end.

        Raises
        ------
        JournalError
            When the journal is damaged, or its output does not come out as it is there.
        SnapshotError
            When a snapshot does not verify.
        """
        start = time.perf_counter()
        for session in [each for each in self._sessions if self._place.session <= each <= self.session]:
            if session != self._place.session:
                begin_session(self.st, session)
                self._place = Place(session, 0, 0, 0)
            self.checked.sessions += 1
            for path in [each for each in self._snapshots if session_of_snapshot(each) == session]:
                snapshot = read_snapshot(path)
                if snapshot.place.number > self._place.number:
                    self._go_on(snapshot.place.number)
                    self._compare(snapshot)
            self._go_on(NO_END)
        self._compare_next()
        self.checked.elapsed_s = time.perf_counter() - start
        return self.checked

    def _go_on(self, until: int) -> None:
        place = self._place
        if self._whole:
            done = WholeReplay(self.st).session(self._folder, place.session, place.number, until)
        else:
            done = Replay(self.st).session(self._folder, place.session, place.number, place.event_seq, until)
        self.checked.add(done)
        self._place = Place(place.session, done.segment, done.number, done.event_seq)

    def _compare(self, snapshot: Snapshot) -> None:
        other = new_state()
        restore(other, snapshot, definitions=True)
        self.checked.compared.append(snapshot.path.name)
        self.checked.differences += [
            f"{name}[{at}] is {theirs} in {snapshot.path.name}, {ours} in the replay"
            for name, at, ours, theirs in differences(self.st, other, every_input=self._whole)
        ]

    def _compare_next(self) -> None:
        """The snapshot that the next session began with, when it began with the same definitions."""
        later = [path for path in self._snapshots if session_of_snapshot(path) > self.session]
        own = [path for path in self._snapshots if session_of_snapshot(path) == self.session]
        if not later or not own or self._whole:
            return
        following = read_snapshot(later[0])
        is_next = [each for each in self._sessions if each > self.session][:1] == [following.place.session]
        if is_next and not following.place.number and following.definitions == read_snapshot(own[0]).definitions:
            begin_session(self.st, following.place.session)
            self._compare(following)
