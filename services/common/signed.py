"""Signed JSON documents: certificates, evidence, reports. Verifiable without a mesh.

A document is an object with `signature` = {"algorithm": "Ed25519", "key_id", "public_key", "value"}, over the canonical
form (RFC 8785 for what is used of JSON here: strings, whole numbers, true, false, null, lists, objects) of the object
without it. A public key inside the document only says who claims to have signed: compare its id with the one that the
controller published (RFC 8032 for Ed25519).
"""

from __future__ import annotations

import base64
import hashlib
import os
from pathlib import Path
from typing import Any

import orjson
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

ALGORITHM = "Ed25519"
FIELD = "signature"


class SignatureError(ValueError):
    """A document whose signature is missing, malformed or not its own."""


def canonical(document: Any) -> bytes:
    """Canonical JSON: keys sorted, no spaces, UTF-8. Raises TypeError for floats, whose text form is not fixed."""
    _require_exact(document)
    return orjson.dumps(document, option=orjson.OPT_SORT_KEYS)


def digest(document: Any) -> str:
    """SHA-256 of the canonical form, hexadecimal."""
    return hashlib.sha256(canonical(document)).hexdigest()


def key_id(public: Ed25519PublicKey) -> str:
    """First 16 hexadecimal digits of the SHA-256 of the raw public key."""
    return hashlib.sha256(_raw(public)).hexdigest()[:16]


def sign(document: dict[str, Any], key: Ed25519PrivateKey) -> dict[str, Any]:
    """The document with its signature."""
    public = key.public_key()
    unsigned = {name: value for name, value in document.items() if name != FIELD}
    return {
        **unsigned,
        FIELD: {
            "algorithm": ALGORITHM,
            "key_id": key_id(public),
            "public_key": base64.b64encode(_raw(public)).decode(),
            "value": base64.b64encode(key.sign(canonical(unsigned))).decode(),
        },
    }


def verify(document: dict[str, Any], public: Ed25519PublicKey | None = None) -> str:
    """Returns the id of the key that signed the document; with `public` it must be that key.

    Raises SignatureError.
    """
    signature = document.get(FIELD)
    if not isinstance(signature, dict) or signature.get("algorithm") != ALGORITHM:
        raise SignatureError("the document holds no Ed25519 signature")
    try:
        raw = base64.b64decode(signature["public_key"], validate=True)
        value = base64.b64decode(signature["value"], validate=True)
        inside = Ed25519PublicKey.from_public_bytes(raw)
    except (KeyError, TypeError, ValueError) as error:
        raise SignatureError("the signature is malformed") from error
    if public is not None and _raw(public) != raw:
        raise SignatureError(f"it was signed with another key ({key_id(inside)}), not with {key_id(public)}")
    if signature.get("key_id") != key_id(inside):
        raise SignatureError("the signature names another key than it holds")
    unsigned = {name: item for name, item in document.items() if name != FIELD}
    try:
        inside.verify(value, canonical(unsigned))
    except (InvalidSignature, TypeError) as error:
        raise SignatureError("the document is not what was signed") from error
    return key_id(inside)


def public_pem(key: Ed25519PrivateKey) -> str:
    """The public key in PEM."""
    return (
        key.public_key()
        .public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
        .decode()
    )


def read_public_pem(text: bytes) -> Ed25519PublicKey:
    """A public key from PEM. Raises SignatureError where it is none of Ed25519."""
    try:
        key = serialization.load_pem_public_key(text)
    except ValueError as error:
        raise SignatureError("this is no public key in PEM") from error
    if not isinstance(key, Ed25519PublicKey):
        raise SignatureError("this is a public key of another kind than Ed25519")
    return key


def load_or_make_key(path: Path) -> Ed25519PrivateKey:
    """The signing key of a file (PKCS #8 in PEM); made, readable by its owner only, where there is none.

    Raises SignatureError where the file holds something else, OSError.
    """
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        content = _write_once(path, private_pem(Ed25519PrivateKey.generate()))
    return read_private_pem(content)


def load_or_make_secret(path: Path, size: int = 32) -> bytes:
    """Random bytes kept in a file as hexadecimal digits; made, readable by its owner only, where there is none.

    Raises ValueError where the file holds something else, OSError.
    """
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        content = _write_once(path, os.urandom(size).hex().encode() + b"\n")
    secret = bytes.fromhex(content.decode("ascii").strip())
    if len(secret) != size:
        raise ValueError(f"{path} holds {len(secret)} bytes instead of {size}")
    return secret


def _write_once(path: Path, content: bytes) -> bytes:
    """Writes a new file for its owner only; what another process wrote first counts."""
    draft = path.with_name(f"{path.name}.{os.getpid()}")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    try:
        os.write(descriptor, content)
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
    try:
        os.link(draft, path)
    except FileExistsError:
        return path.read_bytes()
    finally:
        draft.unlink()
    return content


def private_pem(key: Ed25519PrivateKey) -> bytes:
    """The private key in PEM (PKCS #8), not encrypted."""
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


def read_private_pem(content: bytes) -> Ed25519PrivateKey:
    """A private key from PEM. Raises SignatureError where it is none of Ed25519."""
    try:
        key = serialization.load_pem_private_key(content, password=None)
    except (ValueError, TypeError) as error:
        raise SignatureError("the signing key cannot be read: PKCS #8 in PEM, not encrypted") from error
    if not isinstance(key, Ed25519PrivateKey):
        raise SignatureError("the signing key is of another kind than Ed25519")
    return key


def _raw(public: Ed25519PublicKey) -> bytes:
    return public.public_bytes(serialization.Encoding.Raw, serialization.PublicFormat.Raw)


def _require_exact(value: Any) -> None:
    if isinstance(value, dict):
        for name, item in value.items():
            if not isinstance(name, str):
                raise TypeError("keys of a signed document are strings")
            _require_exact(item)
    elif isinstance(value, list | tuple):
        for item in value:
            _require_exact(item)
    elif not (value is None or isinstance(value, str | bool | int)):
        raise TypeError(f"a signed document holds no {type(value).__name__}")
