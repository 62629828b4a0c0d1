"""Scoring: decides each event from the viewer's profile, fraud's signals and compliance's verdict.

Decides: outcome, risk components, threshold, segment, reasons, actions, counterfactual.
Owns: the layout of profiles (opaque bytes to everybody else), the features, the models and the outcome rules.
Keeps nothing: profiles travel with the request and come back; equal requests have equal answers.
Called by: ingest (DecideEvents), gateway and cli (ListFeatures, ListSegments).
"""
