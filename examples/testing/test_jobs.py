"""How a project tests its jobs: run them for real, on a cluster that is there for one test."""

import pytest
from jobs import count_words

import launcher

pytestmark = pytest.mark.asyncio


async def test_words_are_counted(cluster, tmp_path):
    (tmp_path / "emma.txt").write_text("handsome, clever, and rich\n")
    job, settings = count_words(tmp_path)
    result = await launcher.run(job, settings)
    assert result.log.split() == ["4", "emma.txt"]
    assert [file.path for file in result.outputs] == ["words"]


async def test_a_folder_without_texts_fails(cluster, tmp_path):
    job, settings = count_words(tmp_path)
    with pytest.raises(launcher.JobFailed) as caught:
        await launcher.run(job, settings)
    assert "No such file" in caught.value.result.log
