"""`expclip extract` where the disk refuses: one line, and the next run goes on."""

import resource
import subprocess
import sys
from functools import partial

import numpy as np
import pytest
from expclip.cache.cache import Cache
from lab import Lab

FEATURES = ("clip_image", "query_tokens")


@pytest.fixture
def command(photos, lab) -> list[str]:
    command = [sys.executable, "-m", "expclip", "extract", str(photos), "--cache", str(lab.cache.root)]
    command += ["--clip", "miniature", "--teacher", "miniature", "--device", "cpu"]
    return [*command, *(part for name in FEATURES for part in ("--features", name))]


def test_a_full_disk(command, photos, lab: Lab):
    """The kernel refuses files beyond a size as it refuses bytes on a full disk: e_I fits, e_Q does not."""
    no_more_than = partial(resource.setrlimit, resource.RLIMIT_FSIZE, (20_000, 20_000))
    ran = subprocess.run(command, capture_output=True, text=True, preexec_fn=no_more_than)
    assert ran.returncode == 1
    lines = [line for line in ran.stderr.splitlines() if line.startswith("error:")]
    assert len(lines) == 1
    assert "cannot write" in lines[0]
    assert "query_tokens-miniature" in lines[0]
    assert "Traceback" not in ran.stderr

    done = {store.header.node: store.rows_done() for store in Cache(lab.cache.root).stores()}
    assert done == {"clip_image": 40, "query_tokens": 0}
    again = lab.extract(photos, clip="miniature", teacher="miniature", features=FEATURES)
    assert again.encoded == 40
    for store in lab.cache.stores():
        assert store.is_complete()
        assert np.isfinite(store.read()).all()
