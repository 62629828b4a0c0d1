"""The client for code without an event loop: one loop in a thread of its own, shared by all threads of the process."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Coroutine, Iterable, Sequence
from typing import Any, TypeVar

from client.fallback import Answer
from client.usher import ClientSettings, Stats, UsherClient
from usher.event.v1 import event_pb2

T = TypeVar("T")


class BlockingUsherClient:
    """As UsherClient, with methods that block. Safe to use from many threads; a context manager.

    Make it after a fork: gRPC does not survive one.
    """

    def __init__(self, settings: ClientSettings) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="usher-client", daemon=True)
        self._thread.start()
        self._client: UsherClient = self._run(_made(settings))

    def __enter__(self) -> BlockingUsherClient:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self, grace: float = 5.0) -> list[event_pb2.Event]:
        """As UsherClient.close: hands over what waits and returns the events that could not be. Again: nothing."""
        if self._loop.is_closed():
            return []
        left = self._run(self._client.close(grace))
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()
        return left

    def decide(self, event: event_pb2.Event, deadline: float | None = None) -> Answer:
        """As UsherClient.decide."""
        return self._run(self._client.decide(event, deadline))

    def decide_many(self, events: Sequence[event_pb2.Event], deadline: float | None = None) -> list[Answer]:
        """As UsherClient.decide_many."""
        return self._run(self._client.decide_many(events, deadline))

    def submit(self, events: Iterable[event_pb2.Event]) -> None:
        """As UsherClient.submit."""
        self._run(self._client.submit(events))

    @property
    def stats(self) -> Stats:
        """What it has done so far."""
        return self._client.stats

    @property
    def unsent(self) -> int:
        """Events that wait to be handed over."""
        return self._client.unsent

    def _run(self, work: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result()


async def _made(settings: ClientSettings) -> UsherClient:
    return await UsherClient(settings).__aenter__()
