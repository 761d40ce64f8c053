"""The doctor: healthy encoders pass, ones that fail, differ or look at nothing do not."""

import json

import numpy as np
import pytest
import torch
from expclip.cli import app
from expclip.commands.doctor import Doctor
from expclip.encoders.blip2.sides import TextSide
from expclip.encoders.clip.towers import ImageTower
from expclip.stages import doctor
from typer.testing import CliRunner


def examined(*options: str) -> tuple[int, dict]:
    result = CliRunner().invoke(app, ["doctor", "--device", "cpu", "--json", *options])
    return result.exit_code, json.loads(result.stdout)


def results(found: dict) -> dict[str, bool]:
    return {trial["node"]: trial["passed"] for trial in found["trials"]}


def test_on_a_cpu_every_encoder_is_compared_in_bfloat16():
    code, found = examined()
    assert code == 0 and found["healthy"]
    assert results(found) == dict.fromkeys(("clip_image", "clip_text", "query_tokens", "llm"), True)
    assert {(trial["device"], trial["dtype"]) for trial in found["trials"]} == {("cpu", "bfloat16")}
    assert all(0 < trial["error"] <= trial["tolerance"] for trial in found["trials"])
    assert found["devices"][0]["name"] == "cpu" and "float32" in found["devices"][0]["formats"]
    assert found["versions"]["torch"] == torch.__version__.partition("+")[0]
    assert any("no GPU" in remark for remark in found["remarks"])


def only_bfloat16(change):
    """Changes what an image tower gives, but not the reference's."""
    whole = ImageTower.__call__

    def call(self, pixels):
        found = whole(self, pixels)
        return change(found) if self._input_dtype == torch.bfloat16 else found

    return call


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        (lambda found: np.full_like(found, np.nan), "not finite numbers"),
        (lambda found: found * 1.2, "not those of the CPU"),
        (lambda found: np.broadcast_to(found.mean(axis=0), found.shape), "not those of the CPU"),
    ],
)
def test_an_encoder_that_differs_fails(monkeypatch, change, problem):
    monkeypatch.setattr(ImageTower, "__call__", only_bfloat16(change))
    code, found = examined()
    assert code == 1 and not found["healthy"]
    assert [node for node, passed in results(found).items() if not passed] == ["clip_image"]
    assert problem in found["trials"][0]["problem"]


def test_an_encoder_that_cannot_run_fails_with_its_reason_and_the_others_are_tried(monkeypatch):
    load = TextSide.__init__
    calls = []

    def fails(self, *arguments):
        calls.append(arguments)
        if len(calls) > 1:
            raise RuntimeError("no kernel\nfor this device")
        load(self, *arguments)

    monkeypatch.setattr(TextSide, "__init__", fails)
    result = CliRunner().invoke(app, ["doctor", "--device", "cpu"])
    assert result.exit_code == 1
    assert "failed: no kernel for this device" in result.stdout
    assert result.stdout.count("passed") == 3


def test_a_gpu_is_tried_in_float32_and_in_the_formats_it_uses(monkeypatch):
    tried = []
    monkeypatch.setattr(doctor, "resolve_device", lambda asked: "cuda")
    monkeypatch.setattr(doctor, "_try", lambda _, *what: tried.append(what) or doctor.Trial(*what, 0.0, 1.0))
    found = doctor.examine(Doctor())
    assert found.healthy and not found.remarks
    nodes = ("clip_image", "clip_text", "query_tokens", "llm")
    assert tried == [(node, "cuda", dtype) for dtype in ("float32", "float16") for node in nodes]
