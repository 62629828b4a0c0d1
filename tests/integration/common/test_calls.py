"""What surrounds a call, over real sockets: errors, limits, deadlines, retries, traces."""

from __future__ import annotations

import asyncio
import itertools
import logging
import time
from pathlib import Path
from typing import Any

import grpc
import pytest
from google.protobuf.struct_pb2 import Struct
from opentelemetry.proto.collector.trace.v1 import trace_service_pb2_grpc
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from services.common import errors
from services.common.server import (
    ServerSettings,
    Service,
    caller_identity,
    current_deadline,
    start_server,
)
from services.common.telemetry import current_trace
from tests.integration.common.harness import (
    NAME,
    always_healthy,
    client,
    make_telemetry,
    method,
    running,
    stream,
    unary,
    unary_struct,
    until,
)

SECRET = "db password=hunter2"


async def echo(request: bytes, _: Any) -> bytes:
    return request


async def explode(_: Any, __: Any) -> Any:
    raise ValueError(SECRET)


async def test_raw_bytes_go_both_ways_unchanged(run_dir: Path) -> None:
    payload = bytes(range(256)) * 8
    async with running(run_dir, {"Echo": unary(echo)}) as server, client(server.target) as channel:
        await server.wait_serving()
        assert await method(channel, "Echo")(payload) == payload
        assert await method(channel, "Echo")(b"") == b""


async def test_protobuf_methods_are_parsed_and_serialised(run_dir: Path) -> None:
    async def double(request: Struct, _: Any) -> Struct:
        answer = Struct()
        answer["n"] = request["n"] * 2
        return answer

    async with running(run_dir, {"Double": unary_struct(double)}) as server, client(server.target) as channel:
        await server.wait_serving()
        call = channel.unary_unary(
            f"/{NAME}/Double",
            request_serializer=Struct.SerializeToString,
            response_deserializer=Struct.FromString,
        )
        request = Struct()
        request["n"] = 21
        assert (await call(request))["n"] == 42


async def test_an_exceptions_text_reaches_the_log_and_no_client(
    run_dir: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async def explode_late(_: Any, __: Any) -> Any:
        yield b"1"
        raise ValueError(SECRET)

    async def unserialisable(_: Any, __: Any) -> Any:
        return SECRET

    methods = {
        "Explode": unary(explode),
        "ExplodeLate": stream(explode_late),
        "Unserialisable": unary_struct(unserialisable),
    }
    with caplog.at_level(logging.ERROR):
        async with running(run_dir, methods) as server, grpc.aio.insecure_channel(server.target) as plain:
            for name in ("Explode", "Unserialisable"):
                with pytest.raises(grpc.aio.AioRpcError) as caught:
                    await plain.unary_unary(f"/{NAME}/{name}")(b"")
                failure = caught.value
                assert failure.code() is grpc.StatusCode.INTERNAL
                assert failure.details() == "internal error"
                assert "hunter2" not in repr(failure) + repr(failure.trailing_metadata())
                assert errors.from_rpc_error(failure).reason == "INTERNAL"
            with pytest.raises(grpc.aio.AioRpcError) as caught:
                async for _ in plain.unary_stream(f"/{NAME}/ExplodeLate")(b""):
                    pass
            assert caught.value.details() == "internal error"
            assert "hunter2" not in repr(caught.value)

    assert SECRET in caplog.text


@pytest.mark.parametrize(
    "sent",
    [
        errors.InvalidArgument(
            "INVALID_EVENT",
            "fix it",
            violations=[errors.FieldViolation("events[0].time", "IN_FUTURE", "later")],
        ),
        errors.NotFound("EVENT_UNKNOWN", "no such event"),
        errors.Gone(),
        errors.Conflict("CONFLICT", "other content", metadata={"position": "7"}),
        errors.FailedPrecondition("NOT_LOADED", "load first"),
        errors.PolicySetUnknown(),
        errors.StateBehind(metadata={"applied_through": "99"}),
        errors.Unauthenticated("NO_KEY", "send a key"),
        errors.PermissionDenied("NOT_YOURS", "ask its owner"),
        errors.ResourceExhausted("QUEUE_FULL", "come back", retry_after=2.5),
        errors.Unavailable("STARTING", "wait", retry_after=0.25),
        errors.DeadlineExceeded("TOO_SLOW", "took long"),
        errors.Aborted("LOST_RACE", "again"),
        errors.Internal("INTERNAL", "internal error"),
    ],
    ids=lambda error: type(error).__name__,
)
async def test_typed_errors_arrive_as_themselves(run_dir: Path, sent: errors.UsherError) -> None:
    async def fail(_: bytes, __: Any) -> bytes:
        raise sent

    async def fail_stream(_: bytes, __: Any) -> Any:
        yield b"1"
        raise sent

    methods = {"Fail": unary(fail), "FailStream": stream(fail_stream)}
    async with running(run_dir, methods) as server, client(server.target) as channel:
        await server.wait_serving()
        with pytest.raises(errors.UsherError) as caught:
            await method(channel, "Fail")(b"")
        with pytest.raises(errors.UsherError) as streamed:
            async for _ in channel.unary_stream(f"/{NAME}/FailStream")(b""):
                pass

    for got in (caught.value, streamed.value):
        assert type(got) is type(sent)
        assert (got.reason, got.message, got.metadata) == (sent.reason, sent.message, sent.metadata)
        assert (got.violations, got.retry_after) == (sent.violations, sent.retry_after)


async def test_an_error_crosses_two_hops_and_a_task_group(run_dir: Path) -> None:
    async def fail(_: bytes, __: Any) -> bytes:
        raise errors.StateBehind(metadata={"applied_through": "5"})

    async with running(run_dir, {"Fail": unary(fail)}, socket="b.sock") as back, client(back.target) as inner:
        await back.wait_serving()

        async def relay(request: bytes, _: Any) -> bytes:
            async with asyncio.TaskGroup() as group:
                task = group.create_task(_awaited(method(inner, "Fail")(request)))
            return task.result()

        async with running(run_dir, {"Relay": unary(relay)}) as front, client(front.target) as outer:
            await front.wait_serving()
            with pytest.raises(errors.StateBehind) as caught:
                await method(outer, "Relay")(b"")

    assert caught.value.applied_through == "5"


async def _awaited(call: Any) -> bytes:
    answer: bytes = await call
    return answer


@pytest.mark.parametrize(
    "raw", [b"\xff\xff\xff\xff", b"\x0a\x05\x0a\x03\xff\xfe\xfd"], ids=["truncated", "not UTF-8"]
)
async def test_a_malformed_message_is_the_callers_fault(run_dir: Path, raw: bytes) -> None:
    async def unreached(request: Struct, _: Any) -> Struct:
        return request

    async with (
        running(run_dir, {"Struct": unary_struct(unreached)}) as server,
        client(server.target) as channel,
    ):
        await server.wait_serving()
        with pytest.raises(errors.InvalidArgument) as caught:
            await method(channel, "Struct")(raw)
        # The service goes on.
        assert await method(channel, "Struct")(b"") == b""

    assert caught.value.reason == "MALFORMED_MESSAGE"
    assert caught.value.metadata["bytes"] == str(len(raw))


async def test_five_mebibytes_are_too_much_at_either_end(run_dir: Path) -> None:
    big = b"x" * (5 * 1024 * 1024)

    async def swell(_: bytes, __: Any) -> bytes:
        return big

    methods = {"Echo": unary(echo), "Swell": unary(swell)}
    unlimited = [("grpc.max_send_message_length", -1)]
    async with running(run_dir, methods) as server:
        await server.wait_serving()
        async with grpc.aio.insecure_channel(server.target, options=unlimited) as plain:
            with pytest.raises(grpc.aio.AioRpcError) as caught:
                await plain.unary_unary(f"/{NAME}/Echo")(big)
            assert caught.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
        async with client(server.target, timeout=10.0) as channel:
            with pytest.raises(errors.ResourceExhausted):
                await method(channel, "Echo")(big)
            with pytest.raises(errors.ResourceExhausted):
                await method(channel, "Swell")(b"")
            assert await method(channel, "Echo")(b"still here") == b"still here"


async def test_calls_beyond_the_limit_are_refused_with_a_delay(run_dir: Path) -> None:
    release = asyncio.Event()

    async def wait(_: bytes, __: Any) -> bytes:
        await release.wait()
        return b"done"

    telemetry = make_telemetry()
    async with (
        running(run_dir, {"Wait": unary(wait)}, max_in_flight=2, telemetry=telemetry) as server,
        client(server.target, timeout=20.0) as channel,
    ):
        await server.wait_serving()
        calls = [asyncio.ensure_future(_awaited(method(channel, "Wait")(b""))) for _ in range(2)]
        label = {"method": f"{NAME}/Wait"}
        await until(lambda: telemetry.registry.get_sample_value("usher_rpc_server_in_flight", label) == 2)
        with pytest.raises(errors.ResourceExhausted) as caught:
            await method(channel, "Wait")(b"")
        release.set()
        assert await asyncio.gather(*calls) == [b"done", b"done"]

    assert caught.value.reason == "TOO_MANY_CALLS"
    assert caught.value.retry_after == 0.1


async def test_a_deadline_shrinks_over_two_hops(run_dir: Path) -> None:
    seen: dict[str, float] = {}

    async def last(_: bytes, context: Any) -> bytes:
        deadline = current_deadline()
        assert deadline is not None
        seen["last"] = deadline - time.monotonic()
        return b""

    async with (
        running(run_dir, {"Last": unary(last)}, socket="c.sock") as c,
        client(c.target, timeout=30.0) as to_c,
    ):

        async def middle(request: bytes, _: Any) -> bytes:
            deadline = current_deadline()
            assert deadline is not None
            seen["middle"] = deadline - time.monotonic()
            answer: bytes = await method(to_c, "Last")(request)
            return answer

        async with (
            running(run_dir, {"Middle": unary(middle)}) as b,
            client(b.target, timeout=5.0) as to_b,
        ):
            await b.wait_serving()
            await c.wait_serving()
            await method(to_b, "Middle")(b"")

    assert 2.5 < seen["last"] < seen["middle"] <= 5.0
    # Each hop keeps 20 ms back; the clock the peers share is the wall's, so allow it a millisecond.
    assert seen["middle"] - seen["last"] > 0.019


async def test_too_little_time_left_is_refused_before_the_call(run_dir: Path) -> None:
    called = []

    async def last(_: bytes, __: Any) -> bytes:
        called.append(1)
        return b""

    async with running(run_dir, {"Last": unary(last)}, socket="c.sock") as c, client(c.target) as to_c:
        await c.wait_serving()

        async def slow(request: bytes, _: Any) -> bytes:
            deadline = current_deadline()
            assert deadline is not None
            await asyncio.sleep(deadline - time.monotonic() - 0.02)
            answer: bytes = await method(to_c, "Last")(request)
            return answer

        async with running(run_dir, {"Slow": unary(slow)}) as b, client(b.target, timeout=0.3) as to_b:
            await b.wait_serving()
            with pytest.raises(errors.DeadlineExceeded) as caught:
                await method(to_b, "Slow")(b"")

    assert called == []
    # The middle has the reserve to say so itself; on a busy machine the caller's own clock may be first.
    assert caught.value.metadata["method"] in (f"{NAME}/Last", f"{NAME}/Slow")


async def test_a_slow_callee_is_named_with_its_latency(run_dir: Path) -> None:
    started = 0
    cancelled = 0

    async def hang(_: bytes, __: Any) -> bytes:
        nonlocal started, cancelled
        started += 1
        try:
            await asyncio.sleep(300)
        except asyncio.CancelledError:
            cancelled += 1
            raise
        return b""

    telemetry = make_telemetry()
    async with (
        running(run_dir, {"Hang": unary(hang)}, telemetry=telemetry) as server,
        client(server.target, timeout=0.2) as channel,
    ):
        await server.wait_serving()
        # On a busy machine a call may be over before the server has seen it: then no handler was there to cancel.
        async with asyncio.timeout(60):
            while not started:
                with pytest.raises(errors.DeadlineExceeded) as caught:
                    await method(channel, "Hang")(b"")
        await until(lambda: cancelled == started)
        labels = {"method": f"{NAME}/Hang", "code": "CANCELLED"}
        await until(
            lambda: (
                (telemetry.registry.get_sample_value("usher_rpc_server_handled_total", labels) or 0)
                >= started
            )
        )

    assert caught.value.metadata["method"] == f"{NAME}/Hang"
    assert 200 <= int(caught.value.metadata["elapsed_ms"]) < 60_000


async def test_only_idempotent_methods_are_retried(run_dir: Path) -> None:
    attempts = {"Safe": 0, "Unsafe": 0}

    def flaky(name: str) -> Any:
        async def handler(_: bytes, __: Any) -> bytes:
            attempts[name] += 1
            if attempts[name] < 3:
                raise errors.Unavailable("STARTING", "wait")
            return b"third"

        return unary(handler)

    async with (
        running(run_dir, {name: flaky(name) for name in attempts}) as server,
        client(server.target, idempotent=("Safe",)) as channel,
    ):
        await server.wait_serving()
        assert await method(channel, "Safe")(b"") == b"third"
        with pytest.raises(errors.Unavailable, match="STARTING"):
            await method(channel, "Unsafe")(b"")

    assert attempts == {"Safe": 3, "Unsafe": 1}


async def test_an_idempotent_method_is_not_retried_on_other_codes(run_dir: Path) -> None:
    attempts = []

    async def fail(_: bytes, __: Any) -> bytes:
        attempts.append(1)
        raise errors.Aborted("LOST_RACE", "again")

    async with (
        running(run_dir, {"Safe": unary(fail)}) as server,
        client(server.target, idempotent=("Safe",)) as channel,
    ):
        await server.wait_serving()
        with pytest.raises(errors.Aborted):
            await method(channel, "Safe")(b"")

    assert len(attempts) == 1


async def test_spans_are_parent_and_child_over_two_hops(run_dir: Path) -> None:
    exporters = {name: InMemorySpanExporter() for name in ("edge", "front", "back")}
    told = {name: make_telemetry(name, exporter) for name, exporter in exporters.items()}
    seen = []

    async def last(request: bytes, _: Any) -> bytes:
        seen.append(current_trace())
        return request

    async with (
        running(run_dir, {"Last": unary(last)}, socket="c.sock", telemetry=told["back"]) as c,
        client(c.target, telemetry=told["front"]) as to_c,
    ):

        async def middle(request: bytes, _: Any) -> bytes:
            answer: bytes = await method(to_c, "Last")(request)
            return answer

        async with (
            running(run_dir, {"Middle": unary(middle)}, telemetry=told["front"]) as b,
            client(b.target, telemetry=told["edge"]) as to_b,
        ):
            await b.wait_serving()
            await c.wait_serving()
            with told["edge"].span("http") as http:
                await method(to_b, "Middle")(b"")
    for telemetry in told.values():
        telemetry.flush()
    call_middle, root = exporters["edge"].get_finished_spans()
    call_last, serve_middle = exporters["front"].get_finished_spans()
    (serve_last,) = exporters["back"].get_finished_spans()
    for telemetry in told.values():
        telemetry.shutdown()

    chain = [root, call_middle, serve_middle, call_last, serve_last]
    assert [span.kind.name for span in chain] == ["INTERNAL", "CLIENT", "SERVER", "CLIENT", "SERVER"]
    assert {span.context.trace_id for span in chain} == {http.context.trace_id}
    for parent, child in itertools.pairwise(chain):
        assert child.parent is not None
        assert child.parent.span_id == parent.context.span_id
    assert seen[0].trace_id == http.context.trace_id
    assert serve_last.resource.attributes["service.name"] == "back"


async def test_keep_travels_up_with_the_answer(run_dir: Path) -> None:
    exporters = {name: InMemorySpanExporter() for name in ("edge", "back")}
    told = {name: make_telemetry(name, exporter, ratio=0.0) for name, exporter in exporters.items()}

    async def decide(request: bytes, _: Any) -> bytes:
        if request == b"BLOCK":
            told["back"].keep_trace()
        if request == b"FAIL":
            raise ValueError("no")
        return request

    async with (
        running(run_dir, {"Decide": unary(decide)}, telemetry=told["back"]) as server,
        client(server.target, telemetry=told["edge"]) as channel,
    ):
        await server.wait_serving()
        traces = {}
        for request in (b"ALLOW", b"BLOCK", b"FAIL"):
            with told["edge"].span("http") as http:
                traces[http.context.trace_id] = request
                if request == b"FAIL":
                    with pytest.raises(errors.Internal):
                        await method(channel, "Decide")(request)
                else:
                    await method(channel, "Decide")(request)
    kept = {}
    for name, telemetry in told.items():
        telemetry.flush()
        kept[name] = [traces[span.context.trace_id] for span in exporters[name].get_finished_spans()]
        telemetry.shutdown()

    assert kept == {"edge": [b"BLOCK", b"BLOCK", b"FAIL", b"FAIL"], "back": [b"BLOCK", b"FAIL"]}


async def test_trace_ids_travel_without_any_exporter(run_dir: Path) -> None:
    seen = []

    async def note(request: bytes, _: Any) -> bytes:
        seen.append(current_trace())
        return request

    telemetry = make_telemetry(ratio=0.0)
    async with running(run_dir, {"Note": unary(note)}) as server, client(server.target) as channel:
        await server.wait_serving()
        with telemetry.span("http") as http:
            await method(channel, "Note")(b"")
        await method(channel, "Note")(b"")

    assert seen[0].trace_id == http.context.trace_id
    assert seen[0].sampled is False
    assert seen[1].trace_id != http.context.trace_id


async def test_metrics_carry_the_code_the_caller_sees(run_dir: Path) -> None:
    server_side, client_side = make_telemetry(), make_telemetry()

    async def fail(_: bytes, __: Any) -> bytes:
        raise errors.NotFound("EVENT_UNKNOWN", "no")

    methods = {"Echo": unary(echo), "Fail": unary(fail), "Explode": unary(explode)}
    async with (
        running(run_dir, methods, telemetry=server_side) as server,
        client(server.target, telemetry=client_side) as channel,
    ):
        await server.wait_serving()
        await method(channel, "Echo")(b"")
        for name in ("Fail", "Explode"):
            with pytest.raises(errors.UsherError):
                await method(channel, name)(b"")

    for telemetry, side in ((server_side, "server"), (client_side, "client")):
        for name, code in (("Echo", "OK"), ("Fail", "NOT_FOUND"), ("Explode", "INTERNAL")):
            labels = {"method": f"{NAME}/{name}", "code": code}
            assert telemetry.registry.get_sample_value(f"usher_rpc_{side}_handled_total", labels) == 1, (
                side,
                name,
            )
            labels.pop("code")
            assert telemetry.registry.get_sample_value(f"usher_rpc_{side}_in_flight", labels) == 0
            assert telemetry.registry.get_sample_value(f"usher_rpc_{side}_seconds_count", labels) == 1


async def test_a_call_nobody_awaits_is_counted_as_such(run_dir: Path) -> None:
    telemetry = make_telemetry()
    async with (
        running(run_dir, {"Echo": unary(echo)}) as server,
        client(server.target, telemetry=telemetry) as channel,
    ):
        await server.wait_serving()
        call = method(channel, "Echo")(b"")
        del call
        labels = {"method": f"{NAME}/Echo", "code": "ABANDONED"}
        assert telemetry.registry.get_sample_value("usher_rpc_client_handled_total", labels) == 1


async def test_streams_deliver_in_order_and_stop_when_left(run_dir: Path) -> None:
    closed = asyncio.Event()

    async def count(_: bytes, __: Any) -> Any:
        try:
            number = 0
            while True:
                yield str(number).encode()
                number += 1
                await asyncio.sleep(0.001)
        finally:
            closed.set()

    async with running(run_dir, {"Count": stream(count)}) as server, client(server.target) as channel:
        await server.wait_serving()
        call = channel.unary_stream(f"/{NAME}/Count")(b"")
        got = []
        async for item in call:
            got.append(item)
            if len(got) == 3:
                break
        call.cancel()
        async with asyncio.timeout(60):
            await closed.wait()

    assert got == [b"0", b"1", b"2"]


async def test_a_stream_ends_and_keeps_its_code(run_dir: Path) -> None:
    telemetry = make_telemetry()

    async def three(_: bytes, __: Any) -> Any:
        for number in range(3):
            yield str(number).encode()

    async with (
        running(run_dir, {"Three": stream(three)}, telemetry=telemetry) as server,
        client(server.target) as channel,
    ):
        await server.wait_serving()
        assert [item async for item in channel.unary_stream(f"/{NAME}/Three")(b"")] == [b"0", b"1", b"2"]
        reader = channel.unary_stream(f"/{NAME}/Three")(b"")
        assert [await reader.read() for _ in range(4)] == [b"0", b"1", b"2", grpc.aio.EOF]

    labels = {"method": f"{NAME}/Three", "code": "OK"}
    assert telemetry.registry.get_sample_value("usher_rpc_server_handled_total", labels) == 2


async def test_a_synchronous_handler_is_refused_at_registration(run_dir: Path) -> None:
    def blocking(request: bytes, _: Any) -> bytes:
        return request

    with pytest.raises(TypeError, match="async"):
        await running(run_dir, {"Blocking": grpc.unary_unary_rpc_method_handler(blocking)}).start()


async def test_a_method_left_to_the_generated_base_is_unimplemented(run_dir: Path) -> None:
    base = Service(
        trace_service_pb2_grpc.add_TraceServiceServicer_to_server,
        trace_service_pb2_grpc.TraceServiceServicer(),
        "opentelemetry.proto.collector.trace.v1.TraceService",
    )
    settings = ServerSettings(f"unix:{run_dir}/a.sock", drain_notice=0.0)
    telemetry = make_telemetry()
    async with (
        start_server(settings, [base], healthy=always_healthy, telemetry=telemetry) as server,
        grpc.aio.insecure_channel(server.target) as plain,
    ):
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await plain.unary_unary(f"/{base.name}/Export")(b"")

    assert caught.value.code() is grpc.StatusCode.UNIMPLEMENTED
    labels = {"method": f"{base.name}/Export", "code": "UNIMPLEMENTED"}
    assert telemetry.registry.get_sample_value("usher_rpc_server_handled_total", labels) == 1


async def test_the_caller_over_plaintext_is_loopback(run_dir: Path) -> None:
    async def whoami(_: bytes, __: Any) -> bytes:
        return caller_identity().encode()

    async with (
        running(run_dir, {"WhoAmI": unary(whoami)}, callers={}) as server,
        client(server.target) as channel,
    ):
        await server.wait_serving()
        assert await method(channel, "WhoAmI")(b"") == b"loopback"
