"""Batches that are computed side by side, each on a share of the processor's threads.

The threads of one computation wait for each other after every layer, and one that has to leave its core to a
decoder holds up all. Computations on one thread each wait for nobody (docs/performance.md has the figures).
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

import torch

_Batch = TypeVar("_Batch")
_Result = TypeVar("_Result")


def compute(
    work: Callable[[_Batch], _Result], batches: Iterable[_Batch], most: int, device: torch.device
) -> Iterator[_Result]:
    """Yield results in the order of their batches; draw no more batches than are computed at a time.

    On a processor up to `most` batches are computed at a time, at most one a thread
    (`torch.get_num_threads`); fewer batches share the threads. Other devices compute one after the other.
    The first error is raised once no batch is being computed.
    """
    threads = torch.get_num_threads()
    at_once = min(threads, most) if device.type == "cpu" else 1
    if at_once <= 1:
        yield from map(work, batches)
        return
    try:
        with ThreadPoolExecutor(
            at_once, "encoder", initializer=torch.set_num_threads, initargs=(threads // at_once,)
        ) as pool:
            running: deque[Future[_Result]] = deque()
            for batch in batches:
                running.append(pool.submit(work, batch))
                if len(running) == at_once:
                    yield running.popleft().result()
            while running:
                yield running.popleft().result()
    finally:
        torch.set_num_threads(threads)  # a thread's own number counts for all later threads
