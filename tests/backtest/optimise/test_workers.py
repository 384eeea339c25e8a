"""Worker processes: jobs run elsewhere, errors and deaths become outcomes, nothing is left running."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from backtest.optimise.errors import OptimiseError
from backtest.optimise.evaluate import Job, Outcome
from backtest.optimise.folds import Part
from backtest.optimise.workers import Opener, Pool, cores, new_pool
from tests.backtest.optimise.tasks import Fake, NotToOpen, die_at_3, fail_above_5, hang_at_3, valley, where

PARTS = (Part(0, 10),)


@contextmanager
def pool_of(task: Opener, size: int, timeout_s: float = 0.0) -> Iterator[Pool]:
    pool = new_pool(task, size, timeout_s=timeout_s)
    try:
        yield pool
    finally:
        pool.close()


def job(spread: float) -> Job:
    return Job({"half_spread_ticks": spread}, PARTS)


def results(pool: Pool, count: int) -> dict[int, Outcome]:
    for number in range(count):
        pool.submit(number, job(number))
    return dict(pool.take() for _ in range(count))


def test_jobs_run_in_as_many_processes_as_there_are_workers_and_keep_them() -> None:
    with pool_of(Fake(where), 2) as pool:
        pids = {outcome.figures["pid"] for outcome in results(pool, 12).values()}
    assert 1 <= len(pids) <= 2
    assert os.getpid() not in pids


def test_every_job_comes_back_with_its_own_outcome() -> None:
    with pool_of(Fake(valley), 2) as pool:
        assert results(pool, 9) == {number: valley(job(number)) for number in range(9)}


def test_error_of_a_job_is_its_failure_and_the_worker_goes_on() -> None:
    with pool_of(Fake(fail_above_5), 1) as pool:
        done = results(pool, 8)
    assert [done[number].failure for number in (5, 6, 7)] == ["", *2 * ["ValueError: nothing can be done"]]


def test_job_that_kills_its_worker_has_failed_and_the_others_are_run() -> None:
    with pool_of(Fake(die_at_3), 2) as pool:
        done = results(pool, 8)
    assert done[3].failure == "its worker process was killed by SIGKILL"
    assert [done[number] for number in (0, 1, 2, 4, 5, 6, 7)] == [valley(job(at)) for at in (0, 1, 2, 4, 5, 6, 7)]


@pytest.mark.parametrize("size", [1, 2])
def test_job_that_runs_too_long_has_failed_and_the_others_are_run(size: int) -> None:
    with pool_of(Fake(hang_at_3), size, timeout_s=0.5) as pool:
        done = results(pool, 8)
    assert done[3].failure == "it ran longer than 0.5 s and was ended"
    assert [done[number] for number in (0, 1, 2, 4, 5, 6, 7)] == [valley(job(at)) for at in (0, 1, 2, 4, 5, 6, 7)]


def test_getting_ready_is_not_in_a_jobs_time() -> None:
    with pool_of(Fake(valley), 1, timeout_s=0.01) as pool:  # a process needs longer than that to start
        pool.submit(0, job(1))
        assert pool.take() == (0, valley(job(1)))


def test_jobs_on_other_machines_have_no_time_limit() -> None:
    with pytest.raises(OptimiseError, match="a trial's time can be limited on this machine only, not with Ray"):
        new_pool(Fake(valley), 0, "auto", timeout_s=1.0)


def test_task_that_cannot_be_opened_ends_everything_with_its_reason() -> None:
    with pool_of(NotToOpen(), 1) as pool:
        pool.submit(0, job(1))
        with pytest.raises(OptimiseError, match="ValueError: the door is locked"):
            pool.take()


def test_closing_ends_the_processes_in_the_middle_of_their_work() -> None:
    with pool_of(Fake(where), 1) as pool:
        pid = int(results(pool, 1)[0].figures["pid"])
        for number in range(50):
            pool.submit(number, job(number))
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)


def test_there_is_a_worker_for_each_core_unless_it_is_said() -> None:
    with pool_of(Fake(valley), 0) as pool:
        assert pool.size == cores()
    with pytest.raises(OptimiseError, match="-1 workers are too few"):
        new_pool(Fake(valley), -1)


def test_ray_runs_the_same_jobs() -> None:
    ray = pytest.importorskip("ray", reason="Ray is not installed: pip install 'zoms[ray]'")
    ray.init(num_cpus=2, include_dashboard=False, log_to_driver=False)
    try:
        pool = new_pool(Fake(fail_above_5), 2, "auto")
        done = results(pool, 8)
        pool.close()
        locked = new_pool(NotToOpen(), 1, "auto")
        locked.submit(0, job(1))
        with pytest.raises(OptimiseError, match=r"could not get ready: .*the door is locked"):
            locked.take()
        locked.close()
    finally:
        ray.shutdown()
    assert [done[number] for number in range(6)] == [valley(job(number)) for number in range(6)]
    assert done[7].failure == "ValueError: nothing can be done"


def test_missing_ray_is_named_with_the_remedy(monkeypatch: pytest.MonkeyPatch) -> None:
    import sys

    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(OptimiseError, match=r"need Ray .*pip install 'zoms\[ray\]'"):
        new_pool(Fake(valley), 0, "auto")
