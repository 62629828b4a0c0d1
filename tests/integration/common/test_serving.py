"""The life of a server: binding, health, failover, TLS, drain."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import stat
import subprocess
import sys
import textwrap
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

import grpc
import pytest
import trustme
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc

from services.common import errors
from services.common.client import ClientSettings, connect
from services.common.config import ConfigError
from services.common.server import caller_identity
from services.common.transport import TlsSettings
from tests.integration.common.harness import (
    NAME,
    client,
    make_telemetry,
    method,
    running,
    stream,
    unary,
    until,
)

REPOSITORY = Path(__file__).resolve().parents[3]
ALONE = [("grpc.use_local_subchannel_pool", 1)]
"""A connection of the channel's own."""
SERVING = health_pb2.HealthCheckResponse.SERVING
NOT_SERVING = health_pb2.HealthCheckResponse.NOT_SERVING


async def echo(request: bytes, _: Any) -> bytes:
    return request


def name_of(server_name: str) -> Any:
    async def answer(_: bytes, __: Any) -> bytes:
        return server_name.encode()

    return unary(answer)


async def status(target: str, service: str = "") -> int:
    async with grpc.aio.insecure_channel(target) as channel:
        stub = health_pb2_grpc.HealthStub(channel)
        answer = await stub.Check(health_pb2.HealthCheckRequest(service=service), timeout=5)
        return int(answer.status)


@pytest.mark.parametrize("over", ["tcp", "unix"])
async def test_more_connections_than_allowed_are_closed(run_dir: Path, over: str) -> None:
    where = {} if over == "unix" else {"address": "127.0.0.1:0"}
    async with running(run_dir, {"Echo": unary(echo)}, max_connections=2, **where) as server:
        held = [grpc.aio.insecure_channel(server.target, options=ALONE) for _ in range(2)]
        for channel in held:
            assert await method(channel, "Echo")(b"x", timeout=30) == b"x"
        third = connect(ClientSettings(server.target, timeout=30.0), telemetry=make_telemetry(), health=False)
        with pytest.raises(errors.Unavailable):
            await method(third, "Echo")(b"x")
        # Those that were there go on.
        assert await method(held[0], "Echo")(b"y", timeout=30) == b"y"
        # A place that becomes free is for whoever comes again.
        await held.pop().close()

        for _ in range(600):
            try:
                assert await method(third, "Echo")(b"z") == b"z"
                break
            except errors.Unavailable:
                await asyncio.sleep(0.1)
        else:
            raise AssertionError("the place that became free was not given")
        for channel in (*held, third):
            await channel.close()


async def test_health_follows_the_check(run_dir: Path, caplog: pytest.LogCaptureFixture) -> None:
    state = {"problem": "the database is starting"}

    async def healthy() -> None:
        if state["problem"] == "hang":
            await asyncio.sleep(60)
        if state["problem"]:
            raise ConnectionError(state["problem"])

    async with running(
        run_dir, {"Echo": unary(echo)}, healthy=healthy, health_interval=0.1, health_timeout=0.05
    ) as server:
        for name in ("", NAME):
            assert await status(server.target, name) == NOT_SERVING
        assert await status(server.target, "liveness") == SERVING
        state["problem"] = ""
        await until(lambda: server.health.serving)
        for name in ("", NAME):
            assert await status(server.target, name) == SERVING
        # A check that hangs is a check that fails.
        state["problem"] = "hang"
        await until(lambda: not server.health.serving)
        assert await status(server.target, "liveness") == SERVING
        await asyncio.sleep(0.5)
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await status(server.target, "usher.unknown.v1.UnknownService")
        assert caught.value.code() is grpc.StatusCode.NOT_FOUND
    changes = [record.__dict__["health"] for record in caplog.records if record.message == "health changed"]
    # Several polls failed in each phase; each change is told once.
    assert [change for change in changes if change == "not serving"] == ["not serving"] * 2


async def test_a_client_leaves_the_sick_server_and_comes_back(run_dir: Path) -> None:
    well = {"a": True, "b": True}

    def check(name: str) -> Any:
        async def healthy() -> None:
            if not well[name]:
                raise ConnectionError("sick")

        return healthy

    quick = {"health_interval": 0.05, "health_timeout": 0.05}
    async with (
        running(run_dir, {"Name": name_of("a")}, socket="a.sock", healthy=check("a"), **quick) as a,
        running(run_dir, {"Name": name_of("b")}, socket="b.sock", healthy=check("b"), **quick) as b,
        client(f"{a.target},{b.target}") as channel,
    ):
        await a.wait_serving()
        await b.wait_serving()

        async def answers() -> set[bytes]:
            return {await method(channel, "Name")(b"") for _ in range(8)}

        async def both() -> bool:
            return await answers() == {b"a", b"b"}

        async def only_b() -> bool:
            return await answers() == {b"b"}

        await until(both)
        well["a"] = False
        await until(only_b)
        well["a"] = True
        await until(both)
        well["a"] = well["b"] = False
        await until(lambda: not a.health.serving and not b.health.serving)

        async def refused() -> bool:
            try:
                await method(channel, "Name")(b"")
            except errors.Unavailable:
                return True
            return False

        await until(refused)


async def test_tcp_targets_fail_over_and_reconnect() -> None:
    here = Path("/nonexistent")
    tcp = {"address": "127.0.0.1:0"}
    async with running(here, {"Name": name_of("a")}, **tcp) as a:
        b = running(here, {"Name": name_of("b")}, **tcp)
        await b.start()
        await a.wait_serving()
        await b.wait_serving()
        async with client(f"{a.target},{b.target}", idempotent=("Name",)) as channel:
            assert {await method(channel, "Name")(b"") for _ in range(8)} <= {b"a", b"b"}
            await b.drain()
            assert {await method(channel, "Name")(b"") for _ in range(8)} == {b"a"}
            async with running(here, {"Name": name_of("b2")}, address=b.target):

                async def sees_b2() -> bool:
                    return await method(channel, "Name")(b"") == b"b2"

                # Reconnects within a second of back-off.
                await until(sees_b2)


async def test_two_servers_do_not_share_a_port() -> None:
    here = Path("/nonexistent")
    async with running(here, {"Echo": unary(echo)}, address="127.0.0.1:0") as first:
        with pytest.raises(ConfigError, match="cannot be bound"):
            await running(here, {"Echo": unary(echo)}, address=first.target).start()


async def test_a_socket_is_private_and_a_stale_one_is_replaced(run_dir: Path) -> None:
    path = run_dir / "a.sock"
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(path))
    assert path.exists()

    async with running(run_dir, {"Echo": unary(echo)}) as server, client(server.target) as channel:
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        await server.wait_serving()
        assert await method(channel, "Echo")(b"x") == b"x"
        with pytest.raises(ConfigError, match="another process listens"):
            await running(run_dir, {"Echo": unary(echo)}).start()
        assert await method(channel, "Echo")(b"y") == b"y"


async def test_a_file_that_is_no_socket_is_left_alone(run_dir: Path) -> None:
    (run_dir / "a.sock").write_text("precious")
    with pytest.raises(ConfigError, match="no socket"):
        await running(run_dir, {"Echo": unary(echo)}).start()
    assert (run_dir / "a.sock").read_text() == "precious"


async def test_a_socket_path_that_does_not_fit_is_refused(run_dir: Path) -> None:
    with pytest.raises(ConfigError, match="103 bytes"):
        await running(run_dir, {"Echo": unary(echo)}, socket="x" * 100).start()


@pytest.mark.parametrize("address", ["0.0.0.0:0", "[::]:0", "example.org:0"])
async def test_plaintext_stays_on_this_machine(run_dir: Path, address: str) -> None:
    with pytest.raises(ConfigError, match="TLS is not set"):
        await running(run_dir, {"Echo": unary(echo)}, address=address).start()
    with pytest.raises(ConfigError, match="TLS is not set"):
        connect(ClientSettings("example.org:50051"), telemetry=make_telemetry())


async def test_plaintext_says_so(run_dir: Path, caplog: pytest.LogCaptureFixture) -> None:
    async with running(run_dir, {"Echo": unary(echo)}):
        pass
    assert any("plaintext" in record.message and record.levelname == "WARNING" for record in caplog.records)


async def test_metrics_and_healthz_over_http(run_dir: Path) -> None:
    sick = asyncio.Event()

    async def healthy() -> None:
        if sick.is_set():
            raise ConnectionError("sick")

    def get(port: int | None, path: str) -> tuple[int, str]:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=5) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as error:
            return error.code, error.read().decode()

    async with (
        running(
            run_dir,
            {"Echo": unary(echo)},
            healthy=healthy,
            metrics_address="127.0.0.1:0",
            health_interval=0.1,
            health_timeout=0.1,
        ) as server,
        client(server.target) as channel,
    ):
        await server.wait_serving()
        await method(channel, "Echo")(b"")
        code, text = await asyncio.to_thread(get, server.metrics_port, "/metrics")
        assert code == 200
        assert f'usher_rpc_server_handled_total{{code="OK",method="{NAME}/Echo"}} 1.0' in text
        # Health checks are not traffic.
        assert "grpc.health" not in text
        assert await asyncio.to_thread(get, server.metrics_port, "/healthz") == (200, "SERVING\n")
        assert (await asyncio.to_thread(get, server.metrics_port, "/other"))[0] == 404
        sick.set()
        await until(lambda: not server.health.serving)
        assert await asyncio.to_thread(get, server.metrics_port, "/healthz") == (503, "NOT_SERVING\n")
    with pytest.raises(ConfigError, match="metrics_beyond_loopback"):
        await running(run_dir, {"Echo": unary(echo)}, metrics_address="0.0.0.0:0").start()


async def test_reflection_lists_the_services(run_dir: Path) -> None:
    async with (
        running(run_dir, {"Echo": unary(echo)}) as server,
        grpc.aio.insecure_channel(server.target) as plain,
    ):
        stub = reflection_pb2_grpc.ServerReflectionStub(plain)
        call = stub.ServerReflectionInfo(iter([reflection_pb2.ServerReflectionRequest(list_services="")]))
        answers = [answer async for answer in call]
    names = {service.name for service in answers[0].list_services_response.service}
    assert {NAME, "grpc.health.v1.Health"} <= names


@pytest.fixture
def authority() -> trustme.CA:
    return trustme.CA()


def issue(authority: trustme.CA, directory: Path, *names: str) -> TlsSettings:
    issued = authority.issue_cert(*names)
    base = directory / names[0].split(".")[0]
    settings = TlsSettings(base.with_suffix(".pem"), base.with_suffix(".key"), directory / "ca.pem")
    issued.cert_chain_pems[0].write_to_path(settings.certificate)
    issued.private_key_pem.write_to_path(settings.key)
    authority.cert_pem.write_to_path(settings.ca)
    return settings


async def test_mutual_tls_and_the_allow_list(run_dir: Path, authority: trustme.CA) -> None:
    async def whoami(_: bytes, __: Any) -> bytes:
        return caller_identity().encode()

    fraud = issue(authority, run_dir, "fraud")
    ingest = issue(authority, run_dir, "ingest.usher.svc")
    alerts = issue(authority, run_dir, "alerts")
    stranger_dir = run_dir / "other"
    stranger_dir.mkdir()
    stranger = issue(trustme.CA(), stranger_dir, "ingest")
    allowed = {f"/{NAME}/Assess": frozenset({"ingest"})}

    async with running(
        run_dir,
        {"Assess": unary(whoami), "Unlisted": unary(whoami)},
        address="127.0.0.1:0",
        tls=fraud,
        health_address="127.0.0.1:0",
        callers=allowed,
    ) as server:
        await server.wait_serving()
        secure = {"server_name": "fraud", "timeout": 5.0}
        async with client(server.target, tls=ingest, **secure) as channel:
            assert await method(channel, "Assess")(b"") == b"ingest"
            with pytest.raises(errors.PermissionDenied) as caught:
                await method(channel, "Unlisted")(b"")
            assert caught.value.metadata == {"caller": "ingest", "method": f"{NAME}/Unlisted"}
        async with client(server.target, tls=alerts, **secure) as channel:
            with pytest.raises(errors.PermissionDenied, match="CALLER_NOT_ALLOWED"):
                await method(channel, "Assess")(b"")
            # Health is for everyone.
            stub = health_pb2_grpc.HealthStub(channel)
            assert (await stub.Check(health_pb2.HealthCheckRequest())).status == SERVING
        foreign = TlsSettings(stranger.certificate, stranger.key, fraud.ca)
        async with client(server.target, tls=foreign, **secure) as channel:
            with pytest.raises(errors.Unavailable):
                await method(channel, "Assess")(b"")
        async with client(server.target, timeout=5.0) as channel:
            with pytest.raises(errors.Unavailable):
                await method(channel, "Assess")(b"")
        async with client(server.target, tls=ingest, server_name="scoring", timeout=5.0) as channel:
            with pytest.raises(errors.Unavailable):
                await method(channel, "Assess")(b"")
        # No certificate at all.
        root = grpc.ssl_channel_credentials(fraud.ca.read_bytes())
        named = [("grpc.ssl_target_name_override", "fraud")]
        async with grpc.aio.secure_channel(server.target, root, options=named) as anonymous:
            with pytest.raises(grpc.aio.AioRpcError) as refused:
                await anonymous.unary_unary(f"/{NAME}/Assess")(b"", timeout=5)
            assert refused.value.code() is grpc.StatusCode.UNAVAILABLE

        # The probe's port speaks no TLS and nothing but health.
        assert server.health_target is not None
        assert await status(server.health_target) == SERVING
        assert await status(server.health_target, "liveness") == SERVING
        async with grpc.aio.insecure_channel(server.health_target) as plain:
            with pytest.raises(grpc.aio.AioRpcError) as absent:
                await plain.unary_unary(f"/{NAME}/Assess")(b"")
            assert absent.value.code() is grpc.StatusCode.UNIMPLEMENTED


def test_missing_tls_files_are_all_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        TlsSettings(tmp_path / "c", tmp_path / "k", tmp_path / "a").read()
    assert len(caught.value.problems) == 3


async def test_draining_lets_running_calls_complete_in_order(run_dir: Path) -> None:
    order: list[str] = []
    entered = asyncio.Event()

    async def slow(request: bytes, _: Any) -> bytes:
        entered.set()
        await asyncio.sleep(0.6)
        order.append("call")
        return b"done"

    async def on_drain() -> None:
        order.append("on_drain")

    methods = {"Slow": unary(slow), "Echo": unary(echo)}
    server = running(run_dir, methods, on_drain=on_drain, drain_notice=0.2)
    await server.start()
    await server.wait_serving()
    async with client(server.target) as channel:
        call = asyncio.ensure_future(_awaited(method(channel, "Slow")(b"")))
        await entered.wait()
        draining = asyncio.ensure_future(server.drain())
        await until(lambda: not server.health.serving)
        order.append("not serving")
        async with grpc.aio.insecure_channel(server.target) as plain:
            with pytest.raises(grpc.aio.AioRpcError) as refused:
                await until(lambda: _refused_or_done(plain), 5)
        assert errors.from_rpc_error(refused.value).reason == "SERVER_DRAINING"
        # A second wish to stop changes nothing.
        again = asyncio.ensure_future(server.drain())
        assert await call == b"done"
        begun = time.monotonic()
        await asyncio.gather(draining, again)
        # The client's health watch must not hold the server up for its grace of 5 s.
        assert time.monotonic() - begun < 4
        with pytest.raises(errors.Unavailable):
            await method(channel, "Slow")(b"")

    assert order == ["not serving", "call", "on_drain"]


async def _awaited(call: Any) -> Any:
    return await call


async def _refused_or_done(plain: grpc.aio.Channel) -> bool:
    """Calls a server without looking at its health: it answers until the notice is over."""
    await plain.unary_unary(f"/{NAME}/Echo")(b"")
    return False


async def test_every_call_a_draining_server_completed_is_answered(run_dir: Path) -> None:
    completed = 0

    async def work(request: bytes, _: Any) -> bytes:
        nonlocal completed
        await asyncio.sleep(0.005)
        completed += 1
        return request

    server = running(run_dir, {"Work": unary(work)}, drain_notice=0.1)
    await server.start()
    await server.wait_serving()
    answered = 0

    async def load(channel: Any) -> None:
        nonlocal answered
        while True:
            try:
                await method(channel, "Work")(b"x")
            except errors.Unavailable:
                return
            answered += 1

    async with client(server.target, timeout=20.0) as channel:
        workers = [asyncio.ensure_future(load(channel)) for _ in range(32)]
        await until(lambda: answered > 200)
        await server.drain()
        await asyncio.gather(*workers)

    assert answered == completed


async def test_draining_ends_streams_with_a_reason(run_dir: Path) -> None:
    async def forever(_: bytes, __: Any) -> Any:
        yield b"first"
        await asyncio.sleep(3600)

    server = running(run_dir, {"Watch": stream(forever)}, drain_grace=30.0)
    await server.start()
    await server.wait_serving()
    async with client(server.target) as channel:
        call = channel.unary_stream(f"/{NAME}/Watch")(b"")
        assert await call.read() == b"first"
        begun = time.monotonic()
        draining = asyncio.ensure_future(server.drain())
        with pytest.raises(errors.Unavailable) as caught:
            await call.read()
        await draining
        assert time.monotonic() - begun < 20

    assert caught.value.reason == "SERVER_DRAINING", repr(caught.value.__cause__)


PROCESS = """
    import asyncio, gc, sys
    import grpc
    from services.common.config import ConfigError
    from services.common.server import ServerSettings, Service, run, serve
    from services.common.telemetry import TelemetrySettings, start_telemetry

    async def slow(request, context):
        print("entered", flush=True)
        await asyncio.sleep(0.8)
        return b"done"

    def add(_, server):
        handlers = {"Slow": grpc.unary_unary_rpc_method_handler(slow)}
        name = "usher.test.v1.TestService"
        server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(name, handlers),))

    async def healthy():
        return None

    async def on_drain():
        loop = type(asyncio.get_running_loop()).__module__
        frozen = gc.get_freeze_count() > 0
        print("on_drain", loop, gc.get_threshold(), sys.getswitchinterval(), frozen, flush=True)

    async def main():
        settings = ServerSettings(sys.argv[1], drain_notice=0.1, drain_grace=5.0)
        telemetry = start_telemetry("test", TelemetrySettings())
        service = Service(add, None, "usher.test.v1.TestService")
        await serve(settings, [service], healthy=healthy, telemetry=telemetry, on_drain=on_drain)
        print("returned", flush=True)

    run(main())
"""


def start_process(address: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(PROCESS), address],
        cwd=REPOSITORY,
        env={**os.environ, "PYTHONPATH": os.pathsep.join([str(REPOSITORY), str(REPOSITORY / "proto")])},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


@pytest.mark.parametrize("signals", [[signal.SIGTERM], [signal.SIGINT, signal.SIGTERM, signal.SIGTERM]])
async def test_a_signal_drains_and_exits_with_0(run_dir: Path, signals: list[signal.Signals]) -> None:
    process = start_process(f"unix:{run_dir}/p.sock")
    try:
        async with client(f"unix:{run_dir}/p.sock", timeout=20.0) as channel:
            await until(lambda: (run_dir / "p.sock").exists(), 20)
            call = asyncio.ensure_future(_awaited(method(channel, "Slow")(b"", wait_for_ready=True)))
            assert process.stdout is not None
            assert await asyncio.to_thread(process.stdout.readline) == "entered\n"
            for number in signals:
                process.send_signal(number)
                await asyncio.sleep(0.05)
            assert await call == b"done"
        out, err = await asyncio.to_thread(process.communicate, None, 20)
    finally:
        process.kill()
        process.wait()

    assert process.returncode == 0, err
    assert out == "on_drain uvloop (100000, 50, 1000) 0.0005 True\nreturned\n"
    assert '"message":"drained"' in err
    assert "Traceback" not in err


async def test_unusable_settings_exit_with_2_and_say_why(run_dir: Path) -> None:
    process = start_process("0.0.0.0:0")
    _, err = await asyncio.to_thread(process.communicate, None, 30)

    assert process.returncode == 2
    assert "TLS is not set" in err
    assert "Traceback" not in err
