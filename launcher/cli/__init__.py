"""The command line: what a user types becomes calls of the public API, and what comes back becomes text.

The job's own words go to stdout and all others to stderr, so that either can be redirected alone.
"""
