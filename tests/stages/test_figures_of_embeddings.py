"""What figures of embeddings show, against a computation from the stored features and the heads' files."""

import numpy as np
import pytest
import zarr
from expclip import UsageError
from expclip.stages.figures import of_embeddings as kinds
from safetensors.numpy import load_file

SCORING = {"clip": "miniature", "prompts": "P-1"}
MINIATURE = {"clip": "miniature", "teacher": "miniature"}


@pytest.fixture
def heads(lab, photos):
    """The matrices of two heads with two seeds, by seed."""
    lab.extract(photos, **MINIATURE)
    fitted = lab.fit_head(train=photos, **MINIATURE, seed=[1, 2], epochs=1, batch_size=16)
    return {one.card.seed: load_file(one.path / "head.safetensors")["weight"] for one in fitted}


@pytest.fixture
def shown(monkeypatch):
    """What each kind hands to its drawing function: positional arguments by the function's name."""
    seen = {}
    for name in ("variance_figure", "tsne_figure", "retrieval_figure"):
        draw = getattr(kinds, name)

        def spy(*args, name=name, draw=draw):
            seen[name] = args
            return draw(*args)

        monkeypatch.setattr(kinds, name, spy)
    return seen


def stored(lab, dataset):
    """Image features by plain zarr, float64."""
    (path,) = (lab.cache.root / dataset).glob("clip_image-*.zarr")
    return zarr.open_group(path, mode="r")["features"][:].astype(np.float64)


def unit(vectors):
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def test_variance_before_and_after_heads_of_clips_is_that_of_their_mean_projected_frames(
    lab, heads, clips, shown, tmp_path
):
    lab.evaluate(clips, **SCORING)
    lab.figures(clips, **SCORING, kind="variance", out=tmp_path)
    variances, classes, _ = shown["variance_figure"]
    features, manifest = stored(lab, "list"), lab.cache.current_manifest("list")
    frames = np.split(manifest.clips["released"].indices, manifest.clips["released"].offsets[1:-1])
    assert len(frames) == len(manifest)

    def expected(weight):
        embedded = unit(np.stack([(features[rows] @ weight.T).mean(axis=0) for rows in frames]))
        groups = [embedded[manifest.labels == label] for label in range(len(classes))]
        return [np.mean(np.sum((group - group.mean(axis=0)) ** 2, axis=1)) for group in groups]

    assert list(variances) == ["plain CLIP", "linear head · related-1 (2 seeds)"]
    before, after = variances.values()
    np.testing.assert_allclose(before, expected(np.eye(features.shape[1])), atol=1e-5)
    np.testing.assert_allclose(after, np.mean([expected(w) for w in heads.values()], axis=0), atol=1e-5)


def test_tsne_sees_the_same_random_samples_before_and_after_the_head_of_the_lowest_seed(
    lab, heads, labelled, shown, tmp_path, monkeypatch
):
    embedded = []
    monkeypatch.setattr(kinds, "MOST_POINTS", 30)
    monkeypatch.setattr(kinds, "tsne_points", lambda unit, seed: (embedded.append(unit), unit[:, :2])[1])
    lab.evaluate(labelled, **SCORING)
    lab.figures(labelled, **SCORING, kind="tsne", seed=5, out=tmp_path)
    panels, labels, _, title = shown["tsne_figure"]
    assert list(panels) == ["plain CLIP", "linear head · related-1 (2 seeds), shown: seed 1"]
    assert "30 of 42 samples" in title
    features, manifest = stored(lab, "labelled"), lab.cache.current_manifest("labelled")
    cosines = unit(features) @ embedded[0].T.astype(np.float64)
    chosen = cosines.argmax(axis=0)
    assert len(set(chosen)) == 30
    np.testing.assert_allclose(embedded[0], unit(features[chosen]), atol=1e-6)
    np.testing.assert_allclose(embedded[1], unit(features[chosen] @ heads[1].T.astype(np.float64)), atol=1e-5)
    np.testing.assert_array_equal(labels, manifest.labels[chosen])


def test_retrieval_encodes_descriptions_once_and_ranks_by_the_cosines_after_the_head(
    lab, heads, labelled, shown, work, tmp_path
):
    lab.evaluate(labelled, **SCORING)
    manifest = lab.cache.current_manifest("labelled")
    texts = [f"person {k}, {manifest.classes[manifest.labels[k]]}" for k in range(25)]
    lines = [f'{manifest.sample_ids[k]},"{text}"' for k, text in enumerate(texts)]
    lines.append(f"{manifest.sample_ids[0]},a second description")
    (tmp_path / "d.csv").write_text("\n".join(["sample_id,text", *reversed(lines)]))
    work.clear()
    drawing = {"kind": "retrieval", "descriptions": tmp_path / "d.csv"}
    for _ in range(2):
        drawn = lab.figures(labelled, **SCORING, **drawing, out=tmp_path / "out")
        assert work["TextTower inputs"] == 26
        assert work["ImageTower inputs"] == 0
    assert [path.name for path in drawn] == [f"retrieval-labelled-miniature.{kind}" for kind in ("png", "pdf")]

    found, title = shown["retrieval_figure"]
    assert "26 descriptions of 25 images" in title
    images = stored(lab, "labelled")[:25]
    of = np.array([0, *reversed(range(25))])  # the file's order
    encoded = description_features(lab, of)
    labels = manifest.labels[:25]
    ranks = []
    for weight in heads.values():
        cosines = unit(encoded @ weight.T) @ unit(images @ weight.T).T
        ranks.append(np.argsort(-cosines, axis=1))
    precision = np.mean([labels[rank[:, :5]] == labels[of][:, None] for rank in ranks])
    own = np.mean([(rank[:, :5] == of[:, None]).any(axis=1) for rank in ranks])
    after = found["description → image"]["linear head · related-1 (2 seeds)"]
    np.testing.assert_allclose((after.precision[4], after.found[4]), (precision, own))
    assert list(found) == ["description → image", "image → description"]


def description_features(lab, written):
    """(n, L) float64: the cached embeddings of texts whose rows are in the order of the file."""
    rows = len(written)
    (store,) = (one for one in lab.cache.find("text", "clip_text") if one.header.rows == rows)
    return zarr.open_group(store.path, mode="r")["features"][:].astype(np.float64)


@pytest.mark.parametrize(
    ("kind", "content", "said"),
    [
        ("retrieval", None, "needs descriptions FILE.csv"),
        ("variance", "sample_id,text\na,b\n", "descriptions is for kind retrieval only"),
        (
            None,
            "sample_id,text\nnobody,smiles\n",
            r"d.csv:2: labelled has no sample 'nobody'.*for example anger/003.png",
        ),
    ],
)
def test_descriptions_that_are_missing_useless_or_of_nobody_are_refused(lab, labelled, tmp_path, kind, content, said):
    lab.evaluate(labelled, **SCORING)
    path = tmp_path / "d.csv"
    if content:
        path.write_text(content)
    with pytest.raises(UsageError, match=said):
        lab.figures(labelled, **SCORING, kind=kind, descriptions=path if content else None, out=tmp_path)


def test_untrained_weights_are_announced_in_the_title(lab, labelled, shown, tmp_path):
    untrained = SCORING | {"clip": "ViT-S-32-alt@random"}
    lab.evaluate(labelled, **untrained)
    lab.figures(labelled, **untrained, kind="variance", out=tmp_path)
    assert "untrained weights" in shown["variance_figure"][2]
