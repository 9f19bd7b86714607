"""One server a cloud for the whole run; a test asks for ``cloud`` and runs once with each."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from tests.servers import clouds
from tests.servers.clouds import Cloud

# gcsfs asks for a bucket's kind before its first write, and waits 77 s where a server doesn't know the question.
# It reads this when it is imported; in pods the agents' environment sets it.
os.environ.setdefault("GCSFS_EXPERIMENTAL_ZB_HNS_SUPPORT", "false")


@pytest.fixture(scope="session")
def s3(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cloud]:
    with clouds.s3(tmp_path_factory.mktemp("s3")) as cloud:
        yield cloud


@pytest.fixture(scope="session")
def wasb(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cloud]:
    with clouds.wasb(tmp_path_factory.mktemp("wasb")) as cloud:
        yield cloud


@pytest.fixture(scope="session")
def gcs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cloud]:
    with clouds.gcs(tmp_path_factory.mktemp("gcs")) as cloud:
        yield cloud


@pytest.fixture(scope="session", params=["s3", "gcs", "wasb"])
def cloud(request: pytest.FixtureRequest) -> Cloud:
    found: Cloud = request.getfixturevalue(request.param)
    return found
