"""One line makes the fixture known to the tests of this folder."""

from launcher.testing import cluster  # noqa: F401  a fixture is used by its name
