"""`usher inspect`: what attack each line looks like. Needs no running mesh."""

from __future__ import annotations

import sys
from enum import StrEnum
from typing import Annotated, BinaryIO

import typer

from cli.console import EXIT_OK, exit_statuses, leave

_LINES_AT_ONCE = 4_096


class LineKind(StrEnum):
    """What the lines are meant to be."""

    TEXT = "text"
    IDENTIFIER = "identifier"
    PATH = "path"


def register(app: typer.Typer) -> None:
    """Adds the command."""
    app.command("inspect")(inspect_lines)


def inspect_lines(
    kind: Annotated[LineKind, typer.Option("--kind", help="What the lines are meant to be.")] = LineKind.TEXT,
) -> None:
    """Tell of each line of stdin what attack it looks like: `clean`, or `attack:` and its class.

    One line in, one line out, in order; it needs no running mesh. Classes: sqli, xss, traversal, command, template,
    ldap, log, code, xxe, ssrf. Lines are read as UTF-8, what is none as the most lenient program would.

    \b
    Examples:
      usher inspect --kind text < titles.txt
      cut -d' ' -f7 access.log | usher inspect --kind path | sort | uniq -c
      echo "' or 1=1 --" | usher inspect
    """
    with exit_statuses():
        answer_lines(sys.stdin.buffer, sys.stdout.buffer, kind.value)
        leave(EXIT_OK)


def answer_lines(source: BinaryIO, sink: BinaryIO, kind: str) -> None:
    """Writes one answer for each line of `source`; a line ends with a line feed, with or without a carriage return."""
    # The patterns take a tenth of a second to compile: not for --help.
    from services.common.attacks.detector import Kind, inspect
    from services.common.attacks.views import lenient

    meant = Kind(kind)
    answers: list[bytes] = []
    for line in source:
        finding = inspect(lenient(line.removesuffix(b"\n").removesuffix(b"\r")), meant)
        answers.append(b"clean\n" if finding is None else b"attack:%s\n" % finding.attack.encode())
        if len(answers) == _LINES_AT_ONCE or not _more_waits(source):
            sink.write(b"".join(answers))
            sink.flush()
            answers.clear()
    sink.write(b"".join(answers))
    sink.flush()


def _more_waits(source: BinaryIO) -> bool:
    # What is buffered already: somebody who types a line sees its answer at once.
    peek = getattr(source, "peek", None)
    return peek is None or bool(peek(1))
