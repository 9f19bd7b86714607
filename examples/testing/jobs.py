"""A job as a project would have it: it counts the words of every text in a folder."""

from pathlib import Path

import launcher


def count_words(texts: Path) -> tuple[launcher.Job, launcher.Settings]:
    """The job, and the settings that know its one connection."""
    settings = launcher.Settings.load().evolve(
        connections=[
            launcher.Connection(name="texts", kind="host_path", schema={"hostPath": str(texts), "readOnly": True})
        ]
    )
    job = launcher.Job(
        name="count-words",
        image="busybox",
        command=[
            "sh",
            "-c",
            'cd /connections/texts; wc -w -- * > "$LAUNCHER_OUTPUTS/words" && cat "$LAUNCHER_OUTPUTS/words"',
        ],
        connections=["texts"],
    )
    return job, settings
