"""The services of the mesh and the library they share."""

__version__ = "0.1.0"
