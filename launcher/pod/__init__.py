"""From a plan to the pod and its objects: plain Kubernetes dicts. Pure: no I/O, no clock, no chance."""
