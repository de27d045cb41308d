"""Executors: the same results in this process and in a pool, initialised once per process."""

import math
import os
import sys

import pytest

from laxity.core.errors import ConfigError
from laxity.run import Serial, make_executor


def test_serial_runs_at_once_and_in_order():
    seen = []
    with Serial() as executor:
        futures = [executor.submit(seen.append, i) for i in range(5)]
        assert seen == [0, 1, 2, 3, 4]
        assert all(f.done() for f in futures)
        assert executor.submit(math.comb, 5, k=2).exception() is not None
        assert list(executor.map(math.factorial, range(4))) == [1, 1, 2, 6]


def test_serial_keeps_exceptions_as_pools_do():
    future = Serial().submit(math.sqrt, -1)
    assert isinstance(future.exception(), ValueError)
    with pytest.raises(ValueError, match="domain"):
        future.result()


def test_serial_does_not_swallow_interrupts():
    def interrupt():
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        Serial().submit(interrupt)


@pytest.mark.parametrize("workers", [1, 2])
def test_results_do_not_depend_on_the_number_of_workers(workers):
    before = sys.getrecursionlimit()
    try:
        with make_executor(workers, sys.setrecursionlimit, (4321,)) as executor:
            limits = {executor.submit(sys.getrecursionlimit).result() for _ in range(4)}
            found = [f.result() for f in [executor.submit(math.comb, 30, k) for k in range(20)]]
            pids = {executor.submit(os.getpid).result() for _ in range(8)}
            error = executor.submit(math.sqrt, -1).exception()
        assert limits == {4321}
        assert found == [math.comb(30, k) for k in range(20)]
        assert isinstance(error, ValueError)
        assert (os.getpid() in pids) == (workers == 1)
        assert len(pids) <= workers
    finally:
        sys.setrecursionlimit(before)


@pytest.mark.parametrize("workers", [0, -3])
def test_workers_must_be_positive(workers):
    with pytest.raises(ConfigError, match=f"workers must be at least 1, not {workers}"):
        make_executor(workers, sys.setrecursionlimit, (1000,))
