"""For the tests of people who use the launcher: a local cluster as a pytest fixture.

It needs pytest and pytest-asyncio: ``pip install 'podlauncher[testing]'``. Say once, in ``conftest.py``::

    from launcher.testing import cluster  # noqa: F401

and a test that takes ``cluster`` runs its jobs for real, as processes of this machine::

    async def test_counts_the_lines(cluster):
        result = await launcher.run(count_job("books"))
        assert result.log == "12\\n"
"""

from launcher.testing.fixture import cluster

__all__ = ["cluster"]
