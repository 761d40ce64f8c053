"""`expclip.toml` and the cache folder. Which options the file may name, and their values: tests/commands."""

from pathlib import Path

import pytest
from expclip.errors import UsageError
from expclip.settings import CACHE_VARIABLE, Settings, cache_folder, read_settings


@pytest.fixture
def read(tmp_path):
    """Reads a configuration file with some text."""

    def read_text(text):
        (tmp_path / "expclip.toml").write_bytes(text if isinstance(text, bytes) else text.encode())
        return read_settings(tmp_path)

    return read_text


def test_without_a_file_nothing_is_set(tmp_path):
    assert read_settings(tmp_path) == Settings(tmp_path / "expclip.toml")


def test_the_file_is_looked_for_in_the_working_directory(tmp_path, monkeypatch):
    (tmp_path / "expclip.toml").write_text('cache = "here"')
    monkeypatch.chdir(tmp_path)
    assert read_settings().cache == Path("here")


def test_a_file_sets_the_cache_the_roots_and_options(read):
    text = '\ufeffcache = "c"\r\n[roots]\r\nraf-db = "/data/RAF"\r\n[defaults]\r\nclip = "miniature"\r\n'
    settings = read(text + "[heads.import]\r\nseed = 3\r\n")
    assert settings.cache == Path("c")
    assert settings.roots == {"raf-db": Path("/data/RAF")}
    assert settings.defaults == {"clip": "miniature"}
    assert settings.table("heads import") == {"seed": 3}
    assert settings.table("fit-head") == {}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("roots = 'x'", r"roots: this must be a table, \[roots\], found 'x'"),
        ("[roots]\nraf-db = 3", r"roots.raf-db: give a folder in quotes, found 3"),
        ("cache = 3", r"cache: give a folder in quotes, found 3"),
        ("cache = ", r"cannot be read \(Invalid value.*\): correct it or move it away"),
        (b"cache = '\xff'", r"cannot be read \(.*utf-8.*\): correct it or move it away"),
    ],
)
def test_a_mistake_in_the_file_is_named_with_its_key(read, text, message):
    with pytest.raises(UsageError, match=rf"expclip\.toml: {message}"):
        read(text)


def test_a_folder_in_place_of_the_file_is_not_a_missing_file(tmp_path):
    (tmp_path / "expclip.toml").mkdir()
    with pytest.raises(UsageError, match=r"expclip.toml: cannot be read \(.*directory"):
        read_settings(tmp_path)


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
    settings = Settings(cache=Path(config) if config else None)
    assert cache_folder(Path(option) if option else None, settings) == Path(expected)
