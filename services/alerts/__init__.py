"""Alerts: tells people what they must look at, once, and says what became of it.

Decides which messages belong together (one kind about one entity, within half an hour of each other) and when
people are told: when an alert opens, and when it becomes graver. Owns messages, alerts and deliveries. Called by
the outboxes of the mesh (RaiseAlerts) and by the gateway (ListAlerts). Calls nobody.
"""
