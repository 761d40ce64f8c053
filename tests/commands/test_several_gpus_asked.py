"""What the commands make of several GPUs; the GPUs are made up."""

from pathlib import Path

import pytest
import torch
from expclip.commands.doctor import Doctor
from expclip.commands.evaluate import Evaluate
from expclip.commands.extract import Extract
from expclip.commands.fit_head import FitHead
from expclip.commands.request import from_typed
from expclip.encoders import dtypes
from expclip.encoders.dtypes import resolve_device
from expclip.errors import UsageError
from expclip.pipeline import workspace as place
from expclip.pipeline.workspace import Workspace
from expclip.settings import read_settings
from expclip.stages import doctor, fit_head
from expclip.stages.keeping import verify_cache
from typed_commands import request_of


@pytest.fixture(autouse=True)
def two_gpus(monkeypatch):
    monkeypatch.setattr(dtypes, "may_have_accelerator", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)


@pytest.mark.parametrize("request_kind", [Extract, Evaluate])
class TestWhereEncodersRun:
    def test_several_gpus_are_dasks(self, request_kind):
        for device in ("cuda:all", "cuda:0,1"):
            workspace = Workspace.of(request_kind("photos", device=device))
            assert (workspace.options.executor, workspace.models.gpus) == ("dask", ("0", "1"))

    @pytest.mark.parametrize("device", [None, "cuda", "cuda:1", "cpu"])
    def test_one_device_is_this_process(self, request_kind, device):
        workspace = Workspace.of(request_kind("photos", device=device))
        assert (workspace.options.executor, workspace.models.gpus) == ("local", ())

    def test_the_local_executor_has_one(self, request_kind):
        with pytest.raises(
            UsageError, match="device cuda:0,1: only executor dask uses several GPUs: choose it, or one"
        ):
            request_kind("photos", device="cuda:0,1", executor="local")

    def test_with_a_scheduler_they_are_those_of_its_workers(self, request_kind):
        workspace = Workspace.of(request_kind("photos", device="cuda:all", scheduler="tcp://host:1"))
        assert (workspace.options.executor, workspace.models.device, workspace.models.gpus) == ("dask", "cuda", ())

    def test_with_a_scheduler_numbers_say_nothing(self, request_kind):
        with pytest.raises(UsageError, match="with scheduler each worker has its own GPU: give cuda:all"):
            request_kind("photos", device="cuda:0,1", scheduler="tcp://host:1")

    def test_each_may_decode_without_processes(self, request_kind):
        assert request_kind("photos", device="cuda:all", workers=0).workers == 0


def test_a_run_is_told_the_gpus_and_that_each_worker_sees_one(lab, photos, monkeypatch):
    told = []
    monkeypatch.setattr(place, "run_plan", lambda cache, plan, wanted, options, listen: told.append(options))
    lab.extract(photos, clip="miniature", device="cuda:1,0")
    assert [(one.executor, one.device, one.gpus) for one in told] == [("dask", "cuda", ("1", "0"))]


def test_where_only_the_file_asks_for_several_other_commands_use_the_first(lab, photos, tmp_path, monkeypatch):
    lab.extract(photos, clip="miniature", teacher="miniature")
    monkeypatch.chdir(tmp_path)
    Path("expclip.toml").write_text('[defaults]\ndevice = "cuda:1,0"\n')
    devices = []
    monkeypatch.setattr(fit_head, "resolve_device", lambda asked: devices.append(resolve_device(asked)) or "cpu")
    words = {
        "train": str(photos),
        "clip": ["miniature"],
        "teacher": "miniature",
        "seed": ["1"],
        "batch_size": "8",
        "cache": lab.cache.root,
    }
    (head,) = fit_head.fit_head(from_typed(FitHead, words, read_settings()))
    assert head.is_new
    assert set(devices) == {"cuda:1"}
    assert Workspace.of(from_typed(Extract, {"datasets": [str(photos)]}, read_settings())).models.gpus == ("1", "0")


@pytest.mark.parametrize("device", ["cuda:all", "cuda:0,1"])
def test_fitting_uses_one_device_and_says_so_in_one_line(lab, photos, device):
    with pytest.raises(
        UsageError, match=f"device {device}: fit-head uses one device, .*: give one, for example cuda:0"
    ):
        lab.fit_head(train=photos, clip="miniature", teacher="miniature", device=device)


def test_encoding_again_to_verify_uses_one_device_and_says_so_in_one_line(lab):
    request = request_of(f"expclip cache verify --reencode 1 --device cuda:all --cache {lab.cache.root}")
    with pytest.raises(UsageError, match="device cuda:all: cache verify uses one device"):
        verify_cache(request)


def test_the_doctor_tries_each(monkeypatch):
    tried = []
    monkeypatch.setattr(doctor, "_devices", tuple)
    monkeypatch.setattr(doctor, "_try", lambda _, *what: tried.append(what[1]) or doctor.Trial(*what, 0.0, 1.0))
    assert doctor.examine(Doctor(device="cuda:1,0")).healthy
    assert list(dict.fromkeys(tried)) == ["cuda:1", "cuda:0"]
