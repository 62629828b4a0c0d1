"""docs/clients.md: what can be run here is run as it stands there, against a mesh; the templates ask for what they say."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from google.protobuf.compiler import plugin_pb2

from tests.harness import Mesh

ROOT = Path(__file__).resolve().parents[2]
PAGE = ROOT / "docs" / "clients.md"
TEMPLATES = ROOT / "client" / "templates"
BUF = Path(sys.executable).with_name("buf")

pytestmark = pytest.mark.timeout(180)


@pytest.fixture(scope="module")
def mesh(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Mesh]:
    with Mesh(tmp_path_factory.mktemp("clients"), gateway=True) as running:
        yield running


def snippet(heading: str) -> str:
    """The first block of code under a heading."""
    section = PAGE.read_text().split(f"\n## {heading}\n", 1)[1]
    return re.search(r"```\w+\n(.*?)```", section, re.S)[1]  # type: ignore[index]


def run(mesh: Mesh, *command: str) -> str:
    target = mesh.target("ingest")
    environment = os.environ | {
        "USHER_HTTP": mesh.http,
        "USHER_INGEST": target,
        "USHER_SOCKET": target.removeprefix("unix:"),
        "PATH": f"{BUF.parent}:{os.environ['PATH']}",
        "PYTHONPATH": f"{ROOT}:{ROOT / 'proto'}",
        "NO_PROXY": "127.0.0.1",
        "no_proxy": "127.0.0.1",
    }
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_python(mesh: Mesh) -> None:
    assert run(mesh, sys.executable, "-c", snippet("Python")) == "evt_python_1 OUTCOME_ALLOW decided\n"


def test_curl(mesh: Mesh) -> None:
    if shutil.which("curl") is None:
        pytest.skip("curl is not here")
    decision = json.loads(run(mesh, "sh", "-c", snippet("curl")))
    assert (decision["event_id"], decision["outcome"]) == ("evt_curl_1", "ALLOW")


def test_buf_curl(mesh: Mesh) -> None:
    [result] = json.loads(run(mesh, "sh", "-c", snippet("buf curl")))["results"]
    assert (result["eventId"], result["status"]) == ("evt_buf_1", "EVENT_STATUS_DECIDED")


def test_node_over_http(mesh: Mesh) -> None:
    node = shutil.which("node")
    if node is None:
        pytest.skip("Node is not here")
    written = run(mesh, node, "--input-type=module", "-e", snippet("Node over HTTP"))
    assert written == "evt_node_1 ALLOW\n"


@pytest.mark.parametrize(
    ("language", "options"),
    [
        ("go", {"go_package": "example.com/platform/usherpb/usher/event/v1;eventv1"}),
        ("java", {"java_package": "com.example.platform.usher.event.v1"}),
        ("kotlin", {"java_package": "com.example.platform.usher.event.v1"}),
        ("typescript", {}),
    ],
)
def test_a_template_gives_its_plugins_every_contract(
    tmp_path: Path, language: str, options: dict[str, str]
) -> None:
    """The plugins are stand-ins that keep what they were asked and generate nothing."""
    template = TEMPLATES / f"buf.gen.{language}.yaml"
    plugins = re.findall(r"- local: (\S+)", template.read_text())
    for name in (*plugins, "protoc"):
        stand_in = tmp_path / name
        # One call a folder.
        stand_in.write_text(
            '#!/bin/sh\ncase "$*" in *--version*) echo "libprotoc 35.1";; *) cat > "$0.asked.$$";; esac\n'
        )
        stand_in.chmod(0o755)
    done = subprocess.run(
        [BUF, "generate", "proto", "--template", template, "--output", tmp_path / "out"],
        cwd=ROOT,
        env=os.environ | {"PATH": f"{tmp_path}:{os.environ['PATH']}"},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    contracts = {str(path.relative_to(ROOT / "proto")) for path in (ROOT / "proto").rglob("*.proto")}
    for name in plugins:
        asked = [
            plugin_pb2.CodeGeneratorRequest.FromString(path.read_bytes())
            for path in tmp_path.glob(f"{name}.asked.*")
        ]
        assert {file for one in asked for file in one.file_to_generate} == contracts
        event = next(
            file for one in asked for file in one.proto_file if file.name == "usher/event/v1/event.proto"
        )
        assert {option: getattr(event.options, option) for option in options} == options
