"""Benchmarks: `python -m bench`. Every figure of the README and of docs/performance.md was printed by one of these."""

import os

# Benchmarks start processes while gRPC runs in them; see tests/harness.py. Before anything imports grpc.
os.environ["GRPC_ENABLE_FORK_SUPPORT"] = "false"
