"""The front door: takes events, has them decided, keeps what was decided.

Decides: whether an event is well formed, new, late or too old; what to answer when another service is away.
Owns: inbox, receipts, events, decisions, profiles (opaque bytes of scoring), failed events, outbox, the accounting, the
modes of tenants and the policy set in force. It is the only writer of outcomes.
Called by: OTT backends, the gateway and the `usher` command (IngestService, PolicyService).
Calls: compliance, fraud, scoring, alerts. One direction; nobody it calls calls back.

The way of an event, and where it lives::

    1 check      check.py                 4 ask     pipeline.py (peers.py)
    2 accept     servicer.py, store.py    5 decide  pipeline.py, degrade.py where scoring is away
    3 look up    store.py, profiles.py    6 commit  store.py: one transaction
                                          7 tell    outbox.py
"""
