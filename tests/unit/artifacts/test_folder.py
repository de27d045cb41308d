import subprocess
import sys

import pytest

from laxity.artifacts.config import RunConfig
from laxity.artifacts.folder import RunFolder
from laxity.core.errors import RunError


@pytest.fixture
def folder(tmp_path):
    made = RunFolder(tmp_path / "run")
    made.claim(RunConfig(), "fingerprint")
    return made


def test_two_holders_exclude_each_other(folder):
    other = RunFolder(folder.path)
    with folder.held(), pytest.raises(RunError, match="in use by another laxity process"), other.held():
        pass
    with RunFolder(folder.path).held():
        pass


def test_a_killed_holder_frees_the_folder(folder):
    code = (
        "import os, sys; from pathlib import Path; from laxity.artifacts.folder import RunFolder\n"
        "held = RunFolder(Path(sys.argv[1])).held(); held.__enter__(); os.kill(os.getpid(), 9)"
    )
    done = subprocess.run([sys.executable, "-c", code, str(folder.path)], check=False)
    assert done.returncode == -9
    with folder.held():
        pass


def test_start_time_is_set_once(folder):
    assert folder.created() == RunFolder(folder.path).created()


def test_only_the_selected_plans_weights_stay(folder):
    for key in ("aaaa", "bbbb"):
        (folder.checkpoints / f"{key}.safetensors").write_bytes(b"x")
    folder.clean(keep="bbbb")
    assert [p.name for p in folder.checkpoints.iterdir()] == ["bbbb.safetensors"]
