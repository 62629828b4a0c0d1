"""The overlays: rendered, checked against Kubernetes' schemas, and every port, command and variable against the code."""

from __future__ import annotations

import importlib.util
import os
import re
from pathlib import Path
from typing import Any

import pytest

from services.common.callers import CALLERS
from services.common.config import ConfigError
from services.common.server import LIVENESS
from services.common.transport import is_loopback, split_host_port
from services.ingest.sources.settings import SourceSettings
from tests.deploy.manifests import (
    DEPLOY,
    MODULES,
    NAME,
    OVERLAYS,
    ROOT,
    SERVICES,
    SETTINGS,
    Process,
    client_command,
    files_named,
    of_kind,
    processes,
    render,
    rendered,
)

kubernetes_validate = pytest.importorskip("kubernetes_validate", reason="installed by `make setup`")

OLDEST_KUBERNETES = "1.30"
FLUSH_SECONDS = 5.0
"""What a process may take for its last spans after its drain."""

EACH = [(overlay, name) for overlay in OVERLAYS for name in SETTINGS]
HOSTED = {
    "usher.ingest.v1": "ingest",
    "usher.policy.v1": "ingest",
    "usher.compliance.v1": "compliance",
    "usher.scoring.v1": "scoring",
    "usher.fraud.v1": "fraud",
    "usher.alerts.v1": "alerts",
}
"""Package of a gRPC service -> the process that serves it."""


@pytest.mark.parametrize("version", [OLDEST_KUBERNETES, kubernetes_validate.latest_version()])
@pytest.mark.parametrize("overlay", OVERLAYS)
def test_schemas(overlay: str, version: str) -> None:
    objects = render(overlay)
    assert {one["kind"] for one in objects} >= {
        "Deployment",
        "Service",
        "NetworkPolicy",
        "PodDisruptionBudget",
    }
    for one in objects:
        kubernetes_validate.validate(one, version, strict=True)


def test_schemas_refuse_an_unknown_key() -> None:
    from copy import deepcopy

    one = deepcopy(of_kind("dev", "Deployment")["fraud"])
    one["spec"]["template"]["spec"]["containers"][0]["readinessProb"] = {}
    with pytest.raises(kubernetes_validate.ValidationError):
        kubernetes_validate.validate(one, OLDEST_KUBERNETES, strict=True)


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_every_process_is_there(overlay: str) -> None:
    assert set(processes(overlay)) == set(SETTINGS)
    for name, process in processes(overlay).items():
        assert process.command == ["python", "-m", MODULES[name]]
        assert importlib.util.find_spec(f"{MODULES[name]}.__main__") is not None
        for first in process.before:
            assert first.command[:2] == ["python", "-m"]
            assert importlib.util.find_spec(first.command[2]) is not None


def test_production_survives_the_loss_of_a_pod() -> None:
    for name in SERVICES:
        assert processes("prod")[name].workload["spec"]["replicas"] >= 2


def with_files(process: Process, folder: Path) -> dict[str, str]:
    """The variables, with every file that they name made in the folder."""
    env = dict(process.env)
    for variable, value, _ in files_named(process):
        file = folder / value.lstrip("/")
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text("postgresql://usher@db/usher\n" if "redis" not in value else "redis://db:6379/0\n")
        env[variable] = str(file)
    return env


@pytest.mark.parametrize(("overlay", "name"), EACH)
def test_settings_load(overlay: str, name: str, tmp_path: Path) -> None:
    process = processes(overlay)[name]
    settings = process.load(with_files(process, tmp_path))
    if name == "fraud":
        assert settings.memory_redis_url == "redis://db:6379/0"
        assert not settings.allow_volatile_memory
    if name == "ingest":
        assert settings.policy_set == "shipped"
        assert settings.database.parsed_url().get_backend_name() == "postgresql"


def test_a_misspelt_variable_would_be_found(tmp_path: Path) -> None:
    process = processes("prod")["fraud"]
    env = with_files(process, tmp_path)
    env["USHER_FRAUD_SNAPSHOT_DIRR"] = "/x"
    with pytest.raises(ConfigError, match="USHER_FRAUD_SNAPSHOT_DIRR"):
        process.load(env)


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_mesh_wide_variables_are_read_by_somebody(overlay: str, tmp_path: Path) -> None:
    found = processes(overlay)
    own = tuple(prefix for _, prefix in SETTINGS.values())
    wide = {name for process in found.values() for name in process.env if not name.startswith(own)}
    assert wide
    for variable in wide:
        readers = []
        for name, process in found.items():
            env = with_files(process, tmp_path)
            env[SETTINGS[name][1] + variable.removeprefix("USHER_")] = env[variable]
            try:
                process.load(env)
            except ConfigError:
                continue
            readers.append(name)
        assert readers, f"nobody reads {variable}"


@pytest.mark.parametrize(("overlay", "name"), [one for one in EACH if one[1] != "gateway"])
def test_ports_are_the_addresses(overlay: str, name: str, tmp_path: Path) -> None:
    process = processes(overlay)[name]
    server = process.load(with_files(process, tmp_path)).server
    addresses = {"grpc": server.address, "health": server.health_address, "metrics": server.metrics_address}
    ports = {}
    for kind, address in addresses.items():
        host, ports[kind] = split_host_port(address)
        assert not is_loopback(host)
    assert {one["name"]: one["containerPort"] for one in process.raw["ports"]} == ports
    assert server.tls is not None
    service = of_kind(overlay, "Service")[name]
    assert service["spec"]["clusterIP"] == "None"
    assert service["spec"]["selector"] == {NAME: name}
    assert [(one["port"], one["targetPort"]) for one in service["spec"]["ports"]] == [(ports["grpc"], "grpc")]

    startup, liveness, readiness = (
        process.raw[f"{kind}Probe"]["grpc"] for kind in ("startup", "liveness", "readiness")
    )
    assert startup == liveness == {"port": ports["health"], "service": LIVENESS}
    assert readiness == {"port": ports["health"]}, "the health of the whole server"


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_the_gateway_serves_its_pod_alone(overlay: str, tmp_path: Path) -> None:
    process = processes(overlay)["gateway"]
    settings = process.load(with_files(process, tmp_path))
    assert is_loopback(settings.host)
    assert "ports" not in process.raw
    assert "gateway" not in of_kind(overlay, "Service")
    for kind in ("startup", "liveness", "readiness"):
        assert f"'{settings.host}', {settings.port}," in process.raw[f"{kind}Probe"]["exec"]["command"][2]


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_targets_are_services_over_tls(overlay: str, tmp_path: Path) -> None:
    found = processes(overlay)
    for caller, callees in {
        "ingest": set(SERVICES) - {"ingest"},
        "gateway": set(SERVICES),
    }.items():
        settings = found[caller].load(with_files(found[caller], tmp_path))
        for callee in callees:
            client = getattr(settings, callee)
            assert client.target == f"dns:///{callee}:{found[callee].port('grpc')}"
            assert client.tls is not None


@pytest.mark.parametrize(("overlay", "name"), EACH)
def test_time_to_stop(overlay: str, name: str, tmp_path: Path) -> None:
    process = processes(overlay)[name]
    settings = process.load(with_files(process, tmp_path))
    drain = settings if name == "gateway" else settings.server
    needed = drain.drain_notice + drain.drain_grace + FLUSH_SECONDS
    if name == "ingest":
        longest = max(settings.compliance.timeout, settings.fraud.timeout) + settings.scoring.timeout
        needed += longest + settings.database.statement_timeout_s
    if name == "alerts":
        needed += settings.delivery.timeout_seconds
    assert process.pod["terminationGracePeriodSeconds"] >= needed
    if name != "gateway":
        assert drain.drain_notice >= 5, "longer than on one machine: endpoints and names take seconds"


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_pods_are_restricted(overlay: str) -> None:
    """The Pod Security Standard "restricted", and a read-only root."""
    (namespace,) = of_kind(overlay, "Namespace").values()
    assert namespace["metadata"]["labels"]["pod-security.kubernetes.io/enforce"] == "restricted"
    accounts = of_kind(overlay, "ServiceAccount")
    for kind in ("Deployment", "StatefulSet"):
        for name, workload in of_kind(overlay, kind).items():
            pod = workload["spec"]["template"]["spec"]
            assert pod["securityContext"]["runAsNonRoot"] is True
            assert pod["securityContext"]["runAsUser"] > 0
            assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
            assert pod["automountServiceAccountToken"] is False
            if kind == "Deployment":
                assert accounts[pod["serviceAccountName"]]["automountServiceAccountToken"] is False
                assert pod["serviceAccountName"] == name
            for container in [*pod["containers"], *pod.get("initContainers", [])]:
                assert container["securityContext"] == {
                    "allowPrivilegeEscalation": False,
                    "readOnlyRootFilesystem": True,
                    "capabilities": {"drop": ["ALL"]},
                }
                assert set(container["resources"]["requests"]) == {"cpu", "memory"}
                assert set(container["resources"]["limits"]) == {"memory"}


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_pods_spread_and_leave_one_at_a_time(overlay: str) -> None:
    budgets = of_kind(overlay, "PodDisruptionBudget")
    assert set(budgets) == set(SETTINGS)
    for name, process in processes(overlay).items():
        labels = process.workload["spec"]["template"]["metadata"]["labels"]
        assert labels[NAME] == name
        assert process.workload["spec"]["selector"]["matchLabels"] == {NAME: name}
        assert budgets[name]["spec"]["selector"]["matchLabels"] == {NAME: name}
        assert budgets[name]["spec"]["maxUnavailable"] == 1
        for spread in process.pod["topologySpreadConstraints"]:
            assert spread["labelSelector"]["matchLabels"].items() <= labels.items()


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_secrets_are_named_and_not_there(overlay: str) -> None:
    assert not of_kind(overlay, "Secret")
    documented = (ROOT / "docs" / "operations.md").read_text()
    for process in processes(overlay).values():
        for variable, value, mount in files_named(process):
            kind, _, secret = mount.source.partition(":")
            assert kind == "secret", variable
            assert not mount.writable
            key = value.removeprefix(mount.path + "/")
            row = rf"^\| `{secret}` \|.*`{re.escape(key)}`"
            assert re.search(row, documented, re.MULTILINE), (
                f"docs/operations.md tells nothing of {secret}/{key}"
            )


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_only_the_release_writes_policy_sets(overlay: str, tmp_path: Path) -> None:
    for name, process in processes(overlay).items():
        if name in ("alerts", "gateway"):
            assert not process.before
            continue
        directory = str(process.load(with_files(process, tmp_path)).policy_dir)
        assert [(one.path, one.writable) for one in process.mounts if one.source == "claim:policy"] == [
            (directory, False)
        ]
        (first,) = process.before
        assert first.command[2:] == ["services.common.shipped", directory]
        assert [(one.path, one.writable) for one in first.mounts] == [(directory, True)]


# -- network policies


def peer_name(peer: dict[str, Any]) -> str:
    """The identity that a peer of a policy stands for."""
    (kind,) = peer
    (label,) = peer[kind]["matchLabels"].items()
    if kind == "podSelector" and label[0] == NAME:
        return str(label[1])
    if label[0] == "usher-caller":
        assert label[1] == {"podSelector": "operator", "namespaceSelector": "backend"}[kind]
        return str(label[1])
    return "/".join(label)


def peers(policy: dict[str, Any], direction: str, port: int) -> set[str]:
    found = set()
    for rule in policy["spec"].get(direction, []):
        if port in [one["port"] for one in rule["ports"]]:
            found |= {peer_name(one) for one in rule["from" if direction == "ingress" else "to"]}
    return found


def allowed_callers() -> dict[str, set[str]]:
    """Process -> identities that may call any of its RPCs."""
    table: dict[str, set[str]] = {name: set() for name in SETTINGS}
    for method, callers in CALLERS.items():
        package = method.lstrip("/").rpartition("/")[0].rpartition(".")[0]
        if method.startswith("/usher.policy.v1.PolicySetService/"):
            # Whoever evaluates under policy sets loads them, and ingest asks these anyway.
            for name in ("compliance", "fraud", "scoring"):
                table[name] |= callers
        elif package in HOSTED:
            table[HOSTED[package]] |= callers
        elif package == "usher.subject.v1":
            # Every service tells and erases what it keeps of a viewer.
            for name in SERVICES:
                table[name] |= callers - {name}
    return table


def test_the_table_of_hosted_services_is_complete() -> None:
    named = {method.lstrip("/").rpartition("/")[0] for method in CALLERS}
    source = {
        name: "".join(path.read_text() for path in (ROOT / "services" / name).glob("*.py"))
        for name in SERVICES
    }
    for service in named:
        package, _, short = service.rpartition(".")
        hosts = {name for name, text in source.items() if f"add_{short}Servicer_to_server" in text}
        assert hosts <= {HOSTED.get(package, "")}, f"{service} is served by {hosts}: add it to HOSTED"


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_network_policies_are_the_table_of_callers(overlay: str) -> None:
    policies = of_kind(overlay, "NetworkPolicy")
    assert policies["deny-all"]["spec"] == {"podSelector": {}, "policyTypes": ["Ingress", "Egress"]}
    allowed = allowed_callers()
    found = processes(overlay)
    ports = {process.port("grpc") for name, process in found.items() if name != "gateway"}
    assert len(ports) == 1
    (grpc,) = ports
    for name in SETTINGS:
        policy = policies[name]
        assert policy["spec"]["podSelector"]["matchLabels"] == {NAME: name}
        assert policy["spec"]["policyTypes"] == ["Ingress", "Egress"]
        assert peers(policy, "ingress", grpc) == allowed[name]
        callees = {callee for callee, callers in allowed.items() if name in callers}
        assert peers(policy, "egress", grpc) == callees
        opened = {one["port"] for rule in policy["spec"].get("ingress", []) for one in rule["ports"]}
        if name == "gateway":
            assert opened == set()
        else:
            metrics = found[name].port("metrics")
            assert opened == {grpc, metrics}
            assert peers(policy, "ingress", metrics) == {"kubernetes.io/metadata.name/monitoring"}
        rest = {one["port"] for rule in policy["spec"]["egress"] for one in rule["ports"]} - {grpc}
        assert rest == {53}


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_stores_are_open_to_their_owners_alone(overlay: str) -> None:
    owners = {5432: {"alerts", "compliance", "fraud", "ingest"}, 6379: {"fraud"}}
    found: dict[int, set[str]] = {port: set() for port in owners}
    for policy in of_kind(overlay, "NetworkPolicy").values():
        for rule in policy["spec"].get("egress", []):
            assert rule["to"], "egress to anywhere"
            for one in rule["ports"]:
                if one["port"] in owners:
                    selector = policy["spec"]["podSelector"]
                    names = [selector["matchLabels"][NAME]] if "matchLabels" in selector else []
                    for expression in selector.get("matchExpressions", []):
                        assert (expression["key"], expression["operator"]) == (NAME, "In")
                        names += expression["values"]
                    found[one["port"]] |= set(names)
    assert found == owners
    if overlay == "dev":
        policies = of_kind("dev", "NetworkPolicy")
        assert peers(policies["postgres"], "ingress", 5432) == owners[5432]
        assert peers(policies["valkey"], "ingress", 6379) == owners[6379]


def test_the_sink_component(tmp_path: Path) -> None:
    """An overlay with it: what it adds is valid, its arguments are known, and it reaches ingest alone in the mesh."""
    folder = tmp_path / "overlay"
    folder.mkdir()
    relative = os.path.relpath(DEPLOY / "k8s", folder.resolve())
    (folder / "kustomization.yaml").write_text(
        f"resources: [{relative}/overlays/dev]\ncomponents: [{relative}/components/sink]\n"
    )
    objects = rendered(folder)
    for one in objects:
        kubernetes_validate.validate(one, OLDEST_KUBERNETES, strict=True)
    (deployment,) = [
        one for one in objects if one["kind"] == "Deployment" and one["metadata"]["name"] == "sink"
    ]
    (container,) = deployment["spec"]["template"]["spec"]["containers"]
    (config,) = [
        one["data"]
        for one in objects
        if one["kind"] == "ConfigMap"
        and one["metadata"]["name"] == container["envFrom"][0]["configMapRef"]["name"]
    ]
    words = [re.sub(r"\$\((\w+)\)", lambda found: config[found[1]], word) for word in container["args"]]
    command = client_command([*container["command"], *words])
    assert command.kind == "webhook"
    assert command.options["target"] == "dns:///ingest:50051"
    assert command.options["tenant"] == config["SINK_TENANT"]
    mounts = [one["mountPath"] for one in container["volumeMounts"]]
    files = [command.options["key_file"], command.options["tls"], *command.options["secret_file"]]
    assert all(any(str(file).startswith(mount) for mount in mounts) for file in files)
    assert str(container["ports"][0]["containerPort"]) == command.options["metrics"].rpartition(":")[2]
    assert deployment["spec"]["strategy"]["type"] == "Recreate"
    assert (
        deployment["spec"]["template"]["spec"]["terminationGracePeriodSeconds"] >= command.options["timeout"]
    )
    policies = {one["metadata"]["name"]: one for one in objects if one["kind"] == "NetworkPolicy"}
    assert peers(policies["sink"], "egress", 50051) == {"ingest"}
    assert peers(policies["sink-to-ingest"], "ingress", 50051) == {"sink"}
    assert policies["sink-to-ingest"]["spec"]["podSelector"]["matchLabels"] == {NAME: "ingest"}


def test_the_retrain_component(tmp_path: Path) -> None:
    """An overlay with it: what it adds is valid, it runs alone, and it reaches ingest and alerts alone in the mesh."""
    folder = tmp_path / "overlay"
    folder.mkdir()
    relative = os.path.relpath(DEPLOY / "k8s", folder.resolve())
    (folder / "kustomization.yaml").write_text(
        f"resources: [{relative}/overlays/dev]\ncomponents: [{relative}/components/retrain]\n"
    )
    objects = rendered(folder)
    for one in objects:
        kubernetes_validate.validate(one, OLDEST_KUBERNETES, strict=True)
    (job,) = [one for one in objects if one["kind"] == "CronJob"]
    assert job["spec"]["concurrencyPolicy"] == "Forbid"
    pod = job["spec"]["jobTemplate"]["spec"]["template"]["spec"]
    (container,) = pod["containers"]
    assert container["command"][:3] == ["python", "-m", "services.scoring.retrain"]
    assert pod["securityContext"]["runAsNonRoot"]
    assert container["securityContext"]["readOnlyRootFilesystem"]
    policies = {one["metadata"]["name"]: one for one in objects if one["kind"] == "NetworkPolicy"}
    assert peers(policies["retrain"], "egress", 50051) == {"ingest", "alerts"}
    assert peers(policies["retrain-to-mesh"], "ingress", 50051) == {"retrain"}


@pytest.mark.parametrize("kind", ["kafka", "redis"])
def test_the_source_components(kind: str, tmp_path: Path) -> None:
    """An overlay with one: what it adds is valid, its arguments are known and make a source, it reaches ingest alone."""
    name = f"source-{kind}"
    folder = tmp_path / "overlay"
    folder.mkdir()
    relative = os.path.relpath(DEPLOY / "k8s", folder.resolve())
    (folder / "kustomization.yaml").write_text(
        f"resources: [{relative}/overlays/dev]\ncomponents: [{relative}/components/{name}]\n"
    )
    objects = rendered(folder)
    for one in objects:
        kubernetes_validate.validate(one, OLDEST_KUBERNETES, strict=True)
    (deployment,) = [
        one for one in objects if one["kind"] == "Deployment" and one["metadata"]["name"] == name
    ]
    pod = deployment["spec"]["template"]["spec"]
    (container,) = pod["containers"]
    (config,) = [
        one["data"]
        for one in objects
        if one["kind"] == "ConfigMap"
        and one["metadata"]["name"] == container["envFrom"][0]["configMapRef"]["name"]
    ]
    known = config | {one["name"]: "a-pod" for one in container["env"]}
    words = [re.sub(r"\$\((\w+)\)", lambda found: known[found[1]], word) for word in container["args"]]
    command = client_command([*container["command"], *words])
    assert command.kind == kind
    assert command.options["target"] == "dns:///ingest:50051"
    assert (command.options["tenant"], command.options["instance"]) == (config["SOURCE_TENANT"], "a-pod")
    mounts = [one["mountPath"] for one in container["volumeMounts"]]
    secret = command.options["config" if kind == "kafka" else "url_file"]
    files = [command.options["key_file"], command.options["tls"], secret]
    assert sorted(mounts) == sorted({str(file) if file.name == "tls" else str(file.parent) for file in files})
    assert str(container["ports"][0]["containerPort"]) == command.options["metrics"].rpartition(":")[2]
    assert pod["terminationGracePeriodSeconds"] >= SourceSettings.drain_seconds + 5
    policies = {one["metadata"]["name"]: one for one in objects if one["kind"] == "NetworkPolicy"}
    assert peers(policies[name], "egress", 50051) == {"ingest"}
    assert peers(policies[f"{name}-to-ingest"], "ingress", 50051) == {name}
    assert policies[f"{name}-to-ingest"]["spec"]["podSelector"]["matchLabels"] == {NAME: "ingest"}
    backend = {method for method, callers in CALLERS.items() if "backend" in callers}
    assert {
        "/usher.ingest.v1.IngestService/SubmitEvents",
        "/usher.ingest.v1.FlowService/ReportSource",
    } <= backend


def test_every_manifest_is_used() -> None:
    """A file that no kustomization names would be checked by nothing."""
    import yaml

    for folder in sorted({path.parent for path in (DEPLOY / "k8s").rglob("*.yaml")}):
        file = folder / "kustomization.yaml"
        assert file.exists(), folder
        content = yaml.safe_load(file.read_text())
        used = set(content["resources"])
        for generator in content.get("configMapGenerator", []):
            used |= set(generator.get("envs", []))
        there = {path.name for path in folder.iterdir() if path.is_file()} - {"kustomization.yaml"}
        assert there == {name for name in used if "." in name and "/" not in name}, folder
