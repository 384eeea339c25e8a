"""The supervisor with real child processes: order of start and stop, restarts, watchdog, lock, no orphans."""

from __future__ import annotations

import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import zmq

import oms.supervisor
from oms.bus import Puller, new_context
from oms.child import Child, ChildState, exit_text
from oms.config import Settings, load_settings, write_session
from oms.family import FAMILIES
from oms.lifecycle import decode_heartbeat
from oms.lock import AccountLock, LockError, holder
from oms.records import RecordKind
from oms.supervisor import Policy, Supervisor
from tests.firm.settings import BOTH, firm_settings

FAMILY = FAMILIES["paper"]
FAMILY_SCRIPT = Path(__file__).with_name("family.py")
DEADLINE_S = 30.0
GATEWAY, ORDERS = "gateway.binance_usdm", "orders.binance_usdm"
IMPATIENT = Policy(backoff_s=0.01, max_backoff_s=0.02, stop_grace_s=1.0, max_quick_failures=3)


def make_settings(folder: Path, watchdog_s: float = 20.0) -> Settings:
    return load_settings(
        overrides={
            "data_dir": os.fspath(folder),
            "heartbeat_s": 0.05,
            "watchdog_s": watchdog_s,
            "replay": {"file": "x.gz"},
            "strategies": [],
        }
    )


@contextmanager
def family(
    folder: Path,
    policy: Policy = IMPATIENT,
    watchdog_s: float = 20.0,
    settings: Settings | None = None,
    **behaviours: str,
) -> Iterator[Supervisor]:
    """A started supervisor whose children behave as named (``core="crash"``), or well."""
    settings = settings or make_settings(folder, watchdog_s)

    def command(name: str, session: Path) -> list[str]:
        return [sys.executable, os.fspath(FAMILY_SCRIPT), name, os.fspath(session), behaviours.get(name, "well")]

    with Supervisor(settings, command=command, policy=policy) as supervisor:
        supervisor.start()
        yield supervisor


def step_until(supervisor: Supervisor, condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + DEADLINE_S
    while not condition():
        assert time.monotonic() < deadline, [line.text for line in supervisor.log]
        supervisor.step(1.0)


def all_ready(supervisor: Supervisor) -> bool:
    return all(child.health == "ready" for child in supervisor.children.values())


def texts(supervisor: Supervisor) -> list[str]:
    return [line.text for line in supervisor.log]


def test_family_is_complete_when_all_are_ready(tmp_path: Path) -> None:
    with family(tmp_path) as supervisor:
        assert not supervisor.complete
        step_until(supervisor, lambda: supervisor.complete)
        assert all_ready(supervisor)


def test_family_stops_in_order_and_leaves_nothing(tmp_path: Path) -> None:
    with family(tmp_path) as supervisor:
        step_until(supervisor, lambda: all_ready(supervisor))
        pids = {name: child.pid for name, child in supervisor.children.items()}
        gone: list[str] = []
        supervisor.request_stop("test")
        while supervisor.running:
            supervisor.step(1.0)
            gone += [name for name in FAMILY if not supervisor.children[name].running and name not in gone]
        assert gone == ["gateway", "rpc", "core", "recorder"]
        assert all(child.state is ChildState.STOPPED for child in supervisor.children.values())
        assert supervisor.failure == ""
    assert not any(Path(f"/proc/{pid}").exists() for pid in pids.values())
    assert not [path for path in supervisor.settings.socket_dir.iterdir() if path.is_socket()]
    assert holder(supervisor.settings) == 0


@pytest.mark.parametrize("victim", FAMILY)
def test_killed_process_is_restarted_and_the_others_live(tmp_path: Path, victim: str) -> None:
    with family(tmp_path) as supervisor:
        step_until(supervisor, lambda: all_ready(supervisor))
        before = {name: child.pid for name, child in supervisor.children.items()}
        os.kill(before[victim], signal.SIGKILL)
        step_until(supervisor, lambda: supervisor.restarts == 1 and all_ready(supervisor))
        after = {name: child.pid for name, child in supervisor.children.items()}
        assert {name for name in FAMILY if before[name] != after[name]} == {victim}
        assert f"{victim} ended: killed by SIGKILL" in texts(supervisor)


def test_each_venue_has_processes_of_its_own_and_orders_are_between_start_and_end_of_the_core(tmp_path: Path) -> None:
    settings = firm_settings(tmp_path, served=BOTH, heartbeat_s=0.05)
    gateways, orders = [f"gateway.{name}" for name in settings.venues], [f"orders.{name}" for name in settings.venues]
    with family(tmp_path, settings=settings) as supervisor:
        assert list(supervisor.children) == ["core", "recorder", "rpc", *gateways, *orders]
        step_until(supervisor, lambda: all_ready(supervisor))
        said = texts(supervisor)
        (ready,) = [at for at, text in enumerate(said) if text.startswith("core ready")]
        started = [at for at, text in enumerate(said) if text.startswith("orders.") and "started" in text]
        assert len(started) == 2
        assert ready < min(started)
        gone: list[str] = []
        supervisor.request_stop("test")
        while supervisor.running:
            supervisor.step(1.0)
            gone += [name for name in supervisor.children if not supervisor.children[name].running and name not in gone]
        assert [sorted(gone[:2]), sorted(gone[2:4]), gone[4:]] == [orders, gateways, ["rpc", "core", "recorder"]]
        at_once = [supervisor.children[name].terminated_at for name in orders]
        assert max(at_once) - min(at_once) < 0.5, "one does not wait for the other"


@pytest.mark.parametrize(("victim", "kind"), [(ORDERS, RecordKind.REPORT), (GATEWAY, RecordKind.TICK)])
def test_core_is_told_of_a_venue_whose_process_has_ended(tmp_path: Path, victim: str, kind: RecordKind) -> None:
    settings = firm_settings(tmp_path, heartbeat_s=0.05)
    context = new_context()
    with family(tmp_path, settings=settings) as supervisor:
        core = Puller(context, settings.core_endpoint)
        step_until(supervisor, lambda: all_ready(supervisor))
        before = {name: child.pid for name, child in supervisor.children.items()}
        os.kill(before[victim], signal.SIGKILL)
        step_until(supervisor, lambda: supervisor.restarts == 1 and all_ready(supervisor))
        assert [name for name, child in supervisor.children.items() if child.pid != before[name]] == [victim]
        assert core.socket.poll(DEADLINE_S * 1000)
        frame = core.receive()
        assert frame is not None
        assert frame.header.kind == kind
        assert frame.records["instrument"].tolist() == [settings.instrument("BTCUSDT.binance_usdm").id]
        core.close()
    context.destroy(linger=0)


def test_orders_are_started_anew_behind_a_core_that_has_died(tmp_path: Path) -> None:
    with family(tmp_path, settings=firm_settings(tmp_path, heartbeat_s=0.05)) as supervisor:
        step_until(supervisor, lambda: all_ready(supervisor))
        core, orders = supervisor.children["core"], supervisor.children[ORDERS]
        before = orders.pid
        os.kill(core.pid, signal.SIGKILL)
        step_until(supervisor, lambda: orders.restarts == 1 and all_ready(supervisor))
        assert orders.pid != before
        assert orders.started_at > core.ready_at
        assert orders.carried["core_ended"] == 1, "it is not the session that ends"
        supervisor.request_stop("test")
        supervisor.run_until_stopped()
        assert orders.last_counter("core_ended") == 0
        assert supervisor.failure == ""


def test_orders_that_do_not_end_with_the_core_are_killed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(oms.supervisor, "STOP_GRACE_S", {})
    settings = firm_settings(tmp_path, heartbeat_s=0.05)
    policy = IMPATIENT._replace(stop_grace_s=0.1)
    with family(tmp_path, policy, settings=settings, **{ORDERS: "stubborn"}) as supervisor:
        step_until(supervisor, lambda: all_ready(supervisor))
        os.kill(supervisor.children["core"].pid, signal.SIGKILL)
        step_until(supervisor, lambda: supervisor.children[ORDERS].restarts == 1 and all_ready(supervisor))
        assert f"{ORDERS} has not stopped within 0.1 s: killing it" in texts(supervisor)


def test_counters_of_a_restarted_process_go_on(tmp_path: Path) -> None:
    with family(tmp_path) as supervisor:
        core = supervisor.children["core"]
        step_until(supervisor, lambda: all_ready(supervisor))
        assert core.counter("ticks") == 10
        os.kill(core.pid, signal.SIGKILL)
        step_until(supervisor, lambda: supervisor.restarts == 1 and core.health == "ready")
        assert core.counter("ticks") == 20


def test_last_heartbeat_of_a_stopped_process_is_taken(tmp_path: Path) -> None:
    with family(tmp_path) as supervisor:
        step_until(supervisor, lambda: all_ready(supervisor))
        supervisor.request_stop("test")
        supervisor.run_until_stopped()
        assert [child.counter("ticks") for child in supervisor.children.values()] == [11.0] * len(FAMILY)


def test_process_that_crashes_at_once_is_given_up_with_its_words(tmp_path: Path) -> None:
    with family(tmp_path, core="crash") as supervisor:
        step_until(supervisor, lambda: not supervisor.running)
        assert "core failed 3 times in a row: core ended: exit status 3" in supervisor.failure
        assert "core: cannot go on, for this test" in supervisor.failure
        assert supervisor.children["core"].state is ChildState.FAILED


def test_process_with_unusable_settings_is_given_up_on_at_once(tmp_path: Path) -> None:
    with family(tmp_path, gateway="unusable") as supervisor:
        step_until(supervisor, lambda: not supervisor.running)
        assert supervisor.failure.startswith("gateway failed: gateway ended: exit status 2: gateway: cannot go on")
        assert supervisor.restarts == 0


def test_core_on_a_full_disk_ends_the_session_in_order_with_the_reason_and_the_remedy(tmp_path: Path) -> None:
    with family(tmp_path, core="full") as supervisor:
        log = supervisor.settings.run_dir / "supervisor.log"
        log.unlink()
        log.symlink_to("/dev/full")
        step_until(supervisor, lambda: not supervisor.running)
        assert supervisor.failure.startswith("core failed: core ended: exit status 74, the disk is full; free space")
        assert supervisor.restarts == 0
        stopped = [child.state for name, child in supervisor.children.items() if name != "core"]
        assert stopped == [ChildState.STOPPED] * 3


def test_session_goes_on_without_a_dispensable_process(tmp_path: Path) -> None:
    with family(tmp_path) as supervisor:
        rpc = supervisor.children["rpc"]
        step_until(supervisor, lambda: supervisor.complete)
        rpc.command[-1] = "crash"
        os.kill(rpc.pid, signal.SIGKILL)
        step_until(supervisor, lambda: rpc.state is ChildState.FAILED)
        assert not supervisor.stopping
        assert texts(supervisor)[-1].endswith("the session goes on without it")


def test_session_goes_on_without_a_venue_as_long_as_there_is_another(tmp_path: Path) -> None:
    with family(tmp_path, settings=firm_settings(tmp_path, served=BOTH, heartbeat_s=0.05)) as supervisor:
        venue, other = supervisor.settings.venues
        step_until(supervisor, lambda: supervisor.complete)

        def give_up(name: str) -> None:
            child = supervisor.children[name]
            child.command[-1] = "crash"
            os.kill(child.pid, signal.SIGKILL)
            step_until(supervisor, lambda: child.state is ChildState.FAILED)

        give_up(f"orders.{venue}")
        assert not supervisor.stopping
        assert texts(supervisor)[-1].endswith(f"the session goes on without {venue}")
        give_up(f"gateway.{venue}")
        assert not supervisor.stopping
        give_up(f"gateway.{other}")
        assert supervisor.failure.startswith(f"gateway.{other} failed")


def test_silent_process_is_killed_and_restarted(tmp_path: Path) -> None:
    with family(tmp_path, watchdog_s=0.5, recorder="silent") as supervisor:
        recorder = supervisor.children["recorder"]
        step_until(supervisor, lambda: recorder.restarts >= 1)
        assert "recorder has been silent for over 0.5 s: killing it" in texts(supervisor)


def test_compiling_process_may_be_silent(tmp_path: Path) -> None:
    with family(tmp_path, watchdog_s=0.5, core="compiling") as supervisor:
        core = supervisor.children["core"]
        step_until(supervisor, lambda: core.health == "ready" or core.restarts > 0)
        assert core.restarts == 0


def test_finished_gateway_is_not_started_again(tmp_path: Path) -> None:
    with family(tmp_path, gateway="done") as supervisor:
        gateway = supervisor.children["gateway"]
        step_until(supervisor, lambda: gateway.state is ChildState.STOPPED)
        assert gateway.restarts == 0
        assert not supervisor.stopping


def test_process_that_ignores_the_request_to_stop_is_killed(tmp_path: Path) -> None:
    with family(tmp_path, rpc="stubborn") as supervisor:
        step_until(supervisor, lambda: all_ready(supervisor))
        supervisor.request_stop("test")
        step_until(supervisor, lambda: not supervisor.running)
        assert "rpc has not stopped within 1 s: killing it" in texts(supervisor)


def test_interrupt_stops_the_family_and_a_third_one_kills_it(tmp_path: Path) -> None:
    with family(tmp_path, policy=IMPATIENT._replace(stop_grace_s=600.0), gateway="stubborn") as supervisor:
        step_until(supervisor, lambda: all_ready(supervisor))
        with supervisor.signals():
            os.kill(os.getpid(), signal.SIGINT)
            step_until(supervisor, lambda: supervisor.stopping)
            assert supervisor.stop_reason == "asked to"
            os.kill(os.getpid(), signal.SIGINT)
            step_until(supervisor, lambda: not supervisor.children["core"].running)
            assert supervisor.children["gateway"].running
            os.kill(os.getpid(), signal.SIGINT)
            step_until(supervisor, lambda: not supervisor.running)


def test_second_session_of_the_account_is_refused(tmp_path: Path) -> None:
    with family(tmp_path) as supervisor:
        settings = supervisor.settings
        assert holder(settings) == os.getpid()
        with pytest.raises(LockError, match=f"account 'paper' is in use by process {os.getpid()}: stop it"):
            Supervisor(settings)


def test_lock_outlives_its_supervisor_until_the_last_process_has_gone(tmp_path: Path) -> None:
    settings = make_settings(tmp_path)
    lock = AccountLock(settings)
    held_by_child = subprocess.Popen(
        [sys.executable, "-c", "import sys; sys.stdin.read()"], stdin=subprocess.PIPE, pass_fds=(lock.descriptor,)
    )
    dead = subprocess.run(["sh", "-c", "echo $$"], stdout=subprocess.PIPE, check=True, text=True).stdout
    os.pwrite(lock.descriptor, dead.encode(), 0)
    os.close(lock.descriptor)
    with pytest.raises(LockError, match="still in use by processes of an earlier session"):
        AccountLock(settings, wait_s=0.1)
    held_by_child.communicate()
    AccountLock(settings, wait_s=0.1).release()


RUN_FAMILY = """
import os, sys
from pathlib import Path
from oms.config import read_session
from oms.supervisor import Supervisor
session = Path(sys.argv[1])
command = lambda name, session: [sys.executable, sys.argv[2], name, str(session), "hung" if name == "core" else "well"]
supervisor = Supervisor(read_session(session), command=command)
supervisor.start()
while True:
    supervisor.step(1.0)
    children = supervisor.children.values()
    if all(child.health == "ready" for child in children):
        print(*(child.pid for child in children), flush=True)
"""


def test_children_end_when_the_supervisor_is_killed_even_a_hung_one(tmp_path: Path) -> None:
    session_file = write_session(make_settings(tmp_path))
    command = [sys.executable, "-c", RUN_FAMILY, os.fspath(session_file), os.fspath(FAMILY_SCRIPT)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        descriptors = [os.pidfd_open(int(pid)) for pid in parent.stdout.readline().split()]
        assert len(descriptors) == len(FAMILY)
        parent.kill()
    for descriptor in descriptors:
        ended, _, _ = select.select([descriptor], [], [], DEADLINE_S)
        os.close(descriptor)
        assert ended


def test_heartbeats_are_published_on_with_the_supervisors_own(tmp_path: Path) -> None:
    with family(tmp_path) as supervisor:
        context = new_context()
        status = context.socket(zmq.SUB)
        status.subscribe(b"")
        status.connect(supervisor.settings.status_endpoint)
        heard: set[str] = set()

        def everyone_heard() -> bool:
            while status.poll(0):
                heartbeat = decode_heartbeat(status.recv())
                assert heartbeat is not None
                heard.add(heartbeat.process)
            return heard == {*FAMILY, "supervisor"}

        step_until(supervisor, everyone_heard)
        context.destroy(linger=0)


def test_garbage_on_the_heartbeat_socket_is_passed_over(tmp_path: Path) -> None:
    with family(tmp_path) as supervisor:
        context = new_context()
        pusher = context.socket(zmq.PUSH)
        pusher.connect(supervisor.settings.heartbeat_endpoint)
        for garbage in (b"", b"\xff" * 40, b"\x80"):
            pusher.send(garbage)
        step_until(supervisor, lambda: all_ready(supervisor))
        context.destroy(linger=0)


def test_log_is_bounded_and_its_last_words_are_of_this_start(tmp_path: Path) -> None:
    log_path = tmp_path / "core.log"
    log_path.write_bytes(b"old words\n" * 200_000)
    child = Child("core", [sys.executable, "-c", "import sys; sys.exit('new words')"], log_path)
    descriptor = os.open(os.devnull, os.O_RDONLY)
    child.start(descriptor)
    os.close(descriptor)
    select.select([child.pid_descriptor], [], [], DEADLINE_S)
    assert child.reap() == 1
    assert child.last_words() == "new words"
    assert log_path.stat().st_size < 100
    assert (tmp_path / "core.log.1").stat().st_size <= 1 << 20


def test_exit_status_reads_as_words() -> None:
    assert exit_text(2) == "exit status 2"
    assert exit_text(-9) == "killed by SIGKILL"
    assert exit_text(-64) == "killed by SIGRTMAX"
    assert exit_text(-50) == "killed by signal 50"
