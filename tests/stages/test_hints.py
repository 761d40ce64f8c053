"""What a message advises: what the cache has, and only what the command can do."""

import pytest
from expclip import UsageError
from lab import Lab

MINIATURE = {"clip": "miniature", "teacher": "miniature"}


@pytest.fixture
def features(lab, photos) -> Lab:
    lab.extract(photos, **MINIATURE, instruction="related-1")
    return lab


def said(call, *args, **options) -> str:
    with pytest.raises(UsageError) as error:
        call(*args, **options)
    return error.value.as_typed


def test_what_the_cache_has_comes_before_the_models_that_it_lacks(features, photos):
    told = said(features.fit_head, photos)
    assert "it is there with --clip miniature, or run `expclip extract" in told
    told = said(features.fit_head, photos, clip="miniature")
    assert "it is there with --teacher miniature, or run `expclip extract" in told
    told = said(features.fit_head, photos, **MINIATURE, instruction="empty")
    assert "it is there with --instruction related-1, or run" in told
    told = said(features.fit_head, photos, **MINIATURE, protocol="paper")
    assert "it is there with --protocol released, or run" in told
    told = said(features.figures, photos, clip="miniature", dtype="float16")
    assert "photos has no labels" in told, "what no extraction would help comes first"


def test_another_dtype_that_is_there_is_named(lab, labelled):
    lab.extract(labelled, clip="miniature")
    told = said(lab.evaluate, labelled, cached_only=True, clip="miniature", dtype="float16")
    assert "it is there with --dtype float32, or run" in told


def test_in_python_features_are_named_by_the_options_that_there_are(features, photos):
    with pytest.raises(UsageError, match="it is there with model miniature, or run"):
        features.open_features(str(photos))


def test_options_that_a_command_does_not_have_are_not_advised(features, photos):
    features.extract(photos, clip="miniature", dtype="float16")
    told = said(features.fit_head, photos, **MINIATURE)
    assert "which differ in" in told
    assert "--dtype" not in told.partition("which differ in")[2].partition(":")[2]
    assert "give one's digest (" in told


def test_two_dtypes_of_one_model_are_told_apart_and_never_averaged(lab, labelled):
    stores = [lab.extract(labelled, clip="miniature", dtype=dtype).stores[0] for dtype in ("float32", "float16")]
    told = said(lab.evaluate, labelled, clip="miniature", cached_only=True)
    assert "give --dtype, or one's digest (" in told
    digests = [store.encoder_digest[:12] for store in stores]
    found = lab.evaluate(labelled, clip=digests, prompts="P-1", head="none", intervals=False).scores
    assert [one.of.backbone for one in found] == [f"miniature {digest[:8]}" for digest in digests]


def test_a_name_that_is_almost_one_is_named(features, photos, tmp_path):
    assert "'rafdb' is neither a data set nor a path: did you mean raf-db?" in said(features.extract, "rafdb")
    assert "did you mean raf-db:train?" in said(features.extract, "RAF-DB:train")
    assert "did you mean photos?" in said(features.evaluate, "photo")


def test_a_folder_above_or_below_the_data_set_points_to_it(lab, tmp_path, save_face):
    for split in ("train", "test"):
        for label, name in enumerate(("happy", "sad")):
            save_face(tmp_path / "fer2013" / split / name / "0.png", 3, label, label, size=24)
    told = said(lab.evaluate, tmp_path / "fer2013", clip="miniature")
    assert "has no labels" in told
    assert f"{tmp_path}/fer2013/test" in told
    told = said(lab.evaluate, tmp_path / "fer2013/test/happy", clip="miniature")
    assert f"give {tmp_path}/fer2013/test" in told


def test_remarks_of_a_reader_are_shown_by_every_command_once(lab, tmp_path, save_face, capsys):
    root = tmp_path / "set"
    for label, name in enumerate(("happy", "sad")):
        for k in range(20):
            save_face(root / name / f"{k}.png", 3, 20 * label + k, label, size=24)
        (root / name / "notes.txt").touch()
    remark = "set: 2 files are not images by name and were left out (first: happy/notes.txt)"
    for command in (
        lambda: lab.extract(root, **MINIATURE),
        lambda: lab.evaluate(root, clip="miniature", prompts=["P-1", "P-3"], head="none"),
        lambda: lab.fit_head(root, **MINIATURE, seed=[1, 2], epochs=1, batch_size=8),
        lambda: lab.figures(root, clip="miniature", prompts="P-1", kind="variance", out=tmp_path / "figures"),
        lambda: lab.open_features(str(root), model="miniature"),
    ):
        capsys.readouterr()
        command()
        assert capsys.readouterr().err.count(remark) == 1


def test_reproduce_says_a_remark_once_however_many_tables_there_are(lab, photos, tmp_path, save_face, capsys):
    for label, name in enumerate(("happy", "pain")):
        save_face(tmp_path / "own" / name / "0.png", 3, label, label, size=24)
    lab.extract(photos, **MINIATURE, instruction="related-1")
    lab.evaluate(tmp_path / "own", clip="miniature", prompts=["P-1", "P-3"], head="none")
    capsys.readouterr()
    lab.reproduce(**MINIATURE, train=str(photos), test=str(tmp_path / "own"), dtype="float32")
    assert capsys.readouterr().err.count("own: pain: not common classes") == 1
