"""Everything about one run decided, before anything is built or sent: all problems at once. Pure, no await.

A plan holds values only; secrets are named, never read.
"""

from launcher.plan.decide import plan, wanted
from launcher.plan.values import FILES_PATH, Circumstances, Plan, PlannedStore, PlannedUse

__all__ = ["FILES_PATH", "Circumstances", "Plan", "PlannedStore", "PlannedUse", "plan", "wanted"]
