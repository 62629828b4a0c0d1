"""Labelled viewer traffic from a seed: for training, tests, load and the demo.

Reads no clock and calls nothing of the mesh. `traffic.generate` is the way in; `population` makes households
with their devices and places, `sessions` the ordinary day of a viewer, `scenarios` what must be found, and
`places` the cities and addresses all of it comes from. Figures obtained with it are figures on simulated
traffic and are to be called so.
"""
