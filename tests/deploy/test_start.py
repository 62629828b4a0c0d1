"""What is rendered starts here: the commands and variables of an overlay or of the compose file as processes on this
machine, with PostgreSQL, Redis, and certificates from deploy/certificates.sh. Only ports, folders and names of hosts
are moved."""

from __future__ import annotations

import datetime
import os
import re
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import grpc
import httpx
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc

from services.common.transport import split_host_port
from tests.deploy.manifests import DEPLOY, ROOT, SERVICES, Process, compose_processes, processes
from tests.harness import _die_with_parent
from tests.servers import RedisServer
from usher.event.v1 import event_pb2
from usher.ingest.v1 import ingest_pb2, ingest_pb2_grpc

pytestmark = [pytest.mark.xdist_group("deploy-start"), pytest.mark.slow, pytest.mark.timeout(300)]
START_SECONDS = 60.0


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Path:
    if shutil.which("openssl") is None:
        pytest.skip("deploy/certificates.sh needs openssl")
    folder = tmp_path_factory.mktemp("certificates")
    subprocess.run(
        [str(DEPLOY / "certificates.sh"), str(folder)], check=True, capture_output=True, timeout=60
    )
    return folder


@pytest.fixture(scope="module")
def durable_redis() -> Iterator[RedisServer]:
    """Fraud refuses the other one, which keeps no append-only file."""
    with RedisServer(durable=True) as server:
        yield server


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class Deployment:
    """The processes of a deployment, moved to this machine."""

    def __init__(
        self, found: dict[str, Process], folder: Path, certificates: Path, database: str, redis: str
    ) -> None:
        self.found = found
        self.folder = folder
        self.running: dict[str, subprocess.Popen[bytes]] = {}
        self.contents = {"database": database, "redis": redis, "entity-key": secrets.token_hex(32)}
        self.certificates = certificates
        self.ports: dict[tuple[str, int], int] = {}
        (folder / "policy").mkdir()

    def port(self, name: str, port: int) -> int:
        return self.ports.setdefault((name, port), free_port())

    def place(self, process: Process, path: str) -> str:
        """Where a mounted path lies here."""
        for mount in process.mounts:
            if path != mount.path and not path.startswith(mount.path + "/"):
                continue
            if mount.source.endswith(":policy"):
                return path.replace(mount.path, str(self.folder / "policy"), 1)
            if path.startswith("/var/run/usher/tls"):
                return path.replace(mount.path, str(self.certificates / process.name), 1)
            (content,) = [text for kind, text in self.contents.items() if kind in path]
            file = self.folder / f"{process.name}{path.replace('/', '-')}"
            file.write_text(content + "\n")
            return str(file)
        # Not there in the container either: a process that reads it does not start.
        return path

    def env(self, process: Process) -> dict[str, str]:
        moved = {}
        for variable, value in process.env.items():
            if value.startswith("/"):
                value = self.place(process, value)
            elif value.startswith("dns:///"):
                host, port = split_host_port(value.removeprefix("dns:///"))
                value = f"127.0.0.1:{self.port(host, port)}"
                moved[variable.removesuffix("_TARGET") + "_SERVER_NAME"] = host
            elif re.fullmatch(r"[0-9.]+:[0-9]+", value):
                host, port = split_host_port(value)
                owner = "ingest" if variable == "USHER_GATEWAY_INGEST_TARGET" else process.name
                value = f"127.0.0.1:{self.port(owner, port)}"
            elif variable == "USHER_GATEWAY_PORT":
                value = str(self.port(process.name, int(value)))
            elif variable == "USHER_SERVER_DRAIN_NOTICE":
                # Its length is checked elsewhere; here it would only be waited for.
                value = "0.2"
            moved[variable] = value
        return {"PATH": os.environ["PATH"], "PYTHONPATH": f"{ROOT}:{ROOT / 'proto'}", **moved}

    def argv(self, process: Process, command: list[str]) -> list[str]:
        assert command[0] == "python"
        return [
            sys.executable,
            *(self.place(process, one) if one.startswith("/") else one for one in command[1:]),
        ]

    def start(self, name: str) -> None:
        process = self.found[name]
        for first in process.before:
            subprocess.run(
                self.argv(first, first.command), env=self.env(first), cwd=ROOT, check=True, timeout=30
            )
        with (self.folder / f"{name}.log").open("wb") as log:
            self.running[name] = subprocess.Popen(
                self.argv(process, process.command),
                env=self.env(process),
                cwd=ROOT,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                preexec_fn=_die_with_parent,
            )

    def log(self, name: str) -> str:
        return (self.folder / f"{name}.log").read_text()[-3000:]

    def wait(self, name: str) -> None:
        """Returns when the readiness probe succeeds (compose: the health check)."""
        end = time.monotonic() + START_SECONDS
        while not self.probe(name):
            assert self.running[name].poll() is None, self.log(name)
            assert time.monotonic() < end, self.log(name)
            time.sleep(0.3)

    def probe(self, name: str, kind: str = "readinessProbe") -> bool:
        raw = self.found[name].raw
        if kind in raw and "grpc" in raw[kind]:
            target = f"127.0.0.1:{self.port(name, raw[kind]['grpc']['port'])}"
            with grpc.insecure_channel(target, options=[("grpc.use_local_subchannel_pool", 1)]) as channel:
                request = health_pb2.HealthCheckRequest(service=raw[kind]["grpc"].get("service", ""))
                try:
                    answer = health_pb2_grpc.HealthStub(channel).Check(request, timeout=2)
                except grpc.RpcError:
                    return False
                return bool(answer.status == health_pb2.HealthCheckResponse.SERVING)
        if kind in raw:
            command = raw[kind]["exec"]["command"]
        elif "healthcheck" in raw:
            command = raw["healthcheck"]["test"][1:]
        else:
            command = [
                "python",
                "-c",
                "import http.client as h; c = h.HTTPConnection('127.0.0.1', 8000, timeout=2); "
                "c.request('GET', '/healthz'); raise SystemExit(c.getresponse().status != 200)",
            ]
        (port,) = re.findall(r"'127\.0\.0\.1', (\d+)", command[-1])
        moved = command[-1].replace(f"', {port},", f"', {self.port(name, int(port))},")
        done = subprocess.run(
            [sys.executable, *command[1:-1], moved], capture_output=True, timeout=10, check=False
        )
        return done.returncode == 0

    def stop(self) -> dict[str, int]:
        """SIGTERM to all; returns the exit statuses."""
        for process in self.running.values():
            process.send_signal(signal.SIGTERM)
        return {name: process.wait(30) for name, process in self.running.items()}

    def kill(self) -> None:
        for process in self.running.values():
            if process.poll() is None:
                process.kill()
                process.wait(10)


@pytest.mark.parametrize("source", ["dev", "prod", "compose"])
def test_it_starts_decides_and_drains(
    source: str, certificates: Path, durable_redis: RedisServer, postgres_url: str, tmp_path: Path
) -> None:
    durable_redis.flush()
    found = compose_processes() if source == "compose" else processes(source)
    mesh = Deployment(found, tmp_path, certificates, postgres_url, durable_redis.url)
    try:
        for name in SERVICES:
            mesh.start(name)
        for name in SERVICES:
            mesh.wait(name)
        mesh.start("gateway")
        mesh.wait("gateway")
        if source != "compose":
            for name in found:
                assert mesh.probe(name, "livenessProbe")
                assert mesh.probe(name, "startupProbe")

        decided = decide_over_http(mesh)
        assert decided["degraded"] == [], "a service could not be reached over TLS"
        decide_as_backend(mesh, certificates)
        refuse_fraud_to_the_backend(mesh, certificates)

        assert mesh.stop() == dict.fromkeys(found, 0), {name: mesh.log(name) for name in found}
    finally:
        mesh.kill()


def decide_over_http(mesh: Deployment) -> dict:
    event = {
        "event_id": "evt_1",
        "user_id": "user_42",
        "device_id": "tv_1",
        "event_type": "PLAY",
        "timestamp": datetime.datetime.now(datetime.UTC).isoformat(),
        "region": "NL",
        "ip_address": "203.0.113.10",
    }
    url = f"http://127.0.0.1:{mesh.port('gateway', 8000)}"
    answer = httpx.post(f"{url}/api/v1/decisions", json=event, timeout=10, trust_env=False)
    assert answer.status_code == 200, answer.text
    decision = answer.json()
    assert decision["event_id"] == "evt_1"
    assert decision["outcome"]
    return decision


def as_backend(mesh: Deployment, certificates: Path, name: str) -> grpc.Channel:
    folder = certificates / "backend"
    credentials = grpc.ssl_channel_credentials(
        (folder / "ca.crt").read_bytes(), (folder / "tls.key").read_bytes(), (folder / "tls.crt").read_bytes()
    )
    options = [("grpc.ssl_target_name_override", f"{name}.usher.svc.cluster.local")]
    return grpc.secure_channel(f"127.0.0.1:{mesh.port(name, 50051)}", credentials, options=options)


def decide_as_backend(mesh: Deployment, certificates: Path) -> None:
    event = event_pb2.Event(
        event_id="evt_2", user_id="user_42", device_id="tv_1", event_type="play", region="NL"
    )
    event.ip_address = "203.0.113.10"
    event.event_time.GetCurrentTime()
    with as_backend(mesh, certificates, "ingest") as channel:
        request = ingest_pb2.DecideEventsRequest(tenant="dev", events=[event])
        results = ingest_pb2_grpc.IngestServiceStub(channel).DecideEvents(request, timeout=10).results
    assert [one.status for one in results] == [ingest_pb2.EVENT_STATUS_DECIDED], results


def refuse_fraud_to_the_backend(mesh: Deployment, certificates: Path) -> None:
    from usher.fraud.v1 import fraud_pb2, fraud_pb2_grpc

    with as_backend(mesh, certificates, "fraud") as channel, pytest.raises(grpc.RpcError) as refused:
        fraud_pb2_grpc.FraudServiceStub(channel).AssessEvents(fraud_pb2.AssessEventsRequest(), timeout=10)
    assert refused.value.code() == grpc.StatusCode.PERMISSION_DENIED
