"""Background tasks of a process: begun again when they fail, told in health, ended with the process."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Mapping

from prometheus_client import Counter

from services.common.errors import FailedPrecondition, Unavailable

FAILED = Counter(
    "usher_background_failures",
    "Times that a background task failed for a reason that it did not foresee.",
    ("task",),
    registry=None,
)
"""Of the process; every registry of `Telemetry` shows it."""
AGAIN_S = 1.0
"""Pause before a task that failed is begun again."""
STEADY_S = 5.0
"""A task that failed is well once it has run for this long; above the pause."""


class Background:
    """Tasks that run until they are stopped. What fails for a reason that a task did not foresee is begun again."""

    def __init__(self, log: logging.Logger) -> None:
        self._log = log
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._failed_at: dict[str, float] = {}
        """When a task last failed (monotonic seconds)."""

    @property
    def running(self) -> bool:
        """Whether it was started and not stopped."""
        return bool(self._tasks)

    def start(self, tasks: Mapping[str, Callable[[], Awaitable[None]]]) -> None:
        """Begins tasks by their names. Each is a function that does not return."""
        for name, task in tasks.items():
            self._tasks[name] = asyncio.create_task(self._run(name, task), name=name)

    async def stop(self) -> None:
        """Cancels the tasks, and returns when they have ended."""
        tasks = list(self._tasks.values())
        self._tasks.clear()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def check(self) -> None:
        """Raises Unavailable (CHORE_FAILED) while a task fails, FailedPrecondition (CHORE_ENDED) where one has ended."""
        for name, task in self._tasks.items():
            if task.done():
                raise FailedPrecondition(
                    "CHORE_ENDED", f"the background task {name} has ended; restart the process"
                )
        for name, failed_at in self._failed_at.items():
            if time.monotonic() - failed_at < STEADY_S:
                raise Unavailable(
                    "CHORE_FAILED",
                    f"the background task {name} fails and is begun again; the log says why",
                    retry_after=STEADY_S,
                )

    async def _run(self, name: str, task: Callable[[], Awaitable[None]]) -> None:
        while True:
            try:
                await task()
                return
            except Exception:  # noqa: BLE001 - the last line of defence: told, and begun again
                self._failed_at[name] = time.monotonic()
                FAILED.labels(name).inc()
                self._log.exception("a background task failed; it is begun again", extra={"task": name})
            await asyncio.sleep(AGAIN_S)
