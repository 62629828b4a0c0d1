"""The sweep as a job of a cluster and of a timer: what it may reach, and that its command does what it is there for."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from services.common.clock import SystemClock
from services.common.db import DatabaseSettings, open_database
from services.common.migrations import migrate
from services.fraud.store import RingStore
from services.fraud.store_redis import RedisMemory
from tests.deploy.manifests import DEPLOY, NAME, OVERLAYS, ROOT, compose, rendered
from tests.sightings import make_sighting

kubernetes_validate = pytest.importorskip("kubernetes_validate", reason="installed by `make setup`")

OLDEST_KUBERNETES = "1.30"
MEMBERS = [f"u{number}" for number in range(7)]


def overlay_with_it(overlay: str, folder: Path) -> list[dict[str, Any]]:
    """The objects of an overlay with the component."""
    folder.mkdir()
    relative = os.path.relpath(DEPLOY / "k8s", folder.resolve())
    (folder / "kustomization.yaml").write_text(
        f"resources: [{relative}/overlays/{overlay}]\ncomponents: [{relative}/components/sweep]\n"
    )
    return rendered(folder)


def job_of(objects: list[dict[str, Any]]) -> dict[str, Any]:
    [job] = [one for one in objects if one["kind"] == "CronJob" and one["metadata"]["name"] == "sweep"]
    return job


def container_of(job: dict[str, Any]) -> dict[str, Any]:
    [container] = job["spec"]["jobTemplate"]["spec"]["template"]["spec"]["containers"]
    return dict(container)


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_the_job_is_valid_and_runs_alone_with_the_least_rights(overlay: str, tmp_path: Path) -> None:
    objects = overlay_with_it(overlay, tmp_path / "overlay")
    for one in objects:
        kubernetes_validate.validate(one, OLDEST_KUBERNETES, strict=True)
    job = job_of(objects)
    assert job["spec"]["concurrencyPolicy"] == "Forbid"
    pod = job["spec"]["jobTemplate"]["spec"]["template"]["spec"]
    assert pod["restartPolicy"] == "Never"
    assert pod["automountServiceAccountToken"] is False
    assert pod["securityContext"]["runAsNonRoot"] is True
    assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    container = container_of(job)
    assert container["securityContext"] == {
        "allowPrivilegeEscalation": False, "readOnlyRootFilesystem": True, "capabilities": {"drop": ["ALL"]},
    }  # fmt: skip
    assert "ports" not in container
    # Fraud's own secrets and nothing else, where its command says that they are.
    assert {one["secret"]["secretName"] for one in pod["volumes"]} == {"fraud-database", "fraud-redis"}
    assert all(one["readOnly"] for one in container["volumeMounts"])
    mounts = {one["mountPath"] for one in container["volumeMounts"]}
    command = container["command"]
    named = {command[4], *(one.partition("=")[2] for one in command if "url-file=" in one)}
    assert {str(Path(file).parent) for file in named} == mounts
    assert "--quiet" in command


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_it_reaches_the_stores_of_fraud_and_nobody_reaches_it(overlay: str, tmp_path: Path) -> None:
    without = {key(one): one for one in rendered(DEPLOY / "k8s" / "overlays" / overlay)}
    policies = {
        key(one): one
        for one in overlay_with_it(overlay, tmp_path / "overlay")
        if one["kind"] == "NetworkPolicy"
    }
    own = policies["NetworkPolicy", "sweep"]["spec"]
    assert own["policyTypes"] == ["Ingress", "Egress"]
    assert "ingress" not in own
    assert {port["port"] for rule in own["egress"] for port in rule["ports"]} == {53}
    ours = sorted(
        name for (_, name), one in policies.items() if "sweep" in repr(one["spec"]) and name != "sweep"
    )
    expected = {
        "dev": ["postgres", "to-postgres", "to-valkey", "valkey"],
        "prod": ["to-postgres", "to-redis"],
    }
    assert ours == expected[overlay]
    for name in ours:
        spec = policies["NetworkPolicy", name]["spec"]
        if name.startswith("to-"):
            [chosen] = spec["podSelector"]["matchExpressions"]
            assert {"fraud", "sweep"} <= set(chosen["values"])
            assert {port["port"] for rule in spec["egress"] for port in rule["ports"]} <= {5432, 6379}
        else:
            [rule] = spec["ingress"]
            assert {"podSelector": {"matchLabels": {NAME: "sweep"}}} in rule["from"]
    # Everything else is as it was.
    for (kind, name), one in policies.items():
        assert name in (*ours, "sweep") or one == without[kind, name]


def key(one: dict[str, Any]) -> tuple[str, str]:
    return one["kind"], one["metadata"]["name"]


def test_under_compose_it_is_optional_and_holds_what_fraud_holds() -> None:
    service, fraud = compose()["services"]["sweep"], compose()["services"]["fraud"]
    assert service["profiles"] == ["sweep"]
    assert service["build"]["args"]["LOCK"] == "train.lock"
    assert service["restart"] == "no"
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert "ports" not in service
    assert "volumes" not in service
    assert service["networks"] == ["mesh"]
    assert service["secrets"] == fraud["secrets"]
    assert service["depends_on"] == {"fraud": {"condition": "service_healthy"}}
    assert "--quiet" in service["command"]


async def remember(url: str, tenant: str) -> None:
    memory = RedisMemory(url, allow_volatile=True, timeout=30)
    now = SystemClock().now_ms()
    seen = [
        make_sighting(
            f"e{user}", user, device="box", payment="card", address=f"192.0.2.{number}", household="",
            time_ms=now + number, place=b"", signup="203.0.113.1", created_ms=now - 1000 * number,
        )
        for number, user in enumerate(MEMBERS)
    ]  # fmt: skip
    await memory.observe(tenant, seen, committed_through_ms=0, batch_time_ms=now)
    await memory.close()


@pytest.mark.parametrize("place", ["kubernetes", "compose"])
def test_its_command_sweeps_redis_into_postgresql(
    place: str, tmp_path: Path, redis_url: str, postgres_url: str
) -> None:
    if place == "kubernetes":
        container = container_of(job_of(overlay_with_it("dev", tmp_path / "overlay")))
        command = list(container["command"])
        for variable in container["env"]:
            command = [one.replace(f"$({variable['name']})", variable["value"]) for one in command]
        redis_file, database_file = "/var/run/usher/redis/url", "/var/run/usher/database/url"
    else:
        command = list(compose()["services"]["sweep"]["command"])
        redis_file, database_file = "/run/secrets/redis-url", "/run/secrets/database-url"
    assert command[0] == "python"
    for file, url in ((redis_file, redis_url), (database_file, postgres_url)):
        at = tmp_path / Path(file).parent.name
        at.mkdir(exist_ok=True)
        at /= Path(file).name
        at.write_text(url)
        assert any(file in one for one in command)
        command = [one.replace(file, str(at)) for one in command]
    asyncio.run(remember(redis_url, "dev"))
    with open_database(DatabaseSettings(url=postgres_url), schema="fraud") as database:
        migrate(database, "fraud")
        store = RingStore(database, SystemClock())
        store.open()
        done = subprocess.run(
            [sys.executable, *command[1:]], capture_output=True, text=True, timeout=120, check=False,
            cwd=ROOT, env={"PYTHONPATH": f"{ROOT}{os.pathsep}{ROOT / 'proto'}"},
        )  # fmt: skip
        assert (done.returncode, done.stdout) == (0, ""), done.stderr
        assert "dev: 1 rings among 7 accounts" in done.stderr
        assert not [member for member in MEMBERS if member in done.stderr]
        [(_, ring)] = store.page("dev", 0, None, 10)
        assert list(ring.members) == MEMBERS
        assert set(store.swept("dev")[0]) == set(MEMBERS)
        # Without its memory it says so, and ends nothing.
        asyncio.run(gone(redis_url))
        again = subprocess.run(
            [sys.executable, *command[1:]], capture_output=True, text=True, timeout=120, check=False,
            cwd=ROOT, env={"PYTHONPATH": f"{ROOT}{os.pathsep}{ROOT / 'proto'}"},
        )  # fmt: skip
        assert again.returncode == 2
        assert "STATE_BEHIND" in again.stderr
        assert len(store.page("dev", 0, None, 10)) == 1


async def gone(url: str) -> None:
    memory = RedisMemory(url, allow_volatile=True, timeout=30)
    await memory._client.flushdb()
    await memory.close()
