"""The policy set that this release ships: `python -m services.common.shipped DIRECTORY` puts it into a store.

A store is shared by the processes of a mesh and outlives releases, since decisions are made and replayed under the set
that is in force and not under the newest. So each release adds its own set to the store, before its processes start,
and takes none away. The operator's own regulation packs (USHER_PACKS_DIR) are part of that set. With
USHER_INGEST_POLICY_SET=shipped ingest puts it in force where none is yet.
"""

from __future__ import annotations

import hashlib
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, cast

from services.common.errors import InvalidArgument
from services.common.policy import build_default, default_parts, own_packs, policy_set_id
from usher.policy.v1 import policy_pb2

SHIPPED = "shipped"
"""Stands for the id of the set that this release ships."""


def shipped_policy_set() -> str:
    """Id of the set that this release ships. Reads the parts, writes nothing."""
    return policy_set_id(
        policy_pb2.PolicyPart(
            kind=cast(Any, part.kind), name=part.name, digest=hashlib.sha256(part.content).hexdigest()
        )
        for part in default_parts(own=own_packs(os.environ))
    )


def main(arguments: Sequence[str]) -> int:
    """Writes the set into the directory that the one argument names, and its id to stdout. Idempotent.

    Returns the exit status: 2 for wrong usage or a directory that cannot be written.
    """
    if len(arguments) != 1 or arguments[0].startswith("-"):
        print("usage: python -m services.common.shipped DIRECTORY", file=sys.stderr)
        return 2
    try:
        print(build_default(Path(arguments[0]), own_packs(os.environ)))
    except InvalidArgument as error:
        print(error.message, file=sys.stderr)
        return 2
    except OSError as error:
        print(f"cannot write policy sets into {arguments[0]}: {error.strerror}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
