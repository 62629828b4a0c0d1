"""More is offered than fits: what is refused says when to come back, what was taken is decided, what waits is bounded."""

from __future__ import annotations

import asyncio
import signal
import time
from pathlib import Path

from bench.drills import queue
from bench.traffic import events
from tests.harness import Mesh

CALLS = 60
QUEUED = 64
IN_FLIGHT = 2 * 2 * queue.BATCH
"""Two batches between look-up and commit."""


def test_a_full_queue_refuses_with_a_delay_and_loses_nothing(tmp_path: Path) -> None:
    patient = {"USHER_INGEST_SCORING_TIMEOUT": "60"}
    capacity = QUEUED / queue.QUEUED_SECONDS
    with Mesh(tmp_path, env={**queue.settings("queue", capacity), **patient}) as mesh:
        scoring = mesh.process("scoring")
        assert scoring.popen is not None

        async def offer() -> queue.Offered:
            offered = queue.Offered(0.0)
            client = queue.Client(mesh.target("ingest"), events(50, 3, "full"))
            # Nothing is decided while scoring stands still, so the queue fills on any machine.
            assert scoring.popen is not None
            scoring.popen.send_signal(signal.SIGSTOP)
            try:
                calls = {asyncio.create_task(client.call(offered, time.perf_counter())) for _ in range(CALLS)}
                fits = (QUEUED + IN_FLIGHT) // queue.BATCH
                waiting = calls
                while sum(offered.refused.values()) < (CALLS - fits) * queue.BATCH:
                    # Each call ends within its own deadline.
                    _, waiting = await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
            finally:
                scoring.popen.send_signal(signal.SIGCONT)
            await asyncio.gather(*calls)
            await client.close()
            return offered

        offered = asyncio.run(offer())
        found = queue.broken(queue.Result("queue", 0, offered, offered), mesh, [offered])

    assert found == []
    assert offered.decided
    assert set(offered.refused) == {"QUEUE_FULL"}
    assert len(offered.delays) * queue.BATCH + len(offered.decided) == CALLS * queue.BATCH
