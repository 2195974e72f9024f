"""Processes of this machine that share out work, one CPU core each."""

from __future__ import annotations

import ctypes
import multiprocessing
import os
import signal
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from typing import TypeVar

from models.inference import one_thread, set_threads
from tasks.errors import TroubleshootError

_SET_PARENT_DEATH_SIGNAL = 1  # PR_SET_PDEATHSIG of Linux's <sys/prctl.h>

Order = TypeVar("Order")
Result = TypeVar("Result")


def usable_cores() -> int:
    """CPU cores that this process may use."""
    return len(os.sched_getaffinity(0))


def share_out(work: Callable[[Order], Result], orders: Iterable[Order], processes: int) -> Iterator[Result]:
    """The results of `work` on every order, as they come.

    With one process, or one order, everything happens in this one. Otherwise the processes are spawned, so
    `work`, orders and results must be importable or picklable; they end with this process, however it ends.

    Raises:
        TroubleshootError: a process was ended from outside, most often because memory ran out.
        Exception: whatever `work` raised first; the orders that were not begun are dropped.
    """
    listed = list(orders)
    processes = min(processes, len(listed))
    if processes <= 1:
        with one_thread():  # as in a process of its own: the number of threads may change the last bit
            yield from map(work, listed)
        return
    context = multiprocessing.get_context("spawn")  # a fork would copy locks that other threads hold
    with ProcessPoolExecutor(processes, context, _begin, (os.getpid(),)) as executor:
        try:
            for future in as_completed([executor.submit(work, order) for order in listed]):
                yield future.result()
        except BrokenProcessPool as error:
            raise TroubleshootError(
                f"{processes} processes were required to go on to the end, but one was ended from outside, "
                "as happens when memory runs out. What they finished is kept: set `predictions.processes` "
                "lower and run again."
            ) from error
        finally:
            executor.shutdown(wait=True, cancel_futures=True)


def _begin(parent: int) -> None:
    """In a new process: one thread, no reaction to Ctrl-C (the parent's matter), an end with the parent."""
    ctypes.CDLL(None).prctl(_SET_PARENT_DEATH_SIGNAL, signal.SIGKILL)
    if os.getppid() != parent:  # it died before the signal was asked for
        os._exit(1)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    set_threads(1)
