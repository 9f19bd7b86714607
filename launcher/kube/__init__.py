"""The only package that talks to the cluster library: sessions, watches, logs and their errors."""
