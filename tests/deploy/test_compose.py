"""The compose file: its variables load, its names meet, and nothing is open that should not be."""

from __future__ import annotations

import importlib
import io
import os
import sys
from pathlib import Path
from typing import Any

import pytest

from services.common.transport import is_loopback, split_host_port
from tests.deploy.manifests import (
    DEPLOY,
    MODULES,
    SERVICES,
    SETTINGS,
    as_list,
    client_command,
    compose,
    compose_processes,
    files_named,
)

CLIENTS = ("sink-kafka", "sink-redis", "sink-webhook", "source-kafka", "source-redis")
ASKED_BY_GATEWAY = ("ingest", "compliance", "scoring", "fraud", "alerts")
"""Services that the gateway, on the loopback of the machine, reaches through a published port."""


def loaded(name: str, folder: Path) -> Any:
    """Settings of a process, with every file that they name made in the folder."""
    process = compose_processes()[name]
    env = dict(process.env)
    for variable, value, mount in files_named(process):
        assert mount.source.startswith("./secrets/")
        assert not mount.writable
        file = folder / value.lstrip("/")
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text("redis://valkey:6379/0" if "redis" in value else "postgresql://usher@postgres/usher")
        env[variable] = str(file)
    return process.load(env)


@pytest.mark.parametrize("name", SETTINGS)
def test_settings_load(name: str, tmp_path: Path) -> None:
    loaded(name, tmp_path)
    assert compose_processes()[name].command == ["python", "-m", MODULES[name]]


@pytest.mark.parametrize("name", SERVICES)
def test_services_speak_mutual_tls(name: str, tmp_path: Path) -> None:
    server = loaded(name, tmp_path).server
    host, port = split_host_port(server.address)
    assert not is_loopback(host)
    assert server.tls is not None
    published = [one.split(":") for one in compose()["services"][name].get("ports", [])]
    assert [(host, int(inner)) for host, _, inner in published] == (
        [("127.0.0.1", port)] if name in ASKED_BY_GATEWAY else []
    )
    metrics_host, metrics_port = split_host_port(server.metrics_address)
    assert f"'{metrics_host}', {metrics_port}," in compose()["services"][name]["healthcheck"]["test"][3]


def test_targets(tmp_path: Path) -> None:
    ingest = loaded("ingest", tmp_path)
    for leaf in set(SERVICES) - {"ingest"}:
        _, port = split_host_port(loaded(leaf, tmp_path).server.address)
        assert getattr(ingest, leaf).target == f"dns:///{leaf}:{port}"
        assert getattr(ingest, leaf).tls is not None


def test_the_gateway_is_on_loopback_of_the_machine(tmp_path: Path) -> None:
    gateway = loaded("gateway", tmp_path)
    service = compose()["services"]["gateway"]
    assert is_loopback(gateway.host)
    assert service["network_mode"] == "host"
    assert "ports" not in service
    assert "networks" not in service
    for name in ASKED_BY_GATEWAY:
        client = getattr(gateway, name)
        _, listens = split_host_port(loaded(name, tmp_path).server.address)
        assert compose()["services"][name]["ports"] == [f"{client.target}:{listens}"]
        assert client.server_name == name
        assert client.tls is not None


def test_nothing_else_is_published() -> None:
    content = compose()
    assert content["networks"]["mesh"]["internal"] is True
    for name, service in content["services"].items():
        for port in service.get("ports", []):
            assert port.startswith("127.0.0.1:"), name
        assert service.get("networks", ["mesh"]) == (
            ["mesh", "edge"] if name in (*ASKED_BY_GATEWAY, *CLIENTS) else ["mesh"]
        )


def test_names_meet() -> None:
    content = compose()
    used = {secret for service in content["services"].values() for secret in service.get("secrets", [])}
    assert used == set(content["secrets"])
    volumes = {
        volume.split(":")[0]
        for service in content["services"].values()
        for volume in service.get("volumes", [])
        if not volume.startswith("./")
    }
    assert volumes == set(content["volumes"])
    for service in content["services"].values():
        assert set(service.get("depends_on", {})) <= set(content["services"])
    assert (DEPLOY / content["x-service"]["build"]["dockerfile"].removeprefix("deploy/")).is_file()


@pytest.mark.parametrize("name", SETTINGS)
def test_time_to_stop(name: str, tmp_path: Path) -> None:
    settings = loaded(name, tmp_path)
    drain = settings if name == "gateway" else settings.server
    needed = drain.drain_notice + drain.drain_grace + 5
    if name == "ingest":
        needed += 4 + settings.database.statement_timeout_s
    if name == "alerts":
        needed += settings.delivery.timeout_seconds
    service = compose()["services"][name]
    assert int(service["stop_grace_period"].removesuffix("s")) >= needed
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]


def test_the_stores_are_what_the_code_asks_for() -> None:
    command = compose()["services"]["valkey"]["command"]
    assert command[command.index("--appendonly") + 1] == "yes"
    assert command[command.index("--maxmemory-policy") + 1] == "noeviction"


@pytest.mark.parametrize("name", CLIENTS)
def test_sinks_and_sources_are_optional_and_their_arguments_are_known(name: str) -> None:
    service = compose()["services"][name]
    assert service["profiles"] == [name]
    command = client_command(service["command"])
    assert command.options["target"] == "dns:///ingest:50051"
    assert is_loopback(split_host_port(command.options["metrics"])[0])
    assert service["volumes"] == [f"./secrets/backend:{command.options['tls']}:ro"]
    named = {str(value) for values in command.options.values() for value in as_list(values)}
    assert {f"/run/secrets/{secret}" for secret in service["secrets"]} <= named
    # A source settles what it has read within 20 s.
    assert int(service["stop_grace_period"].removesuffix("s")) >= command.options.get("timeout", 25)


def test_retraining_is_optional_and_speaks_as_scoring(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    service = compose()["services"]["retrain"]
    assert service["profiles"] == ["retrain"]
    assert service["build"]["args"]["LOCK"] == "train.lock"
    assert (DEPLOY.parent / "requirements" / "train.lock").is_file()
    assert service["restart"] == "no"
    assert "ports" not in service
    assert service["read_only"] is True
    folders = {path: source for source, path, *_ in (one.split(":") for one in service["volumes"])}
    module, *given = service["command"][2:]
    options = dict(one.lstrip("-").split("=", 1) for one in given if "=" in one)
    for option in ("policy-dir", "models"):
        assert folders[options[option]] in compose()["volumes"]
    assert folders["/var/run/usher/tls"] == "./secrets/scoring"
    # The process takes these arguments and this environment: it gets as far as its certificate, which is not there.
    monkeypatch.setattr(sys, "argv", [module, *given])
    monkeypatch.setattr(os, "nice", lambda _: 0)
    for name, value in service["environment"].items():
        monkeypatch.setenv(name, value.replace("/var/run/usher/tls", str(tmp_path)))
    told = io.StringIO()
    monkeypatch.setattr(sys, "stderr", told)
    assert importlib.import_module(module).main() == 2
    assert str(tmp_path) in told.getvalue()
