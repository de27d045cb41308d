"""Executors beyond the cores of one machine: Dask clusters, and SLURM through submitit."""

from __future__ import annotations

import importlib
import tempfile
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Executor, Future
from contextlib import contextmanager
from typing import Any

from laxity.core.errors import ConfigError, ToolError
from laxity.core.named import plain_value, split_named
from laxity.run.executor import make_executor

_POLL_S = 0.5

PROCESSES, DASK, SLURM = "processes", "dask", "slurm"
FORMS = f"'{PROCESSES}', '{DASK}', 'tcp://HOST:PORT' of a Dask scheduler, or '{SLURM} timeout_min=60 ...'"


@contextmanager
def executor_named(text: str, workers: int) -> Iterator[Executor]:
    """The executor that a line of text names, closed in the end.

    Args:
        text: ``processes``: of this machine; ``dask``: a Dask cluster of processes of this machine;
            ``tcp://HOST:PORT`` (or ``tls://``): the Dask cluster of that scheduler, whose workers have laxity installed
            and see the same files; ``slurm option=value ...``: jobs of SLURM, with options of submitit's
            ``update_parameters`` and ``folder`` for its files; ``cluster=local`` runs such jobs on this machine.
        workers: processes, or jobs at a time.

    Raises:
        ConfigError: the text names none.
        ToolError: a package is missing, or the cluster cannot be reached.
    """
    name, options = split_named(text, "executor")
    if name == PROCESSES and not options:
        with make_executor(workers) as pool:
            yield pool
    elif (name == DASK or "://" in name) and not options:
        with _dask(None if name == DASK else name, workers) as executor:
            yield executor
    elif name == SLURM:
        with Jobs({k: plain_value(v) for k, v in options.items()}, workers) as jobs:
            yield jobs
    else:
        raise ConfigError(f"there is no executor {text!r}; use {FORMS}")


def _package(name: str, extra: str) -> Any:
    try:
        return importlib.import_module(name)
    except ImportError as error:
        raise ToolError(
            f"the executor needs the package {name}; install it by: pip install 'laxity[{extra}]'"
        ) from error


@contextmanager
def _dask(address: str | None, workers: int) -> Iterator[Executor]:
    distributed = _package("distributed", "dask")
    if address is None:
        cluster = distributed.LocalCluster(n_workers=workers, threads_per_worker=1, dashboard_address=None)
        with cluster, distributed.Client(cluster) as client, client.get_executor(pure=False) as executor:
            yield executor
        return
    try:
        client = distributed.Client(address, timeout="10s")
    except (OSError, ValueError, TimeoutError) as error:
        raise ToolError(f"there is no Dask scheduler at {address}: {error}; start one by: dask scheduler") from error
    with client, client.get_executor(pure=False) as executor:
        yield executor


class Jobs(Executor):
    """Every call is a job of submitit; results come by files.

    Args:
        options: of `submitit.AutoExecutor.update_parameters`, and ``folder`` and ``cluster``.
        workers: jobs that run at the same time.

    Raises:
        ToolError: submitit is missing, or SLURM is.
        ConfigError: submitit does not know an option.
    """

    def __init__(self, options: dict[str, Any], workers: int) -> None:
        submitit = _package("submitit", "slurm")
        given = dict(options)
        self._own = None if "folder" in given else tempfile.TemporaryDirectory(prefix="laxity-jobs-", dir=".")
        folder = given.pop("folder", None) or (self._own.name if self._own is not None else ".")
        try:
            self._executor = submitit.AutoExecutor(folder=folder, cluster=given.pop("cluster", "slurm"))
            self._executor.update_parameters(**{"timeout_min": 60, "cpus_per_task": 1, **given})
        except (RuntimeError, ValueError) as error:
            raise ToolError(f"submitit cannot run jobs here: {error}") from error
        except (NameError, TypeError) as error:
            raise ConfigError(f"submitit does not take these options: {error}") from error
        self._slots = threading.BoundedSemaphore(workers)
        self._threads: list[threading.Thread] = []
        self._ended = threading.Event()

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        """Queue a call; it becomes a job when fewer jobs run than are allowed."""
        future: Future[Any] = Future()
        thread = threading.Thread(target=self._follow, args=(future, fn, args, kwargs), daemon=True)
        self._threads.append(thread)
        thread.start()
        return future

    def _follow(self, future: Future[Any], fn: Callable[..., Any], args: Any, kwargs: Any) -> None:
        with self._slots:
            if self._ended.is_set() or not future.set_running_or_notify_cancel():
                future.cancel()
                return
            job = self._executor.submit(fn, *args, **kwargs)
            while not job.done():
                if self._ended.wait(_POLL_S):
                    job.cancel(check=False)
                    break
            try:
                future.set_result(job.result())
            except Exception as error:  # whatever the call raised, or submitit where a job was lost
                future.set_exception(error)

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """End; with `cancel_futures` jobs under way are cancelled."""
        if cancel_futures or not wait:
            self._ended.set()
        for thread in self._threads:
            while wait and thread.is_alive():
                thread.join(timeout=_POLL_S)
        if self._own is not None and wait:
            self._own.cleanup()
