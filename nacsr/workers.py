"""Worker processes: pure jobs in, outcomes back; they end with their parent, whatever ends it."""

from __future__ import annotations

import multiprocessing
import os
import signal
import sys
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from typing import Any, Generic, NoReturn, TypeVar

from nacsr.errors import NacsrError, ToolError

Context = TypeVar("Context")
Item = TypeVar("Item")
Result = TypeVar("Result")

_state: dict[str, Any] = {}


class Workers(Generic[Context, Item, Result]):
    """A pool that runs ``function(item, context)``, one thread a process.

    Args:
        function: a module-level function.
        context: sent to every worker once.
        count: number of processes; 0 runs every job in this process, for debugging (BLAS
            then uses as many threads as it likes, which may change last bits).
    """

    def __init__(
        self, function: Callable[[Item, Context], Result], context: Context, count: int
    ) -> None:
        self._function, self._context = function, context
        self._pool: ProcessPoolExecutor | None = None
        if count > 0:
            # one thread each: sums in another order would change results
            for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
                os.environ[name] = "1"
            # spawn: a forked copy of a process that runs threads (progress, BLAS) may hang
            self._pool = ProcessPoolExecutor(
                count,
                mp_context=multiprocessing.get_context("spawn"),
                initializer=_begin,
                initargs=(function, context, os.getpid()),
            )

    def submit(self, item: Item) -> Future[Result]:
        """Start a job; in-process jobs are finished when this returns."""
        if self._pool is not None:
            return self._pool.submit(_work, item)
        future: Future[Result] = Future()
        try:
            future.set_result(self._function(item, self._context))
        except Exception as error:
            future.set_exception(error)
        return future

    def close(self) -> None:
        """Drop what has not started and end the processes at once."""
        if self._pool is None:
            return
        processes = list((self._pool._processes or {}).values())
        self._pool.shutdown(wait=False, cancel_futures=True)
        for process in processes:
            process.terminate()

    @staticmethod
    def result(future: Future[Result]) -> Result:
        """The result of a finished job.

        Raises:
            NacsrError: what the job raised.
            ToolError: if its process died, or the job raised something else.
        """
        try:
            return future.result()
        except BrokenProcessPool:
            msg = (
                "a worker process died (out of memory?); finished work is kept: run the same "
                "command again, with fewer --workers or a smaller search space"
            )
            raise ToolError(msg) from None
        except NacsrError:
            raise
        except Exception as error:
            msg = (
                f"a job failed with {type(error).__name__}: {error}; finished work is kept, but "
                "this is a fault of nacsr, please report it"
            )
            raise ToolError(msg) from error


def _begin(function: Callable[[Any, Any], Any], context: object, parent: int) -> None:
    os.setpgid(0, 0)  # a group of its own: Ctrl-C is the parent's to handle
    _state["function"], _state["context"] = function, context
    threading.Thread(target=_follow, args=(parent,), daemon=True).start()


def _follow(parent: int) -> None:
    """End this process when its parent is gone, also after ``kill -9``."""
    while os.getppid() == parent:
        time.sleep(1.0)
    os.killpg(0, signal.SIGKILL)


def _end(*_: object) -> NoReturn:
    """End the compilers that this process has started, then tidy up and leave."""
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    os.killpg(0, signal.SIGTERM)
    sys.exit(1)


def _work(item: Any) -> Any:
    signal.signal(signal.SIGTERM, _end)
    try:
        return _state["function"](item, _state["context"])
    except SystemExit:  # from _end: scratch folders are gone by now
        os._exit(1)
    finally:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
