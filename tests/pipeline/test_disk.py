"""`expclip extract` where the disk refuses: one line, and the next run goes on."""

import resource
import subprocess
import sys
from functools import partial

import numpy as np
import pytest
from expclip import Wanted, Workspace, extract
from expclip.cache.cache import Cache

FEATURES = ("clip_image", "query_tokens")


@pytest.fixture
def command(photos, workspace) -> list[str]:
    command = [sys.executable, "-m", "expclip", "extract", str(photos), "--cache", str(workspace.cache_folder)]
    command += ["--clip", "miniature", "--teacher", "miniature", "--device", "cpu"]
    return [*command, *(part for name in FEATURES for part in ("--features", name))]


def test_a_full_disk(command, photos, workspace: Workspace):
    """The kernel refuses files beyond a size as it refuses bytes on a full disk: e_I fits, e_Q does not."""
    no_more_than = partial(resource.setrlimit, resource.RLIMIT_FSIZE, (20_000, 20_000))
    ran = subprocess.run(command, capture_output=True, text=True, preexec_fn=no_more_than)
    assert ran.returncode == 1
    lines = [line for line in ran.stderr.splitlines() if line.startswith("error:")]
    assert len(lines) == 1
    assert "cannot write" in lines[0]
    assert "query_tokens-miniature" in lines[0]
    assert "Traceback" not in ran.stderr

    done = {store.header.node: store.rows_done() for store in Cache(workspace.cache_folder).stores()}
    assert done == {"clip_image": 40, "query_tokens": 0}
    again = extract(workspace, [str(photos)], Wanted(["miniature"], "miniature", None, FEATURES))
    assert again.plan.rows == 40
    for store in workspace.cache.stores():
        assert store.is_complete()
        assert np.isfinite(store.read()).all()
