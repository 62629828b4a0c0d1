"""`python -m cli` is the `usher` command where the package is not installed."""

from cli.main import main

main()
