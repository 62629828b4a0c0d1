"""The mesh as processes, for tests and benchmarks: any number of each service, on SQLite or PostgreSQL and Redis.

    with Mesh(folder) as mesh:
        with mesh.ingest() as ingest:            # a blocking client of the front door
            ingest.decide([event, ...])
        mesh.kill("scoring")                     # SIGKILL
        mesh.start("scoring")

Everything listens on unix sockets in a private folder and dies with this process.
"""

from __future__ import annotations

import contextlib
import ctypes
import itertools
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Mapping
from pathlib import Path
from socket import create_server
from typing import Any

import grpc
import httpx
from grpc_health.v1 import health_pb2, health_pb2_grpc

from services.common.policy import build_default
from usher.event.v1 import event_pb2
from usher.ingest.v1 import ingest_pb2, ingest_pb2_grpc

# This process starts others while gRPC runs in it; its fork handlers would kill some of them before they begin (grpc
# issue 43055). The value at the import of grpc counts: tests/conftest.py and bench/__init__.py set it before; a script
# that imports this module should have it in its environment.
os.environ["GRPC_ENABLE_FORK_SUPPORT"] = "false"

ROOT = Path(__file__).resolve().parent.parent
LEAVES = ("compliance", "scoring", "fraud", "alerts")
SERVICES = (*LEAVES, "ingest")
_LIBC = ctypes.CDLL(None)
_PR_SET_PDEATHSIG = 1


def _die_with_parent() -> None:
    _LIBC.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


def free_port() -> int:
    with create_server(("127.0.0.1", 0)) as probe:
        return int(probe.getsockname()[1])


class Process:
    """One process of the mesh."""

    def __init__(
        self, name: str, module: str, socket: Path, env: Mapping[str, str], log: Path, http: str = ""
    ) -> None:
        self.name = name
        self.module = module
        self.socket = socket
        self.http = http
        self.env = dict(env)
        self.log = log
        self.popen: subprocess.Popen[bytes] | None = None

    def start(self, extra: Mapping[str, str] | None = None) -> None:
        """Starts it; `extra` holds for this run only."""
        with self.log.open("ab") as log:
            self.popen = subprocess.Popen(
                [sys.executable, "-P", "-m", self.module],
                cwd=ROOT,
                env={**self.env, **(extra or {})},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                preexec_fn=_die_with_parent,
            )

    @property
    def pid(self) -> int:
        assert self.popen is not None
        return self.popen.pid

    @property
    def running(self) -> bool:
        return self.popen is not None and self.popen.poll() is None

    def wait_serving(self, timeout: float = 120.0) -> None:
        """Returns once its health says SERVING."""
        end = time.monotonic() + timeout
        while time.monotonic() < end:
            if not self.running:
                raise AssertionError(f"{self.name} ended: {self.tail()}")
            if self.http:
                with contextlib.suppress(httpx.TransportError):
                    if httpx.get(f"{self.http}/healthz", timeout=2.0, trust_env=False).status_code == 200:
                        return
            elif self.socket.exists():
                options = [("grpc.use_local_subchannel_pool", 1)]
                with grpc.insecure_channel(f"unix:{self.socket}", options=options) as channel:
                    try:
                        answer = health_pb2_grpc.HealthStub(channel).Check(
                            health_pb2.HealthCheckRequest(), timeout=1.0
                        )
                    except grpc.RpcError:
                        answer = None
                if answer is not None and answer.status == health_pb2.HealthCheckResponse.SERVING:
                    return
            time.sleep(0.05)
        raise AssertionError(f"{self.name} does not serve after {timeout:g} s: {self.tail()}")

    def stop(self, number: int = signal.SIGTERM, timeout: float = 30.0) -> int:
        """Sends a signal and returns the exit status."""
        assert self.popen is not None
        if self.popen.poll() is None:
            self.popen.send_signal(number)
        return self.popen.wait(timeout)

    def tail(self, size: int = 3000) -> str:
        """The end of its log."""
        return self.log.read_text(errors="replace")[-size:] if self.log.exists() else ""


class Mesh:
    """A mesh in a folder. `replicas` says how many of each service; `env` is added to every process.

    With `gateway` there is HTTP too, at the address `http`.
    """

    def __init__(
        self,
        folder: Path,
        *,
        replicas: Mapping[str, int] | None = None,
        database_url: str | None = None,
        redis_url: str | None = None,
        env: Mapping[str, str] | None = None,
        enforcing: Iterable[str] = ("dev",),
        gateway: bool = False,
    ) -> None:
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        self.run = Path(tempfile.mkdtemp(prefix="usher-t-", dir="/tmp"))
        self.policy = folder / "policy"
        self.policy_set = build_default(self.policy)
        self.database_url = database_url
        self.processes: dict[str, list[Process]] = {}
        counts = {name: (replicas or {}).get(name, 1) for name in SERVICES}
        sockets = {
            name: [self.run / f"{name}{number}.sock" for number in range(count)]
            for name, count in counts.items()
        }
        base = {key: value for key, value in os.environ.items() if not key.startswith("USHER_")}
        base |= {"GRPC_ENABLE_FORK_SUPPORT": "false", **(env or {})}
        for name in SERVICES:
            self.processes[name] = []
            for number, socket in enumerate(sockets[name]):
                prefix = f"USHER_{name.upper()}_"
                own = dict(base)
                own[f"{prefix}SERVER_ADDRESS"] = f"unix:{socket}"
                own.setdefault(f"{prefix}SERVER_DRAIN_NOTICE", "0.1")
                if name in ("compliance", "scoring", "fraud", "ingest"):
                    own[f"{prefix}POLICY_DIR"] = str(self.policy)
                if name in ("ingest", "compliance", "fraud", "alerts"):
                    own[f"{prefix}DATABASE_URL"] = database_url or f"sqlite:///{folder / name}.db"
                if name == "fraud":
                    if redis_url is None:
                        own["USHER_FRAUD_SNAPSHOT_DIR"] = str(folder / f"fraud{number}")
                    else:
                        file = folder / "redis-url"
                        file.write_text(redis_url)
                        own["USHER_FRAUD_MEMORY_REDIS_URL_FILE"] = str(file)
                        own["USHER_FRAUD_ALLOW_VOLATILE_MEMORY"] = "true"
                if name == "scoring":
                    own["USHER_SCORING_ALERTS_TARGET"] = ",".join(f"unix:{s}" for s in sockets["alerts"])
                if name == "alerts":
                    own["USHER_ALERTS_INGEST_TARGET"] = ",".join(f"unix:{s}" for s in sockets["ingest"])
                if name == "compliance":
                    for other in ("ingest", "scoring", "fraud", "alerts"):
                        targets = ",".join(f"unix:{s}" for s in sockets[other])
                        own[f"USHER_COMPLIANCE_{other.upper()}_TARGET"] = targets
                    own["USHER_COMPLIANCE_RECORDS_KEYS_DIR"] = str(folder)
                    own["USHER_COMPLIANCE_RECORDS_LEDGER_COPY"] = str(folder / "erasures.jsonl")
                if name == "ingest":
                    own["USHER_INGEST_POLICY_SET"] = self.policy_set
                    own["USHER_INGEST_PIPELINE_ENFORCING_TENANTS"] = ",".join(enforcing)
                    for leaf in LEAVES:
                        # Long: on a busy machine slow is not away.
                        own.setdefault(f"USHER_INGEST_{leaf.upper()}_TIMEOUT", "10")
                        own[f"USHER_INGEST_{leaf.upper()}_TARGET"] = ",".join(
                            f"unix:{s}" for s in sockets[leaf]
                        )
                log = folder / f"{name}{number}.log"
                self.processes[name].append(Process(f"{name}{number}", f"services.{name}", socket, own, log))
        self.http = ""
        if gateway:
            port = free_port()
            self.http = f"http://127.0.0.1:{port}"
            own = {**base, "USHER_GATEWAY_PORT": str(port)}
            own["USHER_GATEWAY_INGEST_TARGET"] = ",".join(f"unix:{s}" for s in sockets["ingest"])
            own["USHER_GATEWAY_COMPLIANCE_TARGET"] = ",".join(f"unix:{s}" for s in sockets["compliance"])
            own["USHER_GATEWAY_ALERTS_TARGET"] = ",".join(f"unix:{s}" for s in sockets["alerts"])
            own["USHER_GATEWAY_FRAUD_TARGET"] = ",".join(f"unix:{s}" for s in sockets["fraud"])
            own["USHER_GATEWAY_SCORING_TARGET"] = ",".join(f"unix:{s}" for s in sockets["scoring"])
            log = folder / "gateway.log"
            self.processes["gateway"] = [
                Process("gateway", "gateway", self.run / "none", own, log, self.http)
            ]

    def __enter__(self) -> Mesh:
        try:
            for leaf in LEAVES:
                for process in self.processes[leaf]:
                    process.start()
            for leaf in LEAVES:
                for process in self.processes[leaf]:
                    process.wait_serving()
            for process in [*self.processes["ingest"], *self.processes.get("gateway", [])]:
                process.start()
                process.wait_serving()
            self._warm_up()
        except BaseException:
            self.__exit__()
            raise
        return self

    def _warm_up(self, timeout: float = 60.0) -> None:
        """Returns once every ingest decides with all services: the first batch has them load the policy set."""
        end = time.monotonic() + timeout
        for number in range(len(self.processes["ingest"])):
            with self.ingest(number, tenant="warm-up") as front:
                for attempt in itertools.count():
                    event = event_pb2.Event(
                        event_id=f"warm-up-{number}-{attempt}",
                        user_id="warm-up",
                        device_id="warm-up",
                        event_type="logout",
                        region="ZZ",
                        ip_address="192.0.2.1",
                    )
                    event.event_time.GetCurrentTime()
                    (result,) = front.decide([event])
                    if result.HasField("decision") and not result.decision.degraded:
                        break
                    assert time.monotonic() < end, f"still not whole after {timeout:g} s: {result}"
                    time.sleep(0.2)

    def __exit__(self, *_: object) -> None:
        for name in reversed(self.processes):
            for process in self.processes[name]:
                if process.running:
                    process.stop(signal.SIGKILL)
        shutil.rmtree(self.run, ignore_errors=True)

    def process(self, name: str, number: int = 0) -> Process:
        """One process."""
        return self.processes[name][number]

    def kill(self, name: str, number: int = 0) -> None:
        """SIGKILL."""
        self.process(name, number).stop(signal.SIGKILL)

    def start(self, name: str, number: int = 0, extra: Mapping[str, str] | None = None) -> None:
        """Starts a process again and waits until it serves."""
        self.process(name, number).start(extra)
        self.process(name, number).wait_serving()

    def target(self, name: str, number: int = 0) -> str:
        """The address of a process."""
        return f"unix:{self.process(name, number).socket}"

    def targets(self, name: str) -> list[str]:
        """The addresses of all processes of a service."""
        return [self.target(name, number) for number in range(len(self.processes[name]))]

    def ingest(self, number: int = 0, tenant: str = "dev") -> Front:
        """A blocking client of an ingest process."""
        return Front(self.target("ingest", number), tenant)


class Front:
    """A blocking client of the front door."""

    def __init__(self, target: str, tenant: str = "dev") -> None:
        options = [
            ("grpc.use_local_subchannel_pool", 1),
            ("grpc.max_receive_message_length", 16 << 20),
            # A killed process is back within a second or two: do not wait for minutes.
            ("grpc.initial_reconnect_backoff_ms", 50),
            ("grpc.min_reconnect_backoff_ms", 50),
            ("grpc.max_reconnect_backoff_ms", 200),
        ]
        self.channel = grpc.insecure_channel(target, options=options)
        self.stub = ingest_pb2_grpc.IngestServiceStub(self.channel)
        self.tenant = tenant

    def __enter__(self) -> Front:
        return self

    def __exit__(self, *_: object) -> None:
        self.channel.close()

    def decide(
        self, events: Iterable[event_pb2.Event], timeout: float = 20.0
    ) -> list[ingest_pb2.EventResult]:
        """Results of DecideEvents."""
        request = ingest_pb2.DecideEventsRequest(tenant=self.tenant, events=events)
        return list(self.stub.DecideEvents(request, timeout=timeout).results)

    def submit(
        self, events: Iterable[event_pb2.Event], timeout: float = 20.0
    ) -> list[ingest_pb2.EventResult]:
        """Results of SubmitEvents."""
        request = ingest_pb2.SubmitEventsRequest(tenant=self.tenant, events=events)
        return list(self.stub.SubmitEvents(request, timeout=timeout).results)

    def accounting(self) -> ingest_pb2.Accounting:
        """The tenant's books."""
        request = ingest_pb2.GetAccountingRequest(tenant=self.tenant)
        accounts = self.stub.GetAccounting(request, timeout=10).accounts
        return accounts[0] if accounts else ingest_pb2.Accounting(tenant=self.tenant, balanced=True)

    def decision(self, event_id: str) -> Any:
        """The committed decision on an event."""
        request = ingest_pb2.GetDecisionRequest(tenant=self.tenant, event_id=event_id)
        return self.stub.GetDecision(request, timeout=10).decision
