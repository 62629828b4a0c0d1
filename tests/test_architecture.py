"""Holds the shape of the code: who may import whom, what domain modules may know, what serving processes
load.

The rules are those of docs/architecture.md. They are read from the syntax trees, so an import inside a
function counts as well.
"""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

ROOT = Path(__file__).resolve().parent.parent
SERVICES = ("ingest", "compliance", "scoring", "fraud", "alerts")
ALWAYS = ("__init__.py", "__main__.py", "servicer.py")
"""Files every service folder has. One that keeps rows has `store.py` and `migrations/versions` too."""

COMPOSITION_ROOT_LINES = 60

IO_MODULES: dict[str, frozenset[str]] = {
    # service -> modules that speak to a database, a channel or a file, beside __main__, servicer, settings,
    # store*
    "ingest": frozenset(
        {
            "app",
            "backlog",
            "door",
            "failures",
            "ledger",
            "lists",
            "erasures",
            "outbox",
            "outcomes",
            "peers",
            "pipeline",
            "policy",
            "proposals",
            "restore",
            "sentry",
            "senders",
            "servicer_control",
            "servicer_accounts",
            "servicer_feedback",
            "servicer_flow",
            "servicer_keys",
            "shards",
            "sources",
            "tables",
        }
    ),
    "compliance": frozenset({"fulfil", "peers", "records", "servicer_records", "sweep"}),
    "scoring": frozenset({"drifting", "retrain"}),
    "fraud": frozenset({"ringbook", "sweep"}),
    "alerts": frozenset({"app", "channels", "chores", "delivery", "tables"}),
}

OFFLINE_MODULES: dict[str, frozenset[str]] = {
    # service -> modules of processes of their own: only these may import the training libraries
    "fraud": frozenset({"communities", "sweep"}),
    "scoring": frozenset({"benchmark", "compare", "detector", "export", "retrain", "train"}),
}

IO_LIBRARIES = frozenset({"alembic", "grpc", "grpc_health", "psycopg", "redis", "sqlalchemy", "sqlite3"})
IO_COMMON = frozenset(
    f"services.common.{name}"
    for name in ("client", "db", "interceptors", "migrations", "outbound", "server", "transport")
)
OFFLINE_LIBRARIES = frozenset({"networkx", "onnx", "skl2onnx", "sklearn"})


class Import(NamedTuple):
    """One imported module or name, with its line."""

    name: str
    line: int


def imports_of(source: str, package: str) -> list[Import]:
    """Returns what a module of ``package`` imports; `from a import b` counts as `a.b`, relative ones are
    resolved."""
    found = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            found += [Import(alias.name, node.lineno) for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                parents = package.split(".")[: len(package.split(".")) - node.level + 1]
                base = ".".join([*parents, base] if base else parents)
            found += [Import(f"{base}.{alias.name}", node.lineno) for alias in node.names]
    return found


def is_within(name: str, modules: frozenset[str] | set[str]) -> bool:
    """True where ``name`` is one of the modules, or lies in one."""
    return any(name == module or name.startswith(module + ".") for module in modules)


def forbidden(package: str) -> tuple[set[str], set[str]]:
    """Returns (modules code of this package must not import, exceptions from that)."""
    top, _, rest = package.partition(".")
    if top == "simulator":
        return {"services", "gateway", "cli"}, set()
    shared = {"services.common", "services.__version__"}
    if top == "gateway":
        return {"services", "simulator"}, shared
    if top == "client":
        return {"services", "gateway", "cli", "simulator"}, shared
    if top == "cli":
        return {"services"}, shared
    return {"services", "gateway", "cli", "simulator"}, {*shared, f"services.{rest.partition('.')[0]}"}


def wrong_directions(source: str, package: str, *, offline: bool = False) -> list[Import]:
    """Returns the imports that go against the direction of the layers. Training (``offline``) may simulate."""
    never, unless = forbidden(package)
    if offline:
        unless = unless | {"simulator"}
    return [
        found
        for found in imports_of(source, package)
        if is_within(found.name, never) and not is_within(found.name, unless) and found.name != "services"
    ]


def impurities(source: str, package: str) -> list[Import]:
    """Returns the imports that a domain module must not have: transport, storage, and the modules that hold
    them."""
    service = package.split(".")[1]
    neighbours = {
        f"services.{service}.{name}" for name in ("__main__", "servicer", "store", *IO_MODULES[service])
    }
    never = IO_LIBRARIES | IO_COMMON | neighbours
    return [found for found in imports_of(source, package) if is_within(found.name, never)]


def swallowed(source: str) -> list[int]:
    """Returns the lines of handlers that catch every exception and do nothing with it."""
    lines = []
    for node in ast.walk(ast.parse(source)):
        if not isinstance(node, ast.ExceptHandler):
            continue
        caught = node.type.elts if isinstance(node.type, ast.Tuple) else [node.type]
        names = {item.id if isinstance(item, ast.Name) else None for item in caught if item is not None}
        everything = node.type is None or names & {"Exception", "BaseException"}
        idle = all(
            isinstance(statement, ast.Pass | ast.Continue)
            or (isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Constant))
            for statement in node.body
        )
        if everything and idle:
            lines.append(node.lineno)
    return lines


def modules(*folders: str) -> Iterator[Path]:
    for folder in folders:
        for path in sorted((ROOT / folder).rglob("*.py")):
            if "__pycache__" not in path.parts and not path.name.endswith(("_pb2.py", "_pb2_grpc.py")):
                yield path


def package_of(path: Path) -> str:
    return ".".join(path.relative_to(ROOT).parent.parts)


def domain_modules() -> Iterator[Path]:
    for service in SERVICES:
        for path in modules(f"services/{service}"):
            inside = path.relative_to(ROOT / "services" / service)
            name = inside.parts[0].removesuffix(".py")
            outer = {"__main__", "servicer", "settings", "migrations", *IO_MODULES[service]}
            if name not in outer and not name.startswith("store"):
                yield path


def is_offline(path: Path) -> bool:
    parts = path.relative_to(ROOT).parts
    return parts[0] == "services" and path.stem in OFFLINE_MODULES.get(parts[1], frozenset())


def listed(path: Path, found: list[Import]) -> list[str]:
    return [f"{path.relative_to(ROOT)}:{item.line} imports {item.name}" for item in found]


# -- the code ----------------------------------------------------------------------------------------------


def test_imports_go_in_one_direction() -> None:
    wrong = [
        line
        for path in modules("services", "gateway", "cli", "client", "simulator")
        if package_of(path) != "services"
        for line in listed(
            path, wrong_directions(path.read_text(), package_of(path), offline=is_offline(path))
        )
    ]

    assert wrong == []


def test_domain_modules_are_pure() -> None:
    wrong = [
        line
        for path in domain_modules()
        for line in listed(path, impurities(path.read_text(), package_of(path)))
    ]

    assert wrong == [], "a module that does I/O on purpose is listed in IO_MODULES"


def test_only_offline_modules_import_training_libraries() -> None:
    wrong = []
    for path in modules("services", "gateway", "cli", "client", "simulator"):
        parts = path.relative_to(ROOT).parts
        service = parts[1] if parts[0] == "services" else ""
        if path.stem not in OFFLINE_MODULES.get(service, frozenset()):
            found = imports_of(path.read_text(), package_of(path))
            wrong += listed(path, [item for item in found if is_within(item.name, OFFLINE_LIBRARIES)])

    assert wrong == []


def test_listed_modules_exist() -> None:
    absent = [
        f"services/{service}/{name}"
        for service, names in IO_MODULES.items()
        for name in names
        if not (ROOT / "services" / service / f"{name}.py").is_file()
        and not (ROOT / "services" / service / name).is_dir()
    ]

    assert absent == []
    assert set(IO_MODULES) == set(SERVICES)


@pytest.mark.parametrize("service", SERVICES)
def test_every_service_folder_has_the_same_names(service: str) -> None:
    folder = ROOT / "services" / service
    expected = [folder / name for name in ALWAYS]
    if any(
        is_within(found.name, {"services.common.db", "sqlalchemy"})
        for path in modules(f"services/{service}")
        if "migrations" not in path.parts
        for found in imports_of(path.read_text(), package_of(path))
    ):
        expected += [folder / "store.py", folder / "migrations" / "versions"]

    assert [str(path.relative_to(ROOT)) for path in expected if not path.exists()] == []
    assert ast.get_docstring(ast.parse((folder / "__init__.py").read_text())), "says what the service decides"
    assert len((folder / "__main__.py").read_text().splitlines()) <= COMPOSITION_ROOT_LINES


def test_there_are_no_other_services() -> None:
    folders = {path.parent.name for path in (ROOT / "services").glob("*/__init__.py")}

    assert folders <= {*SERVICES, "common"}


SERVING = [f"services.{service}.__main__" for service in SERVICES] + ["gateway.__main__", "cli.main"]


@pytest.mark.parametrize(
    "module", [name for name in SERVING if (ROOT / (name.replace(".", "/") + ".py")).is_file()]
)
def test_serving_processes_start_without_training_libraries(module: str) -> None:
    program = (
        "import importlib, sys\n"
        f"importlib.import_module({module!r})\n"
        f"print(*sorted({set(OFFLINE_LIBRARIES)!r} & sys.modules.keys()))\n"
    )
    result = subprocess.run(
        [sys.executable, "-c", program],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )

    assert result.returncode == 0, result.stderr
    assert result.stdout.split() == []


def test_no_exception_is_swallowed() -> None:
    wrong = [
        f"{path.relative_to(ROOT)}:{line}"
        for path in modules("services", "gateway", "cli", "client", "simulator", "scripts", "bench", "tests")
        for line in swallowed(path.read_text())
    ]

    assert wrong == []


# -- the rules themselves ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("package", "source", "caught"),
    [
        ("services.common", "import services.ingest.store", ["services.ingest.store"]),
        ("services.common", "from services import fraud", ["services.fraud"]),
        ("services.common", "from services.common import errors\nfrom . import db", []),
        (
            "services.fraud",
            "from services.common.errors import Aborted\nfrom services.fraud import rings",
            [],
        ),
        ("services.fraud", "def f():\n    from services.scoring import model", ["services.scoring.model"]),
        ("services.fraud", "from ..scoring import model", ["services.scoring.model"]),
        ("services.fraud", "from . import rings", []),
        ("services.fraud", "from services import __version__", []),
        ("services.fraud", "import cli.home", ["cli.home"]),
        ("gateway", "from services.ingest.wire import pack", ["services.ingest.wire.pack"]),
        ("gateway.routes", "from services.common.client import connect", []),
        ("cli", "from services.common import config", []),
        ("simulator", "from services.common import clock", ["services.common.clock"]),
        ("simulator", "from usher.event.v1 import event_pb2\nimport services_of_others", []),
    ],
)
def test_direction_rule(package: str, source: str, caught: list[str]) -> None:
    assert [item.name for item in wrong_directions(source, package)] == caught


@pytest.mark.parametrize(
    ("source", "caught"),
    [
        ("import grpc.aio", ["grpc.aio"]),
        ("from sqlalchemy import select", ["sqlalchemy.select"]),
        ("from redis.asyncio import Redis", ["redis.asyncio.Redis"]),
        ("from services.common.db import Database", ["services.common.db.Database"]),
        ("from . import store", ["services.fraud.store"]),
        ("from services.common.errors import NotFound\nimport numpy\nimport grpcio_like", []),
    ],
)
def test_purity_rule(source: str, caught: list[str]) -> None:
    assert [item.name for item in impurities(source, "services.fraud")] == caught


@pytest.mark.parametrize(
    ("handler", "lines"),
    [
        ("except Exception:\n    pass", [3]),
        ("except:\n    ...", [3]),
        ("except (ValueError, Exception):\n    pass", [3]),
        ("except BaseException:\n    'nothing'", [3]),
        ("except ValueError:\n    pass", []),
        ("except Exception:\n    raise", []),
    ],
)
def test_swallow_rule(handler: str, lines: list[int]) -> None:
    assert swallowed(f"try:\n    f()\n{handler}\n") == lines
