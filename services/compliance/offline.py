"""What of compliance needs no running mesh: `python -m services.compliance.offline COMMAND`; `usher compliance` calls it.

    evaluate FILE [--check]      a JSON line a case of worked cases
    regulations [--at TIME]      a JSON line a regulation
    check                        are the packs usable?
    document FILE [--check]      writes docs/regulations.md, or says whether it is fresh
    impact FILE [--decisions F]  exposure and value, from recorded violations and stated assumptions

`--packs DIR` adds the operator's own packs, as USHER_PACKS_DIR does. Results go to stdout, the rest to
stderr; exit status 0 all well, 1 something in the input did not end as wished, 2 the command could not run.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from google.protobuf import json_format

from services.common.errors import InvalidArgument
from services.common.policy import own_packs, pack_files
from services.compliance.cases import CaseError, differences, evaluate_case, read_cases
from services.compliance.evaluate import Law
from services.compliance.expression import parse_instant
from services.compliance.impact import ImpactError, estimate, read_inputs
from services.compliance.packs import Pack, PackError, load_packs
from services.compliance.regulations import document, in_force, regulation

EXIT_OK, EXIT_INCOMPLETE, EXIT_UNUSABLE = 0, 1, 2


class UnusableError(Exception):
    """The command cannot run; the text says why."""


def main(arguments: Sequence[str]) -> int:
    """Runs one command; returns the exit status."""
    parser = argparse.ArgumentParser(prog="python -m services.compliance.offline", allow_abbrev=False)
    commands = parser.add_subparsers(dest="command", required=True)
    for name in ("evaluate", "document", "impact"):
        command = commands.add_parser(name)
        command.add_argument("file")
        if name == "impact":
            command.add_argument("--decisions", default="")
        else:
            command.add_argument("--check", action="store_true")
    commands.add_parser("regulations").add_argument("--at", default="")
    commands.add_parser("check")
    for command in commands.choices.values():
        command.add_argument("--packs", type=Path)
    options = parser.parse_args(arguments)
    try:
        packs = _packs(options.packs or own_packs(os.environ))
        match options.command:
            case "evaluate":
                return _evaluate(packs, options.file, options.check)
            case "regulations":
                return _regulations(packs, options.at)
            case "document":
                return _document(packs, Path(options.file), options.check)
            case "impact":
                return _impact(packs, options.file, options.decisions)
            case _:
                _say(f"{len(packs)} packs, {sum(len(pack.rules) for pack in packs)} rules: usable")
                return EXIT_OK
    except UnusableError as error:
        _say(str(error))
        return EXIT_UNUSABLE


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def _packs(own: Path | None) -> tuple[Pack, ...]:
    try:
        files = pack_files(own)
        return load_packs({name: path.read_bytes() for name, path in files.items()}, files)
    except InvalidArgument as error:
        raise UnusableError(error.message) from error
    except PackError as error:
        raise UnusableError("\n".join(error.problems)) from error
    except OSError as error:
        raise UnusableError(f"{error.filename}: {error.strerror}") from error


def _read(file: str) -> bytes:
    try:
        return sys.stdin.buffer.read() if file == "-" else Path(file).read_bytes()
    except OSError as error:
        raise UnusableError(f"cannot read {file}: {error.strerror}") from error


def _evaluate(packs: Sequence[Pack], file: str, check: bool) -> int:
    try:
        cases = read_cases(_read(file))
    except CaseError as error:
        raise UnusableError(f"{file}: {error}") from error
    law = Law(packs)
    wrong = unread = unlike = 0
    for case in cases:
        answer = evaluate_case(law, case)
        print(json.dumps(answer, ensure_ascii=False))
        where = f"{file}:{case.line}: {case.id}"
        if "error" in answer:
            wrong += 1
            _say(f"{where}: {answer['error']}")
        for problem in case.unread:
            unread += 1
            _say(f"{where}: {problem}; it is taken as unknown")
        for path in case.unknown:
            _say(f"{where}: no rule asks for {path}")
        if check:
            found = differences(case, answer)
            unlike += bool(found)
            for difference in found:
                _say(f"{where}: {difference}")
    if check:
        expected = sum(case.expected is not None for case in cases)
        _say(f"{expected - unlike} of {expected} cases as expected")
    sys.stdout.flush()
    return EXIT_INCOMPLETE if wrong or unread or unlike else EXIT_OK


def _regulations(packs: Sequence[Pack], at: str) -> int:
    moment = None
    if at:
        try:
            moment = parse_instant(at)
        except ValueError as error:
            raise UnusableError(f"--at: {error}") from error
    for pack in packs:
        if moment is None or in_force(pack, moment):
            print(json.dumps(_told(pack, moment), ensure_ascii=False))
    return EXIT_OK


def _told(pack: Pack, at: int | None) -> dict[str, Any]:
    told: dict[str, Any] = json_format.MessageToDict(regulation(pack, at), preserving_proto_field_name=True)
    told.pop("facts_json", None)
    told["facts"] = pack.facts
    return told


def _document(packs: Sequence[Pack], file: Path, check: bool) -> int:
    text = document(packs)
    try:
        if not check:
            file.write_text(text)
            return EXIT_OK
        fresh = file.read_text() == text
    except OSError as error:
        raise UnusableError(f"{file}: {error.strerror}") from error
    if not fresh:
        _say(f"{file} is not what the packs say: run `make regulations`")
    return EXIT_OK if fresh else EXIT_INCOMPLETE


def _impact(packs: Sequence[Pack], file: str, decisions: str) -> int:
    try:
        lines = _read(decisions).splitlines() if decisions else []
        told = [
            _decision(line, f"{decisions}:{number}") for number, line in enumerate(lines, 1) if line.strip()
        ]
        estimated = estimate(read_inputs(_read(file), told), packs)
    except ImpactError as error:
        raise UnusableError(f"{file}: {error}") from error
    print(json.dumps(estimated, ensure_ascii=False))
    return EXIT_OK


def _decision(line: bytes, where: str) -> dict[str, Any]:
    try:
        told = json.loads(line)
    except ValueError as error:
        raise UnusableError(f"{where}: not JSON: {error}") from error
    if not isinstance(told, dict) or ("findings" in told and not {"event_id", "user_id"} <= told.keys()):
        raise UnusableError(f"{where}: not a decision, as `usher decide --json` writes it")
    return told


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1:]))
    except BrokenPipeError:
        # The reader went away (`| head`): give Python's last flush somewhere to go.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(EXIT_INCOMPLETE)
