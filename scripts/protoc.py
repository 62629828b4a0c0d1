"""Generates the Python code of the contracts beside their .proto files; with --check says whether it is
fresh.

Usage: python scripts/protoc.py [--check]

Exit status 0: written, or fresh; 1: stale (the files are listed); 2: protoc failed.
"""

from __future__ import annotations

import argparse
import filecmp
import sys
import tempfile
from importlib.resources import files
from pathlib import Path

from grpc_tools import protoc

PROTO = Path(__file__).resolve().parent.parent / "proto"
GENERATED = ("*_pb2.py", "*_pb2.pyi", "*_pb2_grpc.py")


def generate(target: Path) -> None:
    """Runs protoc over every contract and writes below ``target``; raises SystemExit(2) when it fails."""
    sources = sorted(str(path.relative_to(PROTO)) for path in PROTO.rglob("*.proto"))
    status = protoc.main(
        [
            "protoc",
            f"--proto_path={PROTO}",
            f"--proto_path={files('grpc_tools') / '_proto'}",
            f"--python_out={target}",
            f"--pyi_out={target}",
            f"--grpc_python_out={target}",
            *sources,
        ]
    )
    if status != 0:
        raise SystemExit(2)


def generated_files(folder: Path) -> set[Path]:
    """Returns the generated files below a folder, relative to it."""
    return {path.relative_to(folder) for pattern in GENERATED for path in folder.rglob(pattern)}


def stale_files(fresh: Path) -> list[str]:
    """Compares what is checked in with freshly generated code and returns one line for each difference."""
    wanted, present = generated_files(fresh), generated_files(PROTO)
    problems = [f"missing: proto/{path}" for path in sorted(wanted - present)]
    problems += [f"without a .proto: proto/{path}" for path in sorted(present - wanted)]
    problems += [
        f"stale: proto/{path}"
        for path in sorted(wanted & present)
        if not filecmp.cmp(fresh / path, PROTO / path, shallow=False)
    ]
    return problems


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument(
        "--check", action="store_true", help="write nothing; fail when generated code is stale"
    )
    if not parser.parse_args().check:
        generate(PROTO)
        for orphan in sorted(generated_files(PROTO)):
            source = orphan.with_name(orphan.name.partition("_pb2")[0] + ".proto")
            if not (PROTO / source).exists():
                (PROTO / orphan).unlink()
        return 0
    with tempfile.TemporaryDirectory() as folder:
        generate(Path(folder))
        problems = stale_files(Path(folder))
    for problem in problems:
        print(problem, file=sys.stderr)
    if problems:
        print("generated code is stale: run `make proto`", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
