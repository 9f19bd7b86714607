"""What runs in a pod beside the user's container: ``fetch`` before it, ``save`` around it."""
