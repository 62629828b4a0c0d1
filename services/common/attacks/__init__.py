"""Whether a text is an attack on a program behind: SQL injection, scripts, paths, commands, templates and more.

A library without state: `views` takes encodings away, `patterns` and `crs` say what attacks look like then, `detector`
matches all of them at once. Ingest asks it for every event, `usher inspect` for lines of a file.
"""
