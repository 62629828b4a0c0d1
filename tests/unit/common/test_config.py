"""Settings: what is read, and that every problem is listed at once."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import pytest

from services.common.config import ConfigError, load, optional_secret, secret
from services.common.server import ServerSettings
from services.common.telemetry import TelemetrySettings


@dataclass(frozen=True)
class Tls:
    certificate: Path
    key: Path


@dataclass(frozen=True)
class Store:
    path: Path
    password: str = secret()
    pool: int = 4

    def __post_init__(self) -> None:
        if self.pool < 1:
            raise ValueError("pool is 1 or more")


@dataclass(frozen=True)
class Settings:
    name: str
    store: Store
    ratio: float = 0.5
    strict: bool = False
    peers: tuple[str, ...] = ()
    mode: Literal["observe", "enforce"] = "observe"
    note: str | None = None
    tls: Tls | None = None
    token: str | None = optional_secret()


PREFIX = "USHER_FRAUD_"


@pytest.fixture
def password(tmp_path: Path) -> Path:
    path = tmp_path / "password"
    path.write_text("hunter2\n")
    return path


def minimal(password: Path, **more: str) -> dict[str, str]:
    return {
        "USHER_FRAUD_NAME": "one",
        "USHER_FRAUD_STORE_PATH": "/var/x",
        "USHER_FRAUD_STORE_PASSWORD_FILE": str(password),
        **{f"USHER_FRAUD_{key}": value for key, value in more.items()},
    }


def problems(env: dict[str, str], cls: type = Settings, prefix: str = PREFIX) -> tuple[str, ...]:
    with pytest.raises(ConfigError) as caught:
        load(cls, env, prefix)
    return caught.value.problems


def test_every_type_is_read(password: Path) -> None:
    env = minimal(
        password,
        STORE_POOL="8",
        RATIO="0.25",
        STRICT="yes",
        PEERS="a, b",
        MODE="enforce",
        NOTE="hello",
        TLS_CERTIFICATE="/c.pem",
        TLS_KEY="/k.pem",
    )

    assert load(Settings, env, PREFIX) == Settings(
        name="one",
        store=Store(Path("/var/x"), "hunter2", 8),
        ratio=0.25,
        strict=True,
        peers=("a", "b"),
        mode="enforce",
        note="hello",
        tls=Tls(Path("/c.pem"), Path("/k.pem")),
    )


def test_defaults_hold_and_unset_sections_stay_none(password: Path) -> None:
    settings = load(Settings, minimal(password), PREFIX)

    assert settings == Settings(name="one", store=Store(Path("/var/x"), "hunter2"))
    assert settings.tls is None


def test_every_problem_is_listed_at_once(tmp_path: Path) -> None:
    env = {
        "USHER_FRAUD_STORE_PATH": "/var/x",
        "USHER_FRAUD_STORE_PASSWORD_FILE": str(tmp_path / "absent"),
        "USHER_FRAUD_STORE_POOL": "four",
        "USHER_FRAUD_RATIO": "nan",
        "USHER_FRAUD_STRICT": "perhaps",
        "USHER_FRAUD_MODE": "both",
        "USHER_FRAUD_PEERS": "a,,b",
        "USHER_FRAUD_TLS_KEY": "/k.pem",
        "USHER_FRAUD_STOR_PATH": "/typo",
    }

    found = problems(env)

    assert len(found) == 9
    assert [line.split()[0] for line in found] == [
        "USHER_FRAUD_NAME",
        "USHER_FRAUD_STORE_PASSWORD_FILE",
        "USHER_FRAUD_STORE_POOL",
        "USHER_FRAUD_RATIO",
        "USHER_FRAUD_STRICT",
        "USHER_FRAUD_PEERS",
        "USHER_FRAUD_MODE",
        "USHER_FRAUD_TLS_CERTIFICATE",
        "USHER_FRAUD_STOR_PATH",
    ]
    assert "did you mean USHER_FRAUD_STORE_PATH?" in found[-1]
    assert "one of observe, enforce" in found[6]
    assert "'four'" in found[2]
    assert "a whole number" in found[2]


def test_hooks_are_problems_like_any_other(password: Path) -> None:
    assert problems(minimal(password, STORE_POOL="0", RATIO="x")) == (
        "USHER_FRAUD_STORE_*: pool is 1 or more",
        "USHER_FRAUD_RATIO is 'x': set it to a finite number",
    )


def test_a_secret_is_never_taken_from_the_environment_nor_shown(password: Path) -> None:
    env = minimal(password)
    env["USHER_FRAUD_STORE_PASSWORD"] = "hunter2"

    (problem,) = problems(env)

    assert "USHER_FRAUD_STORE_PASSWORD_FILE" in problem
    assert "hunter2" not in problem
    assert "hunter2" not in repr(load(Settings, minimal(password), PREFIX))


def test_an_empty_secret_file_is_a_problem(tmp_path: Path) -> None:
    empty = tmp_path / "empty"
    empty.write_text("\n")

    (problem,) = problems(minimal(empty))

    assert "empty" in problem


def test_a_mesh_wide_variable_holds_where_the_services_own_is_unset(password: Path) -> None:
    env = minimal(password)
    env["USHER_RATIO"] = "0.75"

    assert load(Settings, env, PREFIX).ratio == 0.75
    env["USHER_FRAUD_RATIO"] = "0.25"
    assert load(Settings, env, PREFIX).ratio == 0.25


def test_other_services_names_are_none_of_our_business(password: Path) -> None:
    env = minimal(password)
    env["USHER_SCORING_ANYTHING"] = "x"
    env["USHER_HOME"] = "/h"

    assert load(Settings, env, PREFIX).name == "one"


def test_under_the_shared_prefix_only_sections_are_judged(password: Path) -> None:
    env = {
        "USHER_NAME": "one",
        "USHER_STORE_PATH": "/x",
        "USHER_STORE_PASSWORD_FILE": str(password),
        "USHER_TEST_DATA": "/d",
        "USHER_STORE_POOLS": "3",
    }

    (problem,) = problems(env, prefix="USHER_")

    assert problem == "USHER_STORE_POOLS is not a setting: did you mean USHER_STORE_POOL?"


def test_the_services_own_settings_load() -> None:
    server = load(ServerSettings, {"USHER_FRAUD_ADDRESS": "unix:/run/u/f.sock"}, PREFIX)
    assert server == ServerSettings("unix:/run/u/f.sock")

    found = problems({"USHER_FRAUD_ADDRESS": "nowhere", "USHER_FRAUD_MAX_IN_FLIGHT": "0"}, ServerSettings)
    assert "max_in_flight is 1 or more" in found[0]
    assert "not host:port" in found[0]
    assert "sample_ratio" in problems({"USHER_FRAUD_SAMPLE_RATIO": "2"}, TelemetrySettings)[0]


def test_settings_are_frozen(password: Path) -> None:
    settings = load(Settings, minimal(password), PREFIX)
    with pytest.raises(dataclasses.FrozenInstanceError):
        settings.name = "two"  # type: ignore[misc]
