"""The `usher` command: runs the mesh on one machine, sends events to it, turns access logs into events.

Results go to stdout (JSON lines with `--json`), progress and summaries to stderr. Exit status: 0 all well,
1 some events were not accepted as wished, 2 the command could not run. `cli` imports `services.common` and
the contracts, and the insides of no service: it talks to the mesh as any other client does.
"""
