"""The image, as far as it can be known without an engine: lint, and what it holds, laid out and started here."""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import tomllib
from fnmatch import fnmatch
from pathlib import Path

import pytest

from services.common.policy import read_policy_set
from services.common.shipped import shipped_policy_set
from tests.deploy.manifests import DEPLOY, MODULES, OVERLAYS, ROOT, compose_processes, processes

DOCKERFILE = DEPLOY / "Dockerfile"


def instructions() -> list[tuple[str, str]]:
    """(keyword, argument) of each instruction, continuation lines joined."""
    text = re.sub(r"^#.*\n", "", DOCKERFILE.read_text(), flags=re.MULTILINE).replace("\\\n", " ")
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return [(line.split(maxsplit=1)[0], line.split(maxsplit=1)[1]) for line in lines]


def final_stage() -> list[tuple[str, str]]:
    every = instructions()
    last = max(number for number, (keyword, _) in enumerate(every) if keyword == "FROM")
    return every[last:]


def variables() -> dict[str, str]:
    (text,) = [argument for keyword, argument in final_stage() if keyword == "ENV"]
    return dict(item.split("=", 1) for item in shlex.split(text))


def copied() -> list[tuple[str, str]]:
    """(source in the repository, place in the image) of the final stage."""
    return [
        (source, target)
        for keyword, argument in final_stage()
        if keyword == "COPY" and not argument.startswith("--from")
        for source, target in [argument.split()]
    ]


def sent(path: str) -> bool:
    """Says whether .dockerignore lets a path of the repository through; the last rule that fits decides."""
    result = True
    for rule in (ROOT / ".dockerignore").read_text().splitlines():
        if not rule or rule.startswith("#"):
            continue
        pattern = rule.removeprefix("!")
        ancestors = [path, *map(str, Path(path).parents)]
        fits = any(fnmatch(one, pattern) for one in ancestors if one != ".")
        if pattern.startswith("**/"):
            fits = any(fnmatch(part, pattern[3:]) for part in Path(path).parts)
        if fits:
            result = rule.startswith("!")
    return result


def test_hadolint() -> None:
    hadolint = shutil.which("hadolint", path=f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}")
    if hadolint is None:
        pytest.skip("hadolint is not installed: run `make setup`")
    done = subprocess.run(
        [hadolint, "--no-color", str(DOCKERFILE)], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_only_what_the_image_needs_is_sent() -> None:
    for source in ("requirements/runtime.lock", *(source for source, _ in copied())):
        assert (ROOT / source).exists(), source
        assert sent(source), source
    for path in (".git/config", ".venv/bin/python", "deploy/secrets/database-url", "tests/conftest.py"):
        assert not sent(path), path
    assert sent("services/fraud/observe.lua")
    assert sent("services/scoring/defaults/ensemble.onnx")
    assert not sent("services/fraud/__pycache__/engine.cpython-312.pyc")


def test_what_is_packaged_is_copied() -> None:
    packages = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["hatch"]["build"]["targets"][
        "wheel"
    ]
    assert {source for source, _ in copied()} == {*packages["packages"], "LICENSE"}


def test_packages_are_installed_by_hash() -> None:
    (install,) = [
        one for keyword, one in instructions() if keyword == "RUN" and " install --no-cache-dir" in one
    ]
    assert {"--require-hashes", "--no-deps"} <= set(install.split())
    lock = (ROOT / "requirements" / "runtime.lock").read_text()
    pins = re.findall(r"^[a-z0-9][^ ]*==[^ ]+", lock, re.MULTILINE)
    assert len(pins) > 20
    for block in re.split(r"\n(?=[a-z0-9])", lock)[1:]:
        assert "--hash=sha256:" in block, block[:80]


def test_it_runs_as_the_user_of_the_manifests() -> None:
    (user,) = [argument for keyword, argument in final_stage() if keyword == "USER"]
    assert user == "10001:10001"
    assert any(keyword == "RUN" and "useradd --uid 10001" in argument for keyword, argument in final_stage())
    for overlay in OVERLAYS:
        for process in processes(overlay).values():
            context = process.pod["securityContext"]
            assert f"{context['runAsUser']}:{context['runAsGroup']}" == user
            assert process.raw["image"].partition(":")[0] == "usher"
    assert not [keyword for keyword, _ in instructions() if keyword == "ENTRYPOINT"]


@pytest.fixture(scope="module")
def image(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """/app of the image."""
    app = tmp_path_factory.mktemp("image") / "app"
    app.mkdir()

    def ignored(folder: str, names: list[str]) -> set[str]:
        inside = Path(folder).relative_to(ROOT)
        return {name for name in names if not sent(str(inside / name))}

    for source, target in copied():
        if (ROOT / source).is_dir():
            shutil.copytree(ROOT / source, app / target, ignore=ignored)
        else:
            shutil.copy(ROOT / source, app / target)
    return app


def run(image: Path, *command: str) -> subprocess.CompletedProcess[str]:
    """Runs a command of the image as the image would, with no setting at all."""
    assert command[0] == "python"
    env = {key: value.replace("/app", str(image)) for key, value in variables().items() if key != "PATH"}
    return subprocess.run(
        [sys.executable, *command[1:]],
        cwd=image,
        env=env,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_everything_is_imported_from_the_image(image: Path) -> None:
    names = [f"{module}.__main__" for module in MODULES.values()]
    code = (
        "import importlib, json, sys\n"
        f"for name in {names!r}: importlib.import_module(name)\n"
        "roots = ('services', 'gateway', 'cli', 'simulator', 'usher')\n"
        "print(json.dumps([m.__file__ for n, m in sys.modules.items()\n"
        "                  if n.split('.')[0] in roots and getattr(m, '__file__', None)]))"
    )
    done = run(image, "python", "-c", code)
    assert done.returncode == 0, done.stderr
    files = json.loads(done.stdout)
    assert len(files) > 50
    assert [file for file in files if not file.startswith(f"{image}/")] == []


def test_each_command_starts_and_says_what_it_lacks(image: Path) -> None:
    commands = {
        tuple(process.command)
        for found in (processes("dev"), processes("prod"), compose_processes())
        for process in found.values()
    }
    assert {command[2] for command in commands} == set(MODULES.values())
    for command in commands:
        done = run(image, *command)
        assert done.returncode == 2, done.stderr
        assert "the settings are not usable" in done.stderr
        assert "Traceback" not in done.stderr


def test_the_default_command_is_help(image: Path) -> None:
    (command,) = [json.loads(argument) for keyword, argument in final_stage() if keyword == "CMD"]
    done = run(image, *command)
    assert done.returncode == 0, done.stderr
    assert "usage" in done.stdout.lower()


def test_the_image_holds_its_policy_set(image: Path, tmp_path: Path) -> None:
    store = tmp_path / "policy"
    done = run(image, "python", "-m", "services.common.shipped", str(store))
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == shipped_policy_set()
    assert read_policy_set(store, shipped_policy_set()).id == shipped_policy_set()

    before = sorted((path, path.stat().st_mtime_ns) for path in store.rglob("*"))
    assert run(image, "python", "-m", "services.common.shipped", str(store)).stdout == done.stdout
    assert sorted((path, path.stat().st_mtime_ns) for path in store.rglob("*")) == before


def test_wrong_usage_of_the_policy_command(image: Path, tmp_path: Path) -> None:
    assert run(image, "python", "-m", "services.common.shipped").returncode == 2
    (tmp_path / "file").touch()
    done = run(image, "python", "-m", "services.common.shipped", str(tmp_path / "file"))
    assert (done.returncode, done.stdout) == (2, "")
    assert "cannot write policy sets" in done.stderr
