"""Fraud as a process of its own, called over gRPC: every RPC, loss and restore of memory, what is refused."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc

from services.common import errors
from services.common.policy import Part, build_default, write_policy_set
from tests.servers import RedisServer
from usher.decision.v1 import decision_pb2
from usher.event.v1 import event_pb2
from usher.fraud.v1 import fraud_pb2, fraud_pb2_grpc
from usher.policy.v1 import policy_pb2

ROOT = Path(__file__).resolve().parents[3]
T0 = 1_795_348_800_000
STARTUP_SECONDS = 30


class Fraud:
    """The process and a stub to it."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self.env = {
            "USHER_FRAUD_SERVER_ADDRESS": f"unix:{home}/fraud.sock",
            "USHER_FRAUD_DATABASE_URL": f"sqlite:///{home}/fraud.db",
            "USHER_FRAUD_POLICY_DIR": str(home / "policy"),
            "USHER_FRAUD_SNAPSHOT_DIR": str(home / "memory"),
        }
        self.policy_set = write_policy_set(
            home / "policy",
            [
                Part(
                    policy_pb2.PART_KIND_FRAUD_PARAMETERS,
                    "parameters",
                    (ROOT / "services/fraud/defaults/parameters.yaml").read_bytes(),
                )
            ],
        )
        self.process: asyncio.subprocess.Process | None = None

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[fraud_pb2_grpc.FraudServiceAsyncStub]:
        inherited = {k: v for k, v in os.environ.items() if not k.startswith("USHER_")}
        inherited["PYTHONPATH"] = f"{ROOT}{os.pathsep}{ROOT / 'proto'}"
        log = (self.home / "log").open("ab")
        self.process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "services.fraud", env={**inherited, **self.env}, stderr=log, cwd=self.home
        )
        channel = grpc.aio.insecure_channel(self.env["USHER_FRAUD_SERVER_ADDRESS"])
        try:
            async with asyncio.timeout(STARTUP_SECONDS):
                while not await self.serving(channel):
                    assert self.process.returncode is None, (self.home / "log").read_text()
                    await asyncio.sleep(0.05)
            yield fraud_pb2_grpc.FraudServiceStub(channel)
        finally:
            await channel.close()
            log.close()
            if self.process.returncode is None:
                self.process.send_signal(signal.SIGTERM)
                assert await asyncio.wait_for(self.process.wait(), 20) == 0, (self.home / "log").read_text()

    async def serving(self, channel: grpc.aio.Channel) -> bool:
        try:
            answer = await health_pb2_grpc.HealthStub(channel).Check(
                health_pb2.HealthCheckRequest(service="usher.fraud.v1.FraudService"), timeout=1
            )
        except grpc.aio.AioRpcError:
            return False
        return answer.status == health_pb2.HealthCheckResponse.SERVING

    async def kill(self) -> None:
        assert self.process is not None
        self.process.kill()
        await self.process.wait()


@pytest.fixture
def fraud(short_tmp_path: Path) -> Fraud:
    return Fraud(short_tmp_path)


def event(
    event_id: str, user: str, *, device: str = "", seconds: int = 0, kind: str = "play", **fields: str
) -> bytes:
    message = event_pb2.Event(
        event_id=event_id, user_id=user, device_id=device or f"device-{user}", event_type=kind, region="DE",
        ip_address=fields.pop("address", f"10.1.{len(user)}.{sum(user.encode()) % 250}"), **fields,
    )  # fmt: skip
    if device:
        # Who shares a device here shares a card and the address of the sign-up, too.
        message.payment_fingerprint = f"card-of-{device}"
        message.account.signup_ip_address = f"203.0.113.{sum(device.encode()) % 250}"
    message.event_time.FromMilliseconds(T0 + seconds * 1000)
    return message.SerializeToString()


def batch(
    fraud: Fraud, *events: bytes, committed: int = 0, time_ms: int = T0, flags: list[int] | None = None
) -> fraud_pb2.AssessEventsRequest:
    return fraud_pb2.AssessEventsRequest(
        tenant="acme", policy_set=fraud.policy_set, events=events, committed_through_ms=committed,
        batch_time_ms=time_ms, item_flags=flags or [],
    )  # fmt: skip


def rows(answer: fraud_pb2.AssessEventsResponse) -> list[list[float]]:
    width = answer.signal_width
    return [list(answer.signals[i : i + width]) for i in range(0, len(answer.signals), width)]


def parsed(answer: fraud_pb2.AssessEventsResponse) -> list[decision_pb2.Assessment]:
    return [decision_pb2.Assessment.FromString(content) for content in answer.assessments]


DEVICE_ACCOUNTS = decision_pb2.SIGNAL_INDEX_DEVICE_ACCOUNTS


async def refusal(call: object) -> errors.UsherError:
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await call  # type: ignore[misc]
    return errors.from_rpc_error(caught.value)


async def test_a_ring_from_first_sight_to_the_list(fraud: Fraud) -> None:
    async with fraud.running() as stub:
        members = [f"member{i}" for i in range(6)]
        first = await stub.AssessEvents(
            batch(fraud, *(event(f"e{i}", member, device="dev_A") for i, member in enumerate(members)))
        )
        assert [row[DEVICE_ACCOUNTS] for row in rows(first)] == [0, 1, 2, 3, 4, 5]
        assert all(not assessment.ring_id for assessment in parsed(first))
        again = await stub.AssessEvents(
            batch(
                fraud, event("x", "member3", device="dev_A", seconds=9), event("y", "alone"), time_ms=T0 + 1
            )
        )
        in_ring, alone = parsed(again)
        assert in_ring.ring_id.startswith("ring_")
        assert rows(again)[0][decision_pb2.SIGNAL_INDEX_RING_MEMBERS] == 6
        assert decision_pb2.REASON_CODE_RING_MEMBER in [reason.code for reason in in_ring.evidence]
        assert alone.ring_id == ""
        listed = await stub.ListRings(fraud_pb2.ListRingsRequest(tenant="acme"))
        [ring] = listed.rings
        assert (ring.ring_id, list(ring.members), ring.flagged) == (in_ring.ring_id, members, True)
        assert listed.next_page_token == ""
        other = await stub.ListRings(fraud_pb2.ListRingsRequest(tenant="other"))
        assert len(other.rings) == 0
    # The id survives the process, and the memory its snapshot.
    async with fraud.running() as stub:
        late = await stub.AssessEvents(
            batch(fraud, event("z", "member0", device="dev_A", seconds=20), committed=T0 + 1, time_ms=T0 + 2)
        )
        assert parsed(late)[0].ring_id == in_ring.ring_id


async def test_analysts_look_at_a_ring_and_dismiss_it_for_good(fraud: Fraud) -> None:
    members = [f"member{i}" for i in range(6)]
    async with fraud.running() as stub:
        await stub.AssessEvents(
            batch(fraud, *(event(f"e{i}", m, device="dev_A") for i, m in enumerate(members)))
        )
        seen = await stub.AssessEvents(batch(fraud, event("x", "member3", device="dev_A", seconds=9)))
        ring_id = parsed(seen)[0].ring_id
        card = await stub.GetRing(fraud_pb2.GetRingRequest(tenant="acme", ring_id=ring_id))
        assert list(card.neighbourhood.accounts) == members
        shared = {resource.kind: resource.accounts for resource in card.neighbourhood.resources}
        assert shared[fraud_pb2.RESOURCE_KIND_DEVICE] == shared[fraud_pb2.RESOURCE_KIND_PAYMENT] == 6
        assert "dev_A" not in str(card)
        near = await stub.GetNeighbourhood(
            fraud_pb2.GetNeighbourhoodRequest(tenant="acme", user_id="member1")
        )
        assert [(group.ring_id, list(group.why_not)) for group in near.groups] == [(ring_id, [])]
        untied = fraud_pb2.GetNeighbourhoodRequest(tenant="acme", user_id="nobody")
        assert isinstance(await refusal(stub.GetNeighbourhood(untied)), errors.NotFound)
        wrong = fraud_pb2.SetRingStatusRequest(tenant="acme", ring_id=ring_id)
        assert (await refusal(stub.SetRingStatus(wrong))).reason == "RING_STATUS_INVALID"
        confirmed = await stub.SetRingStatus(
            fraud_pb2.SetRingStatusRequest(
                tenant="acme", ring_id=ring_id, status=fraud_pb2.RING_STATUS_CONFIRMED, decided_by="ann"
            )
        )
        assert confirmed.ring.status == fraud_pb2.RING_STATUS_CONFIRMED
        again = await stub.AssessEvents(batch(fraud, event("y", "member3", device="dev_A", seconds=19)))
        assert rows(again)[0][decision_pb2.SIGNAL_INDEX_RING_CONFIRMED] == 1
        assert rows(again)[0][decision_pb2.SIGNAL_INDEX_NETWORK_RISK] == 1
        friend = await stub.AssessEvents(
            batch(
                fraud,
                event("f1", "friend", device="dev_A", seconds=20, kind="pause"),
                event("f2", "friend", device="dev_A", seconds=21, kind="pause"),
            )
        )
        assert rows(friend)[1][decision_pb2.SIGNAL_INDEX_RING_CONFIRMED] == 1
        await stub.SetRingStatus(
            fraud_pb2.SetRingStatusRequest(
                tenant="acme", ring_id=ring_id, status=fraud_pb2.RING_STATUS_DISMISSED, note="a choir"
            )
        )
    async with fraud.running() as stub:
        after = await stub.AssessEvents(
            batch(fraud, event("z", "member0", device="dev_A", seconds=30), committed=T0, time_ms=T0 + 2)
        )
        assert (parsed(after)[0].ring_id, rows(after)[0][decision_pb2.SIGNAL_INDEX_RING_MEMBERS]) == ("", 0)
        assert not (await stub.ListRings(fraud_pb2.ListRingsRequest(tenant="acme"))).rings
        dismissed = await stub.ListRings(
            fraud_pb2.ListRingsRequest(tenant="acme", status=fraud_pb2.RING_STATUS_DISMISSED)
        )
        assert [ring.note for ring in dismissed.rings] == ["a choir"]


async def test_an_address_is_described(fraud: Fraud) -> None:
    async with fraud.running() as stub:
        await stub.AssessEvents(
            batch(
                fraud,
                *(event(f"f{i}", f"u{i}", kind="login_failed", address="192.0.2.77") for i in range(12)),
            )
        )
        known = await stub.DescribeAddress(
            fraud_pb2.DescribeAddressRequest(tenant="acme", ip_address="192.0.2.77")
        )
        assert (known.accounts, known.address_class) == (12, fraud_pb2.ADDRESS_CLASS_CARRIER)
        assert {(reason.code, reason.count) for reason in known.reasons} == {
            ("accounts_failed", 12),
            ("failed_sign_ins", 12),
        }
        bad = fraud_pb2.DescribeAddressRequest(tenant="acme", ip_address="nowhere")
        assert (await refusal(stub.DescribeAddress(bad))).reason == "ADDRESS_INVALID"


async def test_a_killed_memory_is_behind_until_it_is_restored(fraud: Fraud) -> None:
    events = [event(f"e{i}", f"u{i}", device="tv") for i in range(4)]
    async with fraud.running() as stub:
        await stub.AssessEvents(batch(fraud, *events))
        await fraud.kill()
    async with fraud.running() as stub:
        request = batch(fraud, event("next", "u1", device="tv", seconds=5), committed=T0, time_ms=T0 + 10)
        behind = await refusal(stub.AssessEvents(request))
        assert isinstance(behind, errors.StateBehind)
        assert behind.metadata["applied_through_ms"] == "0"
        piece = await stub.Restore(fraud_pb2.RestoreRequest(tenant="acme", events=events[:3]))
        assert (piece.applied, piece.applied_through_ms) == (3, 0)
        assert isinstance(await refusal(stub.AssessEvents(request)), errors.StateBehind)
        last = await stub.Restore(
            fraud_pb2.RestoreRequest(tenant="acme", events=events[1:], complete_through_ms=T0)
        )
        assert (last.applied, last.applied_through_ms) == (3, T0)
        answer = await stub.AssessEvents(request)
        assert rows(answer)[0][DEVICE_ACCOUNTS] == 3


async def test_flags_are_honoured(fraud: Fraud) -> None:
    def flag(name: int) -> int:
        return 1 << name

    async with fraud.running() as stub:
        flags = [flag(event_pb2.ITEM_FLAG_OLD), flag(event_pb2.ITEM_FLAG_SUPPRESSED),
                 flag(event_pb2.ITEM_FLAG_FOLD_ONLY), flag(event_pb2.ITEM_FLAG_LATE), 0]  # fmt: skip
        request = batch(fraud, *(event(f"e{i}", f"u{i}", device="tv") for i in range(5)), flags=flags)
        request.places.flags.extend([flag(event_pb2.PLACE_FLAG_TOR)] * 5)
        answer = await stub.AssessEvents(request)
        # Neither the old nor the suppressed event is remembered; the folded one is, and answers nothing.
        assert [row[DEVICE_ACCOUNTS] for row in rows(answer)] == [0, 0, 0, 1, 2]
        tor = [[reason.code for reason in assessment.evidence] for assessment in parsed(answer)]
        found = [decision_pb2.REASON_CODE_TOR_EXIT]
        assert tor == [found, [], [], found, found]
        assert [len(content) > 0 for content in answer.assessments] == [True, False, False, True, True]


async def test_stuffing_from_one_address(fraud: Fraud) -> None:
    async with fraud.running() as stub:
        attack = [
            event(f"f{i}", f"u{i}", kind="login_failed", address="203.0.113.9", seconds=i) for i in range(300)
        ]
        await stub.AssessEvents(batch(fraud, *attack))
        answer = await stub.AssessEvents(batch(fraud, event("x", "v", address="203.0.113.9", seconds=300)))
        [assessment] = parsed(answer)
        codes = [reason.code for reason in assessment.evidence]
        assert codes == [decision_pb2.REASON_CODE_CREDENTIAL_STUFFING]
        assert list(assessment.evidence[0].values) == [300, 300]


async def test_what_is_refused(fraud: Fraud) -> None:
    async with fraud.running() as stub:
        good = event("e", "u")
        bad_tenant = fraud_pb2.AssessEventsRequest(tenant="", policy_set=fraud.policy_set, events=[good])
        unknown = fraud_pb2.AssessEventsRequest(tenant="acme", policy_set="ps_" + "0" * 32, events=[good])
        short = batch(fraud, good, good)
        short.places.asn.extend([1])
        cases = [
            (stub.AssessEvents(bad_tenant), errors.InvalidArgument, "TENANT_INVALID"),
            (stub.AssessEvents(unknown), errors.PolicySetUnknown, "POLICY_SET_UNKNOWN"),
            (stub.AssessEvents(short), errors.InvalidArgument, "COLUMN_LENGTH"),
            (stub.AssessEvents(batch(fraud, good, b"\xff\xff")), errors.InvalidArgument, "MALFORMED_EVENT"),
            (stub.AssessEvents(batch(fraud, *[good] * 2001)), errors.InvalidArgument, "TOO_MANY_EVENTS"),
            (stub.Restore(fraud_pb2.RestoreRequest(tenant="a b")), errors.InvalidArgument, "TENANT_INVALID"),
            (
                stub.ListRings(fraud_pb2.ListRingsRequest(tenant="acme", page_token="x")),
                errors.InvalidArgument,
                "PAGE_TOKEN_INVALID",
            ),
        ]
        for call, kind, reason in cases:
            error = await refusal(call)
            assert (type(error), error.reason) == (kind, reason)


async def test_pages_of_rings(fraud: Fraud) -> None:
    async with fraud.running() as stub:
        events = [
            event(f"{ring}-{i}", f"r{ring}u{i}", device=f"tv{ring}")
            for ring in range(5)
            for i in range(5 + ring)
        ]
        await stub.AssessEvents(batch(fraud, *events))
        await stub.AssessEvents(batch(fraud, *(event(f"t{ring}", f"r{ring}u0") for ring in range(5))))
        sizes, token = [], ""
        while True:
            page = await stub.ListRings(
                fraud_pb2.ListRingsRequest(tenant="acme", page_size=2, page_token=token)
            )
            sizes.append([ring.member_count for ring in page.rings])
            token = page.next_page_token
            if not token:
                break
        assert sizes == [[9, 8], [7, 6], [5]]


async def test_two_processes_share_one_redis(short_tmp_path: Path) -> None:
    with RedisServer(durable=True) as server:
        stubs = []
        async with contextlib.AsyncExitStack() as stack:
            for name in ("a", "b"):
                home = short_tmp_path / name
                home.mkdir()
                replica = Fraud(home)
                del replica.env["USHER_FRAUD_SNAPSHOT_DIR"]
                replica.env["USHER_FRAUD_DATABASE_URL"] = f"sqlite:///{short_tmp_path}/fraud.db"
                (home / "url").write_text(server.url)
                replica.env["USHER_FRAUD_MEMORY_REDIS_URL_FILE"] = str(home / "url")
                stubs.append(await stack.enter_async_context(replica.running()))
            events = [event(f"e{i}", f"u{i}", device="tv") for i in range(6)]
            answers = [await stubs[i % 2].AssessEvents(batch(replica, item)) for i, item in enumerate(events)]
            assert [rows(answer)[0][DEVICE_ACCOUNTS] for answer in answers] == [0, 1, 2, 3, 4, 5]
            ids = []
            for stub in stubs:
                probe = batch(replica, event("x", "u1", device="tv", seconds=9), committed=T0)
                ids.append(parsed(await stub.AssessEvents(probe))[0].ring_id)
            assert ids[0] == ids[1] != ""


async def test_settings_that_are_wrong_stop_the_start(fraud: Fraud) -> None:
    env = {k: v for k, v in os.environ.items() if not k.startswith("USHER_")}
    env |= {**fraud.env, "PYTHONPATH": f"{ROOT}{os.pathsep}{ROOT / 'proto'}"}
    del env["USHER_FRAUD_SNAPSHOT_DIR"]
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "services.fraud", env=env, stderr=asyncio.subprocess.PIPE
    )
    _, text = await process.communicate()
    assert process.returncode == 2
    assert b"snapshot_dir" in text


def test_the_default_policy_set_holds_the_parameters(tmp_path: Path) -> None:
    from services.common.policy import read_policy_set

    policy_set = read_policy_set(tmp_path, build_default(tmp_path))
    assert b"impossible_kmh" in policy_set.part(policy_pb2.PART_KIND_FRAUD_PARAMETERS, "parameters")
