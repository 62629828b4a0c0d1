"""Content-addressed policy sets: the packs, rules, models and parameters under which decisions are made.

A policy set is a manifest of parts; its id is a hash over them, so that two machines with equal files have equal ids
and a decision that names its set can be replayed. On disk::

    <directory>/parts/<sha256>         one file a part, whatever its kind
    <directory>/sets/<policy set>.json the manifest (usher.policy.v1.PolicySetManifest as JSON)

Files are written to a temporary name and renamed, so a reader never sees half a part; writing a part that is already
there changes nothing. A part whose content does not match its digest is refused when it is read.
"""

from __future__ import annotations

import hashlib
import os
import re
import tempfile
from collections import OrderedDict
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, NamedTuple, cast

from google.protobuf import json_format

from services.common.errors import InvalidArgument, NotFound, PolicySetUnknown
from usher.policy.v1 import policy_pb2

POLICY_SET_PATTERN = re.compile(r"ps_[0-9a-f]{32}")

OWN_PACKS_VARIABLE = "USHER_PACKS_DIR"
"""Environment variable: a folder of the operator's own regulation packs, which join the shipped ones."""

SERVICES_DIRECTORY = Path(__file__).resolve().parent.parent
"""Where the services ship the parts of the default set."""


class Part(NamedTuple):
    """One part to build a set from."""

    kind: int
    """usher.policy.v1.PartKind."""
    name: str
    """Unique within its kind."""
    content: bytes


class PolicySet:
    """The parts of one policy set, in memory.

    Attributes:
        id: "ps_" and 32 hexadecimal digits.
        manifest: the manifest it was read from.
    """

    def __init__(
        self, manifest: policy_pb2.PolicySetManifest, contents: Mapping[tuple[int, str], bytes]
    ) -> None:
        self.id = manifest.policy_set
        self.manifest = manifest
        self._contents = dict(contents)

    def part(self, kind: int, name: str) -> bytes:
        """Content of one part. Raises NotFound (POLICY_PART_MISSING) where the set has no such part."""
        try:
            return self._contents[(kind, name)]
        except KeyError:
            kind_name = policy_pb2.PartKind.Name(cast(Any, kind))
            raise NotFound(
                "POLICY_PART_MISSING", f"policy set {self.id} has no part {name!r} of kind {kind_name}"
            ) from None

    def parts(self, kind: int) -> dict[str, bytes]:
        """All parts of one kind, by name, in order of name."""
        return {name: content for (k, name), content in sorted(self._contents.items()) if k == kind}


class PolicySetCache:
    """Policy sets of a directory, read once and kept (the last `capacity` used)."""

    def __init__(self, directory: Path, capacity: int = 8) -> None:
        self._directory = directory
        self._capacity = capacity
        self._sets: OrderedDict[str, PolicySet] = OrderedDict()

    def get(self, policy_set: str) -> PolicySet:
        """The set of that id.

        Raises:
            InvalidArgument: POLICY_SET_INVALID, where the id is not well formed.
            PolicySetUnknown: where the directory does not hold it (yet).
        """
        found = self._sets.get(policy_set)
        if found is not None:
            self._sets.move_to_end(policy_set)
            return found
        loaded = read_policy_set(self._directory, policy_set)
        self._sets[policy_set] = loaded
        while len(self._sets) > self._capacity:
            self._sets.popitem(last=False)
        return loaded


def policy_set_id(parts: Iterable[policy_pb2.PolicyPart]) -> str:
    """Id of a set: SHA-256 over its parts' kind, name and digest, in order of kind and name; 128 bits of it."""
    digest = hashlib.sha256()
    for part in sorted(parts, key=lambda p: (p.kind, p.name)):
        digest.update(f"{part.kind}\0{part.name}\0{part.digest}\n".encode())
    return "ps_" + digest.hexdigest()[:32]


def write_policy_set(directory: Path, parts: Iterable[Part]) -> str:
    """Writes the parts and their manifest; returns the set's id. Idempotent.

    Raises:
        InvalidArgument: POLICY_SET_INVALID, where two parts share kind and name, or there is none.
    """
    manifest = policy_pb2.PolicySetManifest()
    seen: set[tuple[int, str]] = set()
    for part in sorted(parts, key=lambda p: (p.kind, p.name)):
        if (part.kind, part.name) in seen:
            raise InvalidArgument("POLICY_SET_INVALID", f"two parts named {part.name!r} of kind {part.kind}")
        seen.add((part.kind, part.name))
        digest = hashlib.sha256(part.content).hexdigest()
        _write_once(directory / "parts" / digest, part.content)
        manifest.parts.add(
            kind=cast(Any, part.kind),
            name=part.name,
            digest=digest,
            size_bytes=len(part.content),
        )
    if not manifest.parts:
        raise InvalidArgument("POLICY_SET_INVALID", "a policy set needs at least one part")
    manifest.policy_set = policy_set_id(manifest.parts)
    text = json_format.MessageToJson(manifest, preserving_proto_field_name=True)
    _write_once(directory / "sets" / f"{manifest.policy_set}.json", text.encode())
    return manifest.policy_set


def read_policy_set(directory: Path, policy_set: str) -> PolicySet:
    """Reads a set and checks every part against its digest, and the id against the parts.

    Raises:
        InvalidArgument: POLICY_SET_INVALID (id not well formed), POLICY_SET_CORRUPT (content does not match).
        PolicySetUnknown: where the directory does not hold the set or one of its parts.
    """
    if not POLICY_SET_PATTERN.fullmatch(policy_set):
        raise InvalidArgument("POLICY_SET_INVALID", "a policy set's id is 'ps_' and 32 hexadecimal digits")
    try:
        text = (directory / "sets" / f"{policy_set}.json").read_text()
    except FileNotFoundError:
        raise PolicySetUnknown(
            "POLICY_SET_UNKNOWN", f"policy set {policy_set} is not in the store of policy sets"
        ) from None
    manifest = json_format.Parse(text, policy_pb2.PolicySetManifest())
    contents: dict[tuple[int, str], bytes] = {}
    for part in manifest.parts:
        try:
            content = (directory / "parts" / part.digest).read_bytes()
        except FileNotFoundError:
            raise PolicySetUnknown(
                "POLICY_SET_UNKNOWN", f"part {part.name!r} of policy set {policy_set} is not in the store"
            ) from None
        if hashlib.sha256(content).hexdigest() != part.digest:
            raise InvalidArgument("POLICY_SET_CORRUPT", f"part {part.name!r} does not match its digest")
        contents[(part.kind, part.name)] = content
    if policy_set_id(manifest.parts) != policy_set or manifest.policy_set != policy_set:
        raise InvalidArgument("POLICY_SET_CORRUPT", f"the manifest of {policy_set} does not match its id")
    return PolicySet(manifest, contents)


def newest_policy_set(directory: Path) -> str | None:
    """Id of the set whose manifest was written last, which is most likely the one in force; None where there is none."""
    manifests = [
        path for path in (directory / "sets").glob("*.json") if POLICY_SET_PATTERN.fullmatch(path.stem)
    ]
    return max(manifests, key=lambda path: path.stat().st_mtime_ns).stem if manifests else None


def own_packs(environment: Mapping[str, str]) -> Path | None:
    """The folder of the operator's own packs that the environment names, if it names one."""
    folder = environment.get(OWN_PACKS_VARIABLE, "")
    return Path(folder) if folder else None


def pack_files(own: Path | None, services: Path = SERVICES_DIRECTORY) -> dict[str, Path]:
    """The files of the regulation packs by name: the shipped ones, and those of `own` (*.yaml, *.yml) beside them.

    Raises InvalidArgument (OWN_PACKS_INVALID) where `own` is no folder, holds no pack, or names one as another is.
    """
    found = {path.stem: path for path in sorted((services / "compliance/packs").glob("*.yaml"))}
    if own is None:
        return found
    if not own.is_dir():
        raise InvalidArgument("OWN_PACKS_INVALID", f"{own} is no folder of regulation packs")
    mine = sorted([*own.glob("*.yaml"), *own.glob("*.yml")])
    if not mine:
        raise InvalidArgument("OWN_PACKS_INVALID", f"{own} holds no regulation pack (*.yaml)")
    for path in mine:
        if path.stem in found:
            raise InvalidArgument(
                "OWN_PACKS_INVALID",
                f"{path}: there is a pack {path.stem} already ({found[path.stem]}); give yours an id of its own",
            )
        found[path.stem] = path
    return found


def default_parts(services: Path = SERVICES_DIRECTORY, own: Path | None = None) -> list[Part]:
    """The parts that the services ship: packs, scoring rules, models with their cards, norms, fraud parameters.

    With the packs of `own` beside the shipped ones; raises as `pack_files`.
    """
    sources = (
        (policy_pb2.PART_KIND_SCORING_RULES, "scoring/defaults", "*.yaml"),
        (policy_pb2.PART_KIND_MODEL, "scoring/defaults", "*.onnx"),
        (policy_pb2.PART_KIND_FRAUD_PARAMETERS, "fraud/defaults", "*.yaml"),
    )
    packs = pack_files(own, services).items()
    parts = [Part(policy_pb2.PART_KIND_REGULATION_PACK, name, path.read_bytes()) for name, path in packs]
    parts += [
        Part(kind, path.stem, path.read_bytes())
        for kind, folder, pattern in sources
        for path in sorted((services / folder).glob(pattern))
    ]
    for path in sorted((services / "scoring/defaults").glob("*.json")):
        if path.stem == "norms":
            parts.append(Part(policy_pb2.PART_KIND_NORMS, "population", path.read_bytes()))
        else:
            parts.append(Part(policy_pb2.PART_KIND_MODEL_CARD, path.stem, path.read_bytes()))
    return parts


def build_default(directory: Path, own: Path | None = None) -> str:
    """Writes the set of everything the services ship, and the packs of `own`, into `directory`; returns its id.

    Idempotent. Raises as `pack_files`.
    """
    return write_policy_set(directory, default_parts(own=own))


def _write_once(path: Path, content: bytes) -> None:
    if path.exists():
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=".tmp-")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.chmod(temporary, 0o644)
        os.replace(temporary, path)
    except BaseException:
        os.unlink(temporary)
        raise
