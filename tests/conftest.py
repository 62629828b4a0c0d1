"""Fixtures shared by all tests: database servers, test data, short paths for sockets."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Callable, Generator, Iterator
from pathlib import Path

import pytest

from tests.kafka import MockKafka
from tests.servers import PostgresServer, RedisServer
from tests.testdata import VARIABLE, data_path

# Tests start processes while gRPC runs in this one; its fork handlers would kill some of them before they begin (grpc
# issue 43055). Only the value at the import of grpc counts, and pytest imports this file before any test.
os.environ["GRPC_ENABLE_FORK_SUPPORT"] = "false"


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[PostgresServer]:
    """A PostgreSQL server with fsync on, one per test process."""
    with PostgresServer() as server:
        yield server


@pytest.fixture(scope="session")
def redis_server() -> Iterator[RedisServer]:
    """A Redis-compatible server without persistence, one per test process."""
    with RedisServer() as server:
        yield server


@pytest.fixture(scope="session")
def kafka() -> Iterator[MockKafka]:
    """A Kafka cluster in memory, one per test process; take a `kafka.topic()` of your own."""
    with MockKafka() as cluster:
        yield cluster


@pytest.fixture
def postgres_url(postgres_server: PostgresServer) -> Iterator[str]:
    """SQLAlchemy URL of an empty PostgreSQL database that is the test's own."""
    name = postgres_server.create_database()
    yield postgres_server.url_of(name)
    postgres_server.drop_database(name)


@pytest.fixture
def redis_url(redis_server: RedisServer) -> str:
    """URL of an empty Redis database."""
    redis_server.flush()
    return redis_server.url


@pytest.fixture(scope="session")
def test_data() -> Callable[[str, str], Path]:
    """`test_data("logs/apache.log", "the access log")`: a path below USHER_TEST_DATA, or a skip."""
    return data_path


@pytest.fixture
def short_tmp_path() -> Iterator[Path]:
    """A private folder with a path below 40 bytes: a unix socket's path holds about 104."""
    folder = Path(tempfile.mkdtemp(prefix="u-", dir="/tmp"))
    yield folder
    shutil.rmtree(folder)


_ON_THE_CLOCK = ("integration", "mesh", "browser", "deploy")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Tests with real servers get a second try, named in the summary as RERUN (decision 0124); pure ones never do."""
    here = Path(__file__).parent
    for item in items:
        if item.path.is_relative_to(here) and item.path.relative_to(here).parts[0] in _ON_THE_CLOCK:
            item.add_marker(pytest.mark.flaky(reruns=1, reruns_delay=1))


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """With USHER_TEST_DATA set the run is meant to be complete: a test that skips for want of data fails."""
    report = yield
    if report.skipped and os.environ.get(VARIABLE) and VARIABLE in str(report.longrepr):
        report.outcome = "failed"
        report.longrepr = f"skipped although {VARIABLE} is set: {report.longrepr}"
    return report
