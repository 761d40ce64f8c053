"""A request and its command line are the same thing, whatever expclip.toml says; what cannot be meant is refused."""

import inspect
import re
import shlex
import string
from pathlib import Path

import expclip
import pytest
import typer
from expclip import cli
from expclip.commands import COMMANDS, command
from expclip.commands.evaluate import Evaluate
from expclip.commands.extract import Extract
from expclip.commands.fit_head import FitHead
from expclip.commands.request import NO_DEFAULT, Asked, asked, untyped
from expclip.errors import UsageError
from expclip.settings import read_settings
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from typer.testing import CliRunner

FILLED = """
cache = "there"

[roots]
raf-db = "/data/RAF-DB"

[defaults]
clip = "miniature"
teacher = "miniature"
protocol = "paper"
device = "cuda"
dtype = "float16"
batch_size = 7
workers = 3
executor = "dask"
scheduler = "tcp://host:8786"

[fit-head]
batch_size = 64
seed = [4]
epochs = 2
head = ["ridge", "mlp2"]
lr = 0.5

[evaluate]
head = "none"
prompts = ["P-3"]
intervals = false
cached_only = true
frames = "edge"

[figures]
kind = ["tsne"]
descriptions = "texts.csv"

[extract]
features = ["clip_image"]
instruction = "empty"
frames = "all"

[crop]
margin = 0.25
face = "central"
boxes = "boxes.txt"

[heads.import]
seed = 3

[heads.export]
square = true

[weights.check]
clip = "miniature"
"""

APP = typer.main.get_command(cli.app)
WORDS = st.text(string.ascii_letters + string.digits + " -_=/.'\"$*…é", min_size=1).filter(lambda text: text.strip())


def values_of(one: Asked) -> st.SearchStrategy:
    """Values of a field, its default among them."""
    declared, base = one.option, one.base
    if declared.choices:
        items = st.sampled_from(sorted(declared.choices))
    elif base is int:
        items = st.integers(max(1, int(declared.least or 1)), min(10**6, int(declared.most or 10**6)))
    elif base is float:
        items = st.floats(0.001, 9.0)
    elif base is bool:
        items = st.booleans()
    else:
        items = WORDS.filter(lambda text: text != declared.unset)
        items = items.map(Path) if base is Path else items
    values = st.lists(items, min_size=1, max_size=3).map(tuple) if one.many else items
    return values if declared.default is NO_DEFAULT else st.just(declared.default) | values


def requests_of(verb: str) -> st.SearchStrategy:
    """Requests of a command that can be meant."""
    kind = command(verb).kind
    fields = {one.name: values_of(one) for one in asked(kind) if one.option.is_typed}
    if "part" in fields:
        fields["part"] = st.sampled_from(["1/1", "2/3"])

    def build(values: dict):
        try:
            return kind(**values)
        except UsageError:  # options that contradict each other
            return None

    return st.fixed_dictionaries(fields).map(build).filter(lambda request: request is not None)


@pytest.mark.parametrize("content", ["", FILLED], ids=["an empty file", "a filled file"])
@pytest.mark.parametrize("verb", COMMANDS)
@settings(
    max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)
@given(data=st.data())
def test_a_request_is_typed_as_its_command_line(tmp_path, monkeypatch, verb, content, data):
    monkeypatch.chdir(tmp_path)
    Path("expclip.toml").write_text(content, encoding="utf-8")
    kind, read = command(verb).kind, []
    request = data.draw(requests_of(verb))
    from_file = {one.name: untyped(kind, one, read_settings()) for one in asked(kind) if not one.option.is_typed}
    request = kind(**{one.name: getattr(request, one.name) for one in asked(kind) if one.option.is_typed} | from_file)
    monkeypatch.setattr(cli, "run", lambda one, make, as_json: read.append(make()) or 0)
    APP.main(shlex.split(request.command())[1:], standalone_mode=False)
    assert read == [request]


def test_what_the_file_says_is_neither_typed_nor_lost(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("expclip.toml").write_text('[defaults]\ndevice = "cuda"\nclip = "miniature"\n', encoding="utf-8")
    assert Extract(datasets="photos", clip="miniature", device="cuda").command() == "expclip extract photos"
    undone = "expclip extract photos --clip ViT-L-14 --device auto"
    assert Extract(datasets="photos").command() == undone


def test_a_repeated_option_takes_a_value_or_a_list():
    one, many = FitHead(train="faces", seed=1, clip="miniature"), FitHead(train="faces", seed=[1], clip=["miniature"])
    assert one == many
    assert (one.seed, one.clip) == ((1,), ("miniature",))
    assert Evaluate(datasets=Path("faces"), root={"raf-db": "/data"}).root == ("raf-db=/data",)


def test_the_word_for_nothing_is_nothing():
    assert Extract(datasets="photos", device="auto", features="auto") == Extract(datasets="photos")
    assert Evaluate(datasets="photos", head="all") == Evaluate(datasets="photos", head=None)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"epochs": 0}, "epochs 0: give 1 or more"),
        ({"epochs": 2.5}, "epochs 2.5: give a whole number"),
        ({"epochs": "many"}, "epochs 'many': give a whole number"),
        ({"epochs": True}, "epochs True: give a whole number"),
        ({"seed": ()}, "seed: give one or more"),
        ({"clip": []}, "clip: give one or more"),
        ({"clip": None}, "clip: a value is needed"),
        ({"seed": "9" * 6000}, "seed '9+…?.*': give a whole number"),
        ({"seed": 10**6000}, "seed a number of thousands of digits: give at most 4,294,967,295"),
        ({"seed": 2**64}, "seed 18446744073709551616: give at most"),
        ({"seed": -1}, "seed -1: give 0 or more"),
        ({"lr": 1e39}, "lr 1e.39: give at most"),  # what float32 does not hold
        ({"epochs": 10**30}, "epochs 10+: give at most 2,147,483,647"),
        ({"epochs": 0}, "epochs 0: give 1 or more"),
        ({"batch_size": 10**30}, "batch_size 10+: give at most"),
        ({"lr": 0}, "lr 0: give more than 0"),
        ({"lr": float("nan")}, "lr nan: give a number"),
        ({"momentum": float("inf")}, "momentum inf: give a number"),
        ({"ridge_lambda": -1}, "ridge_lambda -1: give 0 or more"),
        ({"batch_size": 1}, "batch_size 1: give 2 or more"),
        ({"batch_size": None}, "batch_size: a value is needed"),
        ({"head": "cubic"}, "head 'cubic': choose linear, mlp2, mlp3, transformer, ridge, "),
        ({"clip": 3}, "clip 3: give a text"),
    ],
)
def test_a_value_that_cannot_be_meant_is_refused_by_the_parameters_name(given, message):
    with pytest.raises(UsageError, match=message):
        FitHead(train="faces", **given)


def test_the_command_line_names_the_option_and_a_notebook_the_parameter(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    typed = CliRunner().invoke(cli.app, ["fit-head", "--train", "faces", "--batch-size", "1"])
    assert typed.exit_code == 2
    assert "error: --batch-size '1': give 2 or more" in typed.stderr
    with pytest.raises(UsageError, match=r"^batch_size 1: give 2 or more$"):
        expclip.fit_head(train="faces", batch_size=1)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ('cahce = "c"', r"cahce is unknown: there are cache, roots, defaults, extract, fit-head, "),
        ('[defaults]\nclips = "x"', r"defaults.clips is unknown: there are clip, "),
        ("[defaults]\nbatch_size = 0", r"defaults.batch_size 0: give 1 or more"),
        ("[defaults]\nworkers = 'x'", r"defaults.workers 'x': give a whole number"),
        ("defaults = 3", r"defaults: this must be a table, \[defaults\], found 3"),
        ("[fit-head]\nbatchsize = 3", r"fit-head.batchsize is unknown: there are clip, teacher"),
        ("[fit-head]\ntrain = 'x'", r"fit-head.train is unknown"),
        ("[extract]\nplan = true", r"extract.plan is unknown"),
        ("[extract]\nlimit = 3", r"extract.limit is unknown"),
        ("[evaluate]\nout = 'x'", r"evaluate.out is unknown"),
        ("[evaluate]\ndatasets = ['x']", r"evaluate.datasets is unknown"),
        ("[evaluate]\nintervals = 'no'", r"evaluate.intervals 'no': give true or false"),
        ("[heads.imports]\nseed = 1", r"heads.imports is unknown: there are list, import, export"),
        ("fit-head = 3", r"fit-head: this must be a table, found 3"),
        ("heads = 3", r"heads: this must be a table, found 3"),
        ("[heads]\nimport = 3", r"heads.import: this must be a table, found 3"),
    ],
)
def test_a_mistake_in_the_file_is_one_line_with_its_key(tmp_path, monkeypatch, content, message):
    monkeypatch.chdir(tmp_path)
    Path("expclip.toml").write_text(content, encoding="utf-8")
    result = CliRunner().invoke(cli.app, ["datasets", "list"])
    assert result.exit_code == 2, result.output
    (line,) = result.stderr.splitlines()
    assert re.search(rf"error: expclip\.toml: {message}", line), line


def test_a_notebook_reads_the_cache_and_the_roots_of_the_file_and_no_defaults(tmp_path, monkeypatch, lab, photos):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("EXPCLIP_CACHE", raising=False)
    Path("expclip.toml").write_text(
        'cache = "mine"\n[roots]\nraf-db = "nowhere"\n[defaults]\nclip = "ViT-B-32"\n', encoding="utf-8"
    )
    expclip.extract(photos, clip="miniature", device="cpu")
    assert (tmp_path / "mine" / "photos").is_dir()
    with pytest.raises(UsageError, match=r"nowhere: the root of RAF-DB is not a folder"):
        expclip.extract("raf-db", clip="miniature", device="cpu")
    assert Extract(datasets="photos").clip == ("ViT-L-14",)


def test_every_option_that_may_be_nothing_has_a_word_for_it():
    lacking = [
        (verb, one.name)
        for verb in COMMANDS
        for one in asked(command(verb).kind)
        if one.option.default in (None, ()) and not one.option.unset and not one.option.is_argument
    ]
    assert lacking == []


def test_every_command_is_registered_once():
    found = []
    for name, one in APP.commands.items():  # pyright: ignore[reportAttributeAccessIssue]
        inner = getattr(one, "commands", None)
        found += [f"{name} {word}" for word in inner] if inner else [name]
    assert sorted(found) == sorted(COMMANDS)


@pytest.mark.parametrize("verb", COMMANDS)
def test_the_help_lists_a_command_by_what_begins_its_own_help(verb):
    first = (inspect.getdoc(command(verb).kind) or "").split("\n\n")[0]
    assert COMMANDS[verb][1] == " ".join(first.split())
