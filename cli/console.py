"""What the commands share towards the terminal: exit statuses, errors told in one line, a stdout that may
close.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import NoReturn

import typer

EXIT_OK = 0
EXIT_INCOMPLETE = 1
"""The command ran, and something in its input did not end as wished."""
EXIT_UNUSABLE = 2
"""The command could not run, or could not reach what it needs. Wrong usage is this, too."""


class UnusableError(Exception):
    """The command cannot run. The text says why and what to do next, for the person at the terminal."""


def say(text: str) -> None:
    """Writes a line to stderr; quietly gives up where stderr is closed."""
    try:
        print(text, file=sys.stderr, flush=True)
    except OSError:
        # Nobody is left to read it; what the command does must not depend on that.
        return


@contextmanager
def exit_statuses() -> Iterator[None]:
    """Turns UnusableError into a line on stderr with status 2, and a closed stdout into a quiet status 1."""
    try:
        yield
        sys.stdout.flush()
    except UnusableError as error:
        say(f"usher: {error}")
        raise typer.Exit(EXIT_UNUSABLE) from None
    except BrokenPipeError:
        # The reader went away (`| head`). Python flushes stdout once more at exit: give it somewhere to go.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise typer.Exit(EXIT_INCOMPLETE) from None


def leave(status: int) -> NoReturn:
    """Ends the command with an exit status."""
    sys.stdout.flush()
    raise typer.Exit(status)
