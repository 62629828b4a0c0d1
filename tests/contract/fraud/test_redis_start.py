"""What the memory demands of a Redis-compatible server before anything is served."""

from __future__ import annotations

import pytest
import redis

from services.common.config import ConfigError
from services.common.errors import Unavailable
from services.fraud.store_redis import RedisMemory
from tests.servers import RedisServer


async def test_a_server_without_append_only_file_is_refused(redis_url: str) -> None:
    memory = RedisMemory(redis_url)
    with pytest.raises(ConfigError, match="appendonly yes"):
        await memory.open()
    await memory.close()


async def test_a_server_that_evicts_is_refused(redis_url: str) -> None:
    client = redis.Redis.from_url(redis_url)
    client.config_set("maxmemory-policy", "allkeys-lru")
    memory = RedisMemory(redis_url)
    try:
        with pytest.raises(ConfigError) as caught:
            await memory.open()
    finally:
        client.config_set("maxmemory-policy", "noeviction")
        client.close()
        await memory.close()
    assert len(caught.value.problems) == 2
    assert "noeviction" in caught.value.problems[0]


async def test_a_durable_server_is_accepted() -> None:
    with RedisServer(durable=True) as server:
        memory = RedisMemory(server.url)
        await memory.open()
        await memory.healthy()
        await memory.close()


async def test_a_server_that_is_gone_is_unavailable() -> None:
    memory = RedisMemory("redis://127.0.0.1:1/0", allow_volatile=True)
    with pytest.raises(Unavailable):
        await memory.open()
    with pytest.raises(Unavailable):
        await memory.observe("t", [], committed_through_ms=0, batch_time_ms=1)
    await memory.close()


async def test_a_batch_is_one_round_trip(redis_url: str) -> None:
    from tests.contract.fraud.test_memory import sighting

    memory = RedisMemory(redis_url, allow_volatile=True)
    events = [sighting(f"e{i}", f"u{i % 30}", device=f"d{i % 20}", failed=True) for i in range(256)]
    await memory.observe("t", events, committed_through_ms=0, batch_time_ms=1)
    client = redis.Redis.from_url(redis_url)
    client.config_resetstat()
    await memory.observe("t", events, committed_through_ms=0, batch_time_ms=2)
    assert client.info("commandstats")["cmdstat_evalsha"]["calls"] == 1
    client.close()
    await memory.close()
