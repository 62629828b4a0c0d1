"""The service over a real server, and as a process of its own."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from pathlib import Path

import grpc
import pytest

from services.common.errors import InvalidArgument, PolicySetUnknown, from_rpc_error
from services.common.policy import Part, PolicySetCache, write_policy_set
from services.common.server import ServerSettings, Service, start_server
from services.common.telemetry import TelemetrySettings, start_telemetry
from services.scoring import rules
from services.scoring.engine import Engines
from services.scoring.servicer import ScoringServicer
from usher.decision.v1 import decision_pb2
from usher.event.v1 import event_pb2
from usher.policy.v1 import policy_pb2
from usher.scoring.v1 import scoring_pb2, scoring_pb2_grpc

NAME = "usher.scoring.v1.ScoringService"
DEFAULTS = Path(rules.__file__).parent / "defaults"


@pytest.fixture(scope="module")
def policies(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    directory = tmp_path_factory.mktemp("policies")
    parts = [
        Part(policy_pb2.PART_KIND_SCORING_RULES, "outcomes", (DEFAULTS / "outcomes.yaml").read_bytes()),
        Part(policy_pb2.PART_KIND_MODEL, "ensemble", (DEFAULTS / "ensemble.onnx").read_bytes()),
        Part(policy_pb2.PART_KIND_MODEL_CARD, "ensemble", (DEFAULTS / "ensemble.json").read_bytes()),
        Part(policy_pb2.PART_KIND_MODEL_CARD, "trees", (DEFAULTS / "trees.json").read_bytes()),
        Part(policy_pb2.PART_KIND_NORMS, "population", (DEFAULTS / "norms.json").read_bytes()),
    ]
    return directory, write_policy_set(directory, parts)


def request(policy_set: str, count: int = 1) -> scoring_pb2.DecideEventsRequest:
    asked = scoring_pb2.DecideEventsRequest(
        tenant="t",
        policy_set=policy_set,
        profiles=[b""],
        profile_of=[0] * count,
        modes=[decision_pb2.MODE_ENFORCE] * 8,
    )
    for number in range(count):
        event = event_pb2.Event(
            event_id=f"e{number}", device_id="d", event_type="play", ip_address="192.0.2.1"
        )
        event.event_time.seconds = 1_790_000_000 + number
        asked.events.append(event.SerializeToString())
    return asked


async def test_decides_over_a_real_server(policies: tuple[Path, str]) -> None:
    directory, policy_set = policies
    telemetry = start_telemetry("scoring", TelemetrySettings())
    service = Service(
        scoring_pb2_grpc.add_ScoringServiceServicer_to_server,
        ScoringServicer(Engines(PolicySetCache(directory))),
        NAME,
    )

    async def healthy() -> None:
        return None

    settings = ServerSettings(address="127.0.0.1:0", drain_notice=0.0)
    async with (
        start_server(settings, [service], healthy=healthy, telemetry=telemetry, callers={}) as server,
        grpc.aio.insecure_channel(server.target) as channel,
    ):
        stub = scoring_pb2_grpc.ScoringServiceStub(channel)
        answer = await stub.DecideEvents(request(policy_set, 100), timeout=20)
        assert len(answer.decisions) == 100
        last = decision_pb2.Decision.FromString(answer.decisions[-1])
        assert last.numbers[decision_pb2.NUMBER_INDEX_PROFILE_EVENTS] == 99
        with pytest.raises(grpc.aio.AioRpcError) as unknown:
            await stub.DecideEvents(request("ps_" + "0" * 32), timeout=20)
        assert isinstance(from_rpc_error(unknown.value), PolicySetUnknown)
        with pytest.raises(grpc.aio.AioRpcError) as empty:
            await stub.DecideEvents(scoring_pb2.DecideEventsRequest(tenant="t"), timeout=20)
        refused = from_rpc_error(empty.value)
        assert isinstance(refused, InvalidArgument)
        assert refused.reason == "NO_EVENTS"
        listed = await stub.ListFeatures(scoring_pb2.ListFeaturesRequest(policy_set=policy_set), timeout=20)
        assert listed.features[0].name == "events_1m"
        told = await stub.ListSegments(scoring_pb2.ListSegmentsRequest(policy_set=policy_set), timeout=20)
        by_segment = {one.segment: one for one in told.segments}
        assert len(by_segment) == 6
        suspicious = by_segment[decision_pb2.SEGMENT_SUSPICIOUS]
        assert (suspicious.threshold, suspicious.second_factor, suspicious.session_limit) == (
            3.0,
            "always",
            1,
        )
        assert by_segment[decision_pb2.SEGMENT_POWER].new_devices_allowed
    telemetry.shutdown()


async def test_a_large_batch_leaves_the_loop_free(policies: tuple[Path, str]) -> None:
    directory, policy_set = policies
    engine = await Engines(PolicySetCache(directory)).get(policy_set)
    turns = 0

    async def count_turns() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    counting = asyncio.create_task(count_turns())
    await engine.decide_async(request(policy_set, 2000))
    counting.cancel()
    # 2,000 events are read in 32 pieces; other tasks run between any two of them.
    assert turns > 32


async def test_runs_as_a_process_from_its_environment_and_drains(
    policies: tuple[Path, str], short_tmp_path: Path
) -> None:
    directory, policy_set = policies
    socket = short_tmp_path / "s.sock"
    environment = {
        **{name: value for name, value in os.environ.items() if not name.startswith("USHER_")},
        "USHER_SCORING_SERVER_ADDRESS": f"unix:{socket}",
        "USHER_POLICY_DIR": str(directory),
        "PYTHONPATH": os.pathsep.join(sys.path),
    }
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "services.scoring", env=environment, stderr=asyncio.subprocess.PIPE
    )
    try:
        async with grpc.aio.insecure_channel(f"unix:{socket}") as channel:
            stub = scoring_pb2_grpc.ScoringServiceStub(channel)
            answer = await stub.DecideEvents(request(policy_set), timeout=30, wait_for_ready=True)
            assert list(answer.outcomes) == [decision_pb2.OUTCOME_ALLOW]
        process.send_signal(signal.SIGTERM)
        _, errors = await asyncio.wait_for(process.communicate(), 20)
        assert process.returncode == 0, errors.decode()
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


async def test_a_serving_process_imports_neither_training_nor_simulator() -> None:
    heavy = ("sklearn", "onnx", "simulator", "scipy")
    code = f"import sys, services.scoring.__main__; print([m for m in {heavy} if m in sys.modules])"
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-c",
        code,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        stdout=asyncio.subprocess.PIPE,
    )
    out, _ = await process.communicate()
    assert out.decode().strip() == "[]"
