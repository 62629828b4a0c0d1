"""MaxMind DB files, verified before they are trusted: https://maxmind.github.io/MaxMind-DB/ (version 2.0).

The reader checks what a look-up passes by, so a damaged file can answer well for years until an address meets the damage.
Here the whole file is walked when it is opened: every record of the search tree must point to where a tree and its data may
be, no path may be longer than an address or lead back, and every distinct data record is decoded once.
"""

from __future__ import annotations

import ipaddress
import re
import time
from collections.abc import Callable, Mapping
from typing import Any

import maxminddb
import numpy as np
from numpy.typing import NDArray

MARKER = b"\xab\xcd\xefMaxMind.com"
"""Begins the metadata (section "Database Metadata")."""
SEPARATOR_BYTES = 16
"""Zeros between the search tree and the data (section "Data Section Separator")."""
MOST_AHEAD_S = 2 * 86_400
"""A database made later than this from now has a build epoch that is none."""
_BITS = {4: 32, 6: 128}

Records = NDArray[np.int64]


class InvalidDatabaseError(ValueError):
    """The file is no sound MaxMind DB; the text says what is wrong with it."""


def open_verified(
    path: str, content: bytes, types: frozenset[str], accept: Callable[[Mapping[str, Any]], bool]
) -> maxminddb.Reader:
    """Opens the database at `path`, whose bytes are `content`, and walks it.

    `types` are words in lower case of which the database's type must have one. `accept` says of a data record whether it
    tells anything that the caller can use; a database of which no record does is refused, since its schema is another one.

    Raises:
        InvalidDatabaseError: the file is corrupt, of another type, or tells nothing of use.
    """
    try:
        reader = maxminddb.open_database(path)
    except (maxminddb.InvalidDatabaseError, ValueError, OverflowError, OSError) as error:
        raise InvalidDatabaseError(f"it cannot be opened ({type(error).__name__})") from error
    try:
        metadata = reader.metadata()
        if not types.intersection(re.split(r"[^a-z]+", metadata.database_type.lower())):
            raise InvalidDatabaseError(f"its type is {metadata.database_type[:64]!r}")
        tree = _tree(content, metadata)
        if not 0 < metadata.build_epoch < time.time() + MOST_AHEAD_S:
            raise InvalidDatabaseError("its build time is none")
        addresses = _representatives(tree, metadata.node_count, _BITS[metadata.ip_version])
        useful = 0
        for address in addresses:
            try:
                record = reader.get(address)
            except (maxminddb.InvalidDatabaseError, ValueError, OverflowError) as error:
                # UnicodeDecodeError is a ValueError.
                raise InvalidDatabaseError(f"its record of {address} cannot be read") from error
            useful += isinstance(record, dict) and accept(record)
        if not useful:
            raise InvalidDatabaseError("none of its records tells what a database of its kind tells")
    except BaseException:
        reader.close()
        raise
    return reader


def _tree(content: bytes, metadata: Any) -> Records:
    """The search tree as an array of (left, right), once every record of it is possible."""
    count, size = metadata.node_count, metadata.record_size
    if (
        metadata.binary_format_major_version != 2
        or metadata.ip_version not in _BITS
        or size not in (24, 28, 32)
    ):
        raise InvalidDatabaseError("its format is not version 2 of the specification")
    end = content.rfind(MARKER)
    tree_bytes = count * size // 4
    data_bytes = end - tree_bytes - SEPARATOR_BYTES
    if count < 1 or data_bytes < 1:
        raise InvalidDatabaseError("its search tree is longer than the file")
    if content[tree_bytes : tree_bytes + SEPARATOR_BYTES].strip(b"\0"):
        raise InvalidDatabaseError("no separator stands between its search tree and its data")
    raw = np.frombuffer(content, np.uint8, tree_bytes).reshape(count, size // 4).astype(np.int64)
    if size == 24:
        left, right = _number(raw[:, :3]), _number(raw[:, 3:])
    elif size == 28:
        # The middle byte holds the highest four bits of both.
        left = (raw[:, 3] >> 4) << 24 | _number(raw[:, :3])
        right = (raw[:, 3] & 0xF) << 24 | _number(raw[:, 4:])
    else:
        left, right = _number(raw[:, :4]), _number(raw[:, 4:])
    tree = np.stack((left, right), axis=1)
    if (tree == 0).any():
        raise InvalidDatabaseError("a record of its search tree leads back to the root")
    beyond = tree - count
    if ((beyond > 0) & ((beyond < SEPARATOR_BYTES) | (beyond >= SEPARATOR_BYTES + data_bytes))).any():
        raise InvalidDatabaseError("a record of its search tree points outside of the data")
    return tree


def _number(columns: Records) -> Records:
    number = columns[:, 0]
    for column in range(1, columns.shape[1]):
        number = number << 8 | columns[:, column]
    return number


def _representatives(
    tree: Records, count: int, bits: int
) -> list[ipaddress.IPv4Address | ipaddress.IPv6Address]:
    """One address for each distinct data record.

    The tree is walked level by level. Parts of it may be reached on several ways (IPv4 lies under ::/96 and, aliased, under
    ::ffff:0:0/96 and 2002::/16), so a node is followed once a level, and a path that is longer than an address is a circle.
    """
    nodes = np.zeros(1, np.int64)
    high, low = np.zeros(1, np.uint64), np.zeros(1, np.uint64)
    found: dict[int, tuple[int, int]] = {}
    for depth in range(bits):
        bit = np.uint64(1) << np.uint64((bits - 1 - depth) % 64)
        in_high = bits == 128 and depth < 64
        children = tree[nodes].T.reshape(-1)
        ones = np.full_like(high, bit)
        upper = np.concatenate((high, high | ones if in_high else high))
        lower = np.concatenate((low, low if in_high else low | ones))
        data = np.flatnonzero(children > count)
        pointers, first = np.unique(children[data], return_index=True)
        for pointer, position in zip(pointers.tolist(), data[first].tolist(), strict=True):
            found.setdefault(pointer, (int(upper[position]), int(lower[position])))
        inner = np.flatnonzero(children < count)
        nodes, first = np.unique(children[inner], return_index=True)
        high, low = upper[inner[first]], lower[inner[first]]
        if not len(nodes):
            break
    else:
        raise InvalidDatabaseError("a path of its search tree is longer than an address")
    if bits == 32:
        return [ipaddress.IPv4Address(low) for _, low in found.values()]
    return [ipaddress.IPv6Address(high << 64 | low) for high, low in found.values()]
