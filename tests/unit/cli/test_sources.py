"""`usher up --source`: what follows is a command of `usher source`, or refused with what to write."""

from __future__ import annotations

from pathlib import Path

import pytest

from cli.console import UnusableError
from cli.sources import command_of


def test_words_are_those_of_a_shell() -> None:
    command = command_of("kafka --topic 'viewer events' --group eu", Path("/home"))
    assert command[3:] == (
        "cli",
        "source",
        "kafka",
        "--topic",
        "viewer events",
        "--group",
        "eu",
        "--home",
        "/home",
    )


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", "usher source"),
        ("kafkaesque --topic t", "usher source"),
        ("stdin", "not stdin"),
        ("redis --stream 'open", "No closing quotation"),
        ("file events.jsonl", "--follow"),
    ],
)
def test_what_is_no_source_is_refused(text: str, told: str) -> None:
    with pytest.raises(UnusableError, match=told):
        command_of(text, Path("/home"))
