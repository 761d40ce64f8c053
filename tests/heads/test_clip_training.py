"""The training of heads that lead clips to prompts: broken off and gone on, epochs that are chosen, frames that are
drawn, and CoOp."""

import numpy as np
import pytest
import torch
from expclip.encoders.families import Models
from expclip.errors import ExpclipError
from expclip.heads.clip_recipe import CORRECTED, PER_CLASS, SHARED, ClassTexts, ClipTraining, Contexts
from expclip.heads.clip_training import corrected_train_frames
from expclip.heads.kinds import KINDS, LabelledSamples
from expclip.heads.recipe import Recipe
from expclip.heads.unfinished import EPOCHS, Unfinished
from expclip.manifests.manifest import Clips
from expclip.scoring.samples import Samples

CLASSES, WIDTH = ("happiness", "sadness", "neutral"), 128
RECIPE = {"epochs": 4, "batch_size": 8, "lr": 0.01, "seed": 1}


@pytest.fixture(scope="module")
def texts() -> ClassTexts:
    """The names of the classes, and the text tower of the miniature."""
    tower = Models().node("clip_text", "miniature", dtype="float32").load("cpu").for_prompts()
    return ClassTexts(tower, CLASSES)


def content(seed: int = 0, n: int = 30, lengths=(16,), **more) -> LabelledSamples:
    """Clips whose frames lie around a direction of their class that moves."""
    generator, labels = np.random.default_rng(seed), np.arange(n) % 3
    ways = np.random.default_rng(9).normal(size=(3, 2, WIDTH))
    sizes = [lengths[k % len(lengths)] for k in range(n)]
    frames = [
        ways[label, 0] + np.linspace(-1, 1, size)[:, None] * ways[label, 1] + 2 * generator.normal(size=(size, WIDTH))
        for size, label in zip(sizes, labels, strict=True)
    ]
    offsets = np.cumsum([0, *sizes])
    samples = Samples(np.concatenate(frames).astype(np.float16), Clips(offsets, np.arange(offsets[-1])))
    return LabelledSamples(samples, labels, CLASSES, **more)


def fit(head: str, of: LabelledSamples, progress=None, **recipe):
    return KINDS[head].trainer.fit(of, Recipe(**RECIPE | recipe), progress)


class BrokenOffError(Exception):
    """The power went."""


def _ending_at(step: int):
    def progress(done: int, total: int) -> None:
        if done == step:
            raise BrokenOffError

    return progress


def broken_off(head: str, of: LabelledSamples, at: int) -> None:
    """A fit whose process ends behind some step."""
    with pytest.raises(BrokenOffError):
        fit(head, of, _ending_at(at))


def steps_of(head: str, of: LabelledSamples) -> tuple[object, list[int]]:
    """A fitted head, and the steps that were made for it."""
    made: list[int] = []
    return fit(head, of, lambda done, total: made.append(done)), made


def assert_same(one, other) -> None:
    assert one.losses_ == other.losses_
    for name, value in one.tensors().items():
        np.testing.assert_array_equal(value, other.tensors()[name])


@pytest.mark.parametrize("head", ["dfer-clip", "coop"])
@pytest.mark.parametrize("select", ["last", "validation"])
def test_a_fit_that_was_broken_off_goes_on_at_its_last_epoch_and_comes_to_the_same(texts, tmp_path, head, select):
    validation = content(seed=3) if select == "validation" else None
    kept = Unfinished.of(tmp_path, "0" * 12, 0)
    of = content(validation=validation, training=ClipTraining(texts, unfinished=kept))
    whole = fit(head, content(validation=validation, training=ClipTraining(texts)))
    broken_off(head, of, at=3 * 2 + 1)  # of three steps an epoch: in the third
    again, made = steps_of(head, of)
    assert made == [7, 8, 9, 10, 11, 12]
    assert_same(again, whole)


def test_what_was_reached_and_is_damaged_is_begun_anew(texts, tmp_path):
    kept = Unfinished.of(tmp_path, "0" * 12, 0)
    of = content(training=ClipTraining(texts, unfinished=kept))
    broken_off("coop", of, at=4)
    whole = kept.file.read_bytes()
    for damaged in (b"", whole[:-5], bytes([*whole[:-1], whole[-1] ^ 1]), b"\x00" * 100):
        kept.file.write_bytes(damaged)
        assert kept.read() is None
        again, made = steps_of("coop", of)
        assert made[0] == 1
        assert_same(again, fit("coop", content(training=ClipTraining(texts))))


@pytest.mark.parametrize("head", ["dfer-clip", "coop"])
def test_without_momentum_there_is_none_to_keep(texts, tmp_path, head):
    kept = Unfinished.of(tmp_path, "0" * 12, 0)
    of = content(training=ClipTraining(texts, unfinished=kept))
    with pytest.raises(BrokenOffError):
        fit(head, of, _ending_at(7), momentum=0)
    assert_same(fit(head, of, momentum=0), fit(head, content(training=ClipTraining(texts)), momentum=0))


def _less(state, name):
    return {other: value for other, value in state.items() if other != name}


FOREIGN = {
    "context of fewer vectors": lambda state: state | {"now.context": state["now.context"][:, :1]},
    "momentum of another size": lambda state: state | {"momentum.context": state["momentum.context"][:, :2]},
    "values of another type": lambda state: state | {"now.context": state["now.context"].astype(np.int32)},
    "no numbers": lambda state: state | {"now.context": state["now.context"] * np.nan},
    "another generator": lambda state: state | {"generator": state["generator"][:100]},
    "fewer losses": lambda state: state | {"losses": state["losses"][:-1]},
    "more epochs": lambda state: state | {EPOCHS: np.array([10**6])},
    "a tensor less": lambda state: _less(state, "now.context"),
    "a tensor more": lambda state: state | {"best.context": state["now.context"]},
}


@pytest.mark.parametrize("change", FOREIGN.values(), ids=FOREIGN)
def test_what_another_fit_reached_is_refused(texts, tmp_path, change):
    kept = Unfinished.of(tmp_path, "0" * 12, 0)
    of = content(training=ClipTraining(texts, unfinished=kept))
    broken_off("coop", of, at=4)
    state = kept.read()
    assert state is not None
    kept.write(change(state))
    with pytest.raises(ExpclipError, match="of another fit, or of another version: remove the"):
        fit("coop", of)


@pytest.mark.parametrize("said", [None, np.array([], dtype=int), np.array([-3]), np.array([0]), np.array([1.0])])
def test_what_does_not_say_how_far_it_came_is_damaged(texts, tmp_path, said):
    kept = Unfinished.of(tmp_path, "0" * 12, 0)
    broken_off("coop", content(training=ClipTraining(texts, unfinished=kept)), at=4)
    state = _less(kept.read(), EPOCHS)
    kept.write(state if said is None else state | {EPOCHS: said})
    assert kept.read() is None


@pytest.mark.parametrize(("head", "rates"), [("dfer-clip", "lr or context_lr"), ("coop", "lr")])
def test_steps_that_lead_to_no_numbers_are_refused_also_if_they_are_the_last(texts, head, rates):
    one_step = {"epochs": 1, "batch_size": 30, "lr": 1e38}
    with pytest.raises(ExpclipError, match=rf"no finite numbers after epoch 1: choose a smaller {rates}$"):
        fit(head, content(training=ClipTraining(texts, contexts=Contexts(lr=1e38))), **one_step)


def test_the_epoch_that_counts_is_the_best_on_what_was_held_out(texts):
    """By brute force: fits of one, two, three … epochs are the beginnings of a longer one."""
    validation = content(seed=5, n=60)
    by_epoch = [fit("dfer-clip", content(training=ClipTraining(texts)), epochs=k) for k in range(1, 7)]
    right = [(one.class_scores(validation.samples).argmax(axis=1) == validation.labels).mean() for one in by_epoch]
    best = int(np.argmax(right))
    assert len(set(right)) > 1
    chosen = fit("dfer-clip", content(validation=validation, training=ClipTraining(texts)), epochs=6)
    assert len(chosen.losses_) == 6
    for name, value in by_epoch[best].tensors().items():
        np.testing.assert_array_equal(value, chosen.tensors()[name])


@pytest.mark.parametrize("n", [5, 16, 20, 31, 32, 100])
def test_corrected_frames_are_one_of_each_part_and_every_frame_may_be_drawn(n):
    generator = torch.Generator().manual_seed(1)
    drawn = np.stack([corrected_train_frames(n, generator) for _ in range(400)])
    assert drawn.shape == (400, 16) and (np.diff(drawn, axis=1) >= 0).all()
    if n < 16:
        assert (drawn == np.minimum(np.arange(16), n - 1)).all()
        return
    assert set(drawn.ravel().tolist()) == set(range(n))
    for k in range(16):
        assert set(drawn[:, k]) == set(range(k * n // 16, (k + 1) * n // 16))


def test_the_other_sampler_and_frames_as_they_are_give_other_heads(texts):
    heads = [
        fit("coop", content(lengths=lengths, training=ClipTraining(texts, sampler=sampler)))
        for lengths, sampler in (((40, 50), "released"), ((40, 50), CORRECTED), ((8,), None))
    ]
    assert len({head.losses_[-1] for head in heads}) == 3


def test_coop_learns_prompts_for_the_mean_of_frames(texts):
    head = fit("coop", content(n=60, training=ClipTraining(texts, Contexts(4, SHARED, lr=0.02))), epochs=20)
    assert sorted(head.tensors()) == ["context", "texts"] and head.context_.shape == (1, 4, 128)
    test = content(seed=7, n=60, lengths=(16, 3, 40))
    means = np.stack(
        [
            one.mean(axis=0)
            for one in np.split(test.samples.frames.astype(np.float64), test.samples.clips.offsets[1:-1])
        ]
    )
    expected = 100 * means / np.linalg.norm(means, axis=1, keepdims=True) @ head.texts_.T.astype(np.float64)
    np.testing.assert_allclose(head.class_scores(test.samples), expected, atol=1e-3)
    assert (expected.argmax(axis=1) == test.labels).mean() > 0.8
    assert head.losses_[-1] < head.losses_[0]


def test_coop_learns_from_images_too(texts):
    frames = content().samples.frames
    images = LabelledSamples(Samples(frames[::16]), np.arange(30) % 3, CLASSES, training=ClipTraining(texts))
    head = fit("coop", images)
    assert head.class_scores(Samples(frames)).shape == (480, 3)


def test_a_context_for_each_class_and_one_for_all_differ_and_a_saved_head_keeps_it(texts):
    for per, sets in ((PER_CLASS, 3), (SHARED, 1)):
        head = fit("dfer-clip", content(training=ClipTraining(texts, Contexts(4, per))))
        tensors = head.tensors()
        assert tensors["context"].shape == (sets, 4, 128)
        trainer = KINDS["dfer-clip"].trainer
        trainer.refuse(tensors)
        again = trainer.load(tensors, {"classes": CLASSES})
        samples = content(seed=4).samples
        np.testing.assert_array_equal(again.class_scores(samples), head.class_scores(samples))
        with pytest.raises(ValueError, match="tensors are not those of such a head"):
            trainer.refuse(tensors | {"context": np.zeros((2, 4, 128), np.float32)})


def test_the_texts_of_a_head_are_those_of_its_context_through_the_tower(texts):
    from expclip.heads.contexts import LearntPrompts

    contexts = Contexts(4)
    head = fit("dfer-clip", content(training=ClipTraining(texts, contexts)))
    with torch.no_grad():
        found = LearntPrompts(texts, contexts).directions(head.context_)
    np.testing.assert_allclose(head.texts_, found.numpy(), atol=1e-6)
    np.testing.assert_allclose(np.linalg.norm(head.texts_, axis=1), 1, atol=1e-5)


def test_rates_fall_to_a_tenth_behind_each_milestone(texts, monkeypatch):
    rates: list[list[float]] = []
    own = torch.optim.SGD.step

    def step(self, *given):
        rates.append([group["lr"] for group in self.param_groups])
        return own(self, *given)

    monkeypatch.setattr(torch.optim.SGD, "step", step)
    of = content(n=8, training=ClipTraining(texts, Contexts(lr=0.002)))
    fit("dfer-clip", of, epochs=41)
    expected = [(0.01, 0.002)] * 30 + [(0.001, 0.0002)] * 10 + [(0.0001, 0.00002)]
    np.testing.assert_allclose(rates, expected)
