"""A Kubernetes cluster in this process: an API server (``api``) and a node that runs processes (``node``)."""
