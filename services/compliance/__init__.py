"""Compliance: which laws apply to an event, what they forbid, and which facts are missing.

It decides nothing about abuse: its findings set which processing is permitted, and forbid an act only where a
verified rule says so. It owns the regulation packs' meaning; the packs themselves are parts of the policy set.
Ingest calls `EvaluateEvents` once a batch; the gateway and the command line call `ListRegulations` and `EstimateImpact`;
`usher compliance` runs `offline.py`, which needs no mesh. It keeps the consent ledger (`ConsentService`), which is a
source of the facts that it evaluates.
"""
