"""`expclip.toml` and the cache folder."""

from pathlib import Path

import pytest
from expclip.errors import UsageError
from expclip.settings import CACHE_VARIABLE, DEFAULT_CACHE, Config, Defaults, cache_folder, cache_option, read_config


@pytest.fixture
def read(tmp_path):
    """Reads a configuration file with some text."""

    def read_text(text):
        (tmp_path / "expclip.toml").write_bytes(text if isinstance(text, bytes) else text.encode())
        return read_config(tmp_path)

    return read_text


def test_without_a_file_nothing_is_set(tmp_path):
    assert read_config(tmp_path) == Config()


def test_the_file_is_looked_for_in_the_working_directory(tmp_path, monkeypatch):
    (tmp_path / "expclip.toml").write_text('cache = "here"')
    monkeypatch.chdir(tmp_path)
    assert read_config().cache == Path("here")


def test_a_file_sets_the_cache_the_roots_and_defaults(read):
    config = read('\ufeffcache = "c"\r\n[roots]\r\nraf-db = "/data/RAF"\r\n[defaults]\r\nclip = "miniature"\r\n')
    assert config.cache == Path("c")
    assert config.roots == {"raf-db": Path("/data/RAF")}
    assert config.defaults == Defaults(clip="miniature")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('cahce = "c"', r"cahce is unknown: there are cache, roots, defaults$"),
        ('[defaults]\nclips = "x"', r"defaults.clips is unknown: there are clip, teacher, protocol, "),
        ("[defaults]\nbatch_size = 0", r"defaults.batch_size: .* greater than or equal to 1, found 0"),
        ("[defaults]\nworkers = 'x'", r"defaults.workers: .* valid integer.*, found 'x'"),
        ("roots = 'x'", r"roots: .* valid dictionary, found 'x'"),
        ("[roots]\nraf-db = 3", r"roots.raf-db: .*found 3"),
        ("cache = ", r"cannot be read \(Invalid value.*\): correct it or move it away"),
        (b"cache = '\xff'", r"cannot be read \(.*utf-8.*\): correct it or move it away"),
    ],
)
def test_a_mistake_in_the_file_is_named_with_its_key(read, text, message):
    with pytest.raises(UsageError, match=rf"expclip\.toml: {message}"):
        read(text)


def test_a_folder_in_place_of_the_file_is_no_missing_file(tmp_path):
    (tmp_path / "expclip.toml").mkdir()
    with pytest.raises(UsageError, match=r"expclip.toml: cannot be read \(.*directory"):
        read_config(tmp_path)


@pytest.mark.parametrize(
    ("option", "variable", "config", "expected"),
    [
        ("option", "variable", "config", "option"),
        (None, "variable", "config", "variable"),
        (None, "", "config", "config"),
        (None, None, "config", "config"),
        (None, None, None, "expclip-cache"),
    ],
)
def test_the_cache_is_the_options_the_variables_the_files_or_the_default(
    monkeypatch, option, variable, config, expected
):
    monkeypatch.delenv(CACHE_VARIABLE, raising=False)
    if variable is not None:
        monkeypatch.setenv(CACHE_VARIABLE, variable)
    chosen = cache_folder(Path(option) if option else None, Config(cache=Path(config) if config else None))
    assert chosen == Path(expected)


def test_a_command_names_the_cache_only_where_it_would_not_find_it(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv(CACHE_VARIABLE, raising=False)
    other = tmp_path / "other"
    assert cache_option(tmp_path / DEFAULT_CACHE) == []
    assert cache_option(other) == ["--cache", str(other)]
    monkeypatch.setenv(CACHE_VARIABLE, "other")
    assert cache_option(other) == []
