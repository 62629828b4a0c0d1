"""Settings from environment variables into frozen dataclasses.

A process starts with right settings or not at all: `load` reads everything, then lists every problem at once
with the variable, the shape of what it found (never a secret) and what to do.

Names: the prefix and the upper-case field, nested dataclasses joined by `_`. With the prefix `USHER_FRAUD_`
the field `server.address` is `USHER_FRAUD_SERVER_ADDRESS`; where that is unset, `USHER_SERVER_ADDRESS` holds
for the whole mesh. Fields made with `secret()` are read from the file that `<NAME>_FILE` names and from
nowhere else, so that they appear in no process listing.
"""

from __future__ import annotations

import dataclasses
import difflib
import math
import os
import types
import typing
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, TypeVar, Union

T = TypeVar("T")

MESH_PREFIX = "USHER_"
_TRUE = frozenset({"1", "true", "yes", "on"})
_FALSE = frozenset({"0", "false", "no", "off"})
_SHOWN_CHARS = 40


class ConfigError(Exception):
    """The settings do not allow a start. `problems` lists every reason, one sentence each."""

    def __init__(self, problems: Sequence[str]) -> None:
        self.problems = tuple(problems)
        super().__init__("\n".join(("the settings are not usable:", *(f"  - {item}" for item in problems))))


def secret(default: str | None = None) -> Any:
    """Declares a `str` (or `str | None`) field read from the file that `<NAME>_FILE` names; never shown."""
    metadata = {"secret": True}
    if default is None:
        return dataclasses.field(metadata=metadata, repr=False)
    return dataclasses.field(default=default, metadata=metadata, repr=False)


def optional_secret() -> Any:
    """Declares a `str | None` field as `secret()` does; None where no file is named."""
    return dataclasses.field(default=None, metadata={"secret": True}, repr=False)


def load(cls: type[T], env: Mapping[str, str] | None = None, prefix: str = MESH_PREFIX) -> T:
    """Builds a dataclass from the environment.

    Types: str, int, float (finite), bool, Path, Literal, tuple[str, ...] (comma-separated), nested
    dataclasses, and `X | None`. A ValueError raised by `__post_init__` is a problem like any other. A
    variable under the prefix that no field reads is one too; under the bare prefix `USHER_`, which all
    processes share, only names under a nested dataclass's prefix are judged.

    Raises ConfigError with every problem found.
    """
    if not prefix.startswith(MESH_PREFIX) or not prefix.endswith("_"):
        raise ValueError(f"a prefix begins with {MESH_PREFIX} and ends with _, not {prefix!r}")
    loader = _Loader(dict(os.environ if env is None else env), prefix)
    settings = loader.build(cls, prefix)
    loader.find_unknown()
    if loader.problems:
        raise ConfigError(loader.problems)
    return typing.cast(T, settings)


_MISSING = object()
_INVALID = object()


class _Loader:
    def __init__(self, env: dict[str, str], prefix: str) -> None:
        self._env = env
        self._prefix = prefix
        self._known: set[str] = set()
        self._sections: set[str] = set()
        self.problems: list[str] = []

    def build(self, cls: Any, prefix: str) -> Any:
        """Returns an instance, or _INVALID after noting why there is none."""
        hints = typing.get_type_hints(cls)
        values: dict[str, Any] = {}
        valid = True
        for field in dataclasses.fields(cls):
            if not field.init:
                continue
            value = self._field(field, hints[field.name], prefix + field.name.upper())
            if value is _INVALID:
                valid = False
            elif value is not _MISSING:
                values[field.name] = value
        if not valid:
            return _INVALID
        try:
            return cls(**values)
        except ConfigError as error:
            self.problems.extend(f"{prefix}*: {problem}" for problem in error.problems)
        except ValueError as error:
            self.problems.append(f"{prefix}*: {error}")
        return _INVALID

    def _field(self, field: dataclasses.Field[Any], hint: Any, name: str) -> Any:
        inner, optional = _without_none(hint)
        if dataclasses.is_dataclass(inner):
            section = name + "_"
            self._sections.add(section)
            if optional and not self._any_set(section):
                self._note_names(inner, section)
                return _MISSING if _has_default(field) else None
            return self.build(inner, section)
        if field.metadata.get("secret"):
            raw = self._secret(name)
        else:
            self._known.add(name)
            raw = self._lookup(name)
        if raw is None:
            if _has_default(field):
                return _MISSING
            if optional:
                return None
            wanted = name + "_FILE" if field.metadata.get("secret") else name
            what = (
                "to the path of a file that holds it"
                if field.metadata.get("secret")
                else f"to {_shape(inner)}"
            )
            self.problems.append(f"{wanted} is not set: set it {what}")
            return _INVALID
        if raw is _INVALID:
            return _INVALID
        try:
            return _convert(inner, raw)
        except ValueError:
            shown = "a value that is not shown" if field.metadata.get("secret") else _show(raw)
            self.problems.append(f"{name} is {shown}: set it to {_shape(inner)}")
            return _INVALID

    def _lookup(self, name: str) -> str | None:
        if name in self._env:
            return self._env[name]
        return self._env.get(self._mesh_wide(name))

    def _mesh_wide(self, name: str) -> str:
        return MESH_PREFIX + name[len(self._prefix) :]

    def _any_set(self, section: str) -> bool:
        wide = self._mesh_wide(section)
        return any(name.startswith((section, wide)) for name in self._env)

    def _note_names(self, cls: Any, prefix: str) -> None:
        hints = typing.get_type_hints(cls)
        for field in dataclasses.fields(cls):
            inner, _ = _without_none(hints[field.name])
            name = prefix + field.name.upper()
            if dataclasses.is_dataclass(inner):
                self._note_names(inner, name + "_")
            else:
                self._known.add(name + "_FILE" if field.metadata.get("secret") else name)

    def _secret(self, name: str) -> Any:
        file_name = name + "_FILE"
        self._known.add(file_name)
        if self._lookup(name) is not None:
            self._known.add(name)
            self.problems.append(
                f"{name} holds a secret: write it to a file and set {file_name} to the file's path"
            )
            return _INVALID
        path = self._lookup(file_name)
        if path is None:
            return None
        try:
            text = Path(path).read_text(encoding="utf-8").strip()
        except (OSError, UnicodeDecodeError) as error:
            why = error.strerror if isinstance(error, OSError) else "not UTF-8 text"
            self.problems.append(
                f"{file_name} names {path}, which cannot be read ({why}): name a readable file"
            )
            return _INVALID
        if not text:
            self.problems.append(f"{file_name} names {path}, which is empty: write the secret into it")
            return _INVALID
        return text

    def find_unknown(self) -> None:
        judged = tuple(sorted(self._sections)) if self._prefix == MESH_PREFIX else (self._prefix,)
        for name in sorted(self._env):
            if not name.startswith(judged) or name in self._known:
                continue
            close = difflib.get_close_matches(name, sorted(self._known), n=1, cutoff=0.75)
            advice = (
                f"did you mean {close[0]}?"
                if close
                else "remove it, or see the service's settings for the names"
            )
            self.problems.append(f"{name} is not a setting: {advice}")


def _has_default(field: dataclasses.Field[Any]) -> bool:
    return field.default is not dataclasses.MISSING or field.default_factory is not dataclasses.MISSING


def _without_none(hint: Any) -> tuple[Any, bool]:
    if typing.get_origin(hint) in (Union, types.UnionType):
        arguments = typing.get_args(hint)
        rest = [item for item in arguments if item is not type(None)]
        if len(rest) == 1 and len(rest) < len(arguments):
            return rest[0], True
    return hint, False


def _convert(kind: Any, raw: str) -> Any:
    text = raw.strip()
    if kind is str:
        if not text:
            raise ValueError("empty")
        return text
    if kind is bool:
        if text.lower() in _TRUE:
            return True
        if text.lower() in _FALSE:
            return False
        raise ValueError("not a boolean")
    if kind is int:
        return int(text)
    if kind is float:
        number = float(text)
        if not math.isfinite(number):
            raise ValueError("not finite")
        return number
    if kind is Path:
        if not text:
            raise ValueError("empty")
        return Path(text)
    if typing.get_origin(kind) is Literal:
        for choice in typing.get_args(kind):
            if str(choice) == text:
                return choice
        raise ValueError("not among the choices")
    if typing.get_origin(kind) is tuple and typing.get_args(kind) == (str, ...):
        items = tuple(item.strip() for item in text.split(","))
        if not all(items):
            raise ValueError("an empty item")
        return items
    raise TypeError(f"settings know no fields of type {kind!r}")


def _shape(kind: Any) -> str:
    if typing.get_origin(kind) is Literal:
        return "one of " + ", ".join(str(choice) for choice in typing.get_args(kind))
    if typing.get_origin(kind) is tuple:
        return "a comma-separated list without empty items"
    shapes = {
        str: "a text that is not empty",
        int: "a whole number",
        float: "a finite number",
        bool: "true or false",
        Path: "a path",
    }
    return shapes.get(kind, str(kind))


def _show(raw: str) -> str:
    if not raw.strip():
        return "empty"
    return repr(raw if len(raw) <= _SHOWN_CHARS else raw[:_SHOWN_CHARS] + "…")
