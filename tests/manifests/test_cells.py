"""Cells of CSV files: nothing computes, everything comes back."""

import csv
import io

import pytest
from expclip.errors import HIDDEN
from expclip.manifests.cells import cell, text_of
from hypothesis import example, given
from hypothesis import strategies as st

PARTS = st.sampled_from(
    [*"=+-@'\"\t\r\n \\x5cu02e1bU0", "\\x1b", "\\x5c", "\\udcff", "\udcff", "\x1b", "＝", "a", "é"]
)


@given(st.one_of(st.text(), st.lists(PARTS).map("".join)))
@example("\\x5cx1b")
@example("''=1")
@example("\\U0010ffff\\Uffffffff")
def test_every_text_comes_back_from_a_file_in_utf_8_and_none_is_a_formula(text):
    file = io.StringIO(newline="")
    csv.writer(file).writerow([cell(text), 1])
    content = file.getvalue().encode("utf-8").decode("utf-8")
    ((found, _),) = csv.reader(io.StringIO(content, newline=""))
    assert text_of(found) == text
    assert not HIDDEN.search(found)
    assert found[:1] == "'" or found.lstrip("'\" ")[:1] not in tuple("=+-@＝")


@pytest.mark.parametrize("text", ["a/b c.png", "it's", '"quoted"', "C:\\new\\table", "naïve 顔", "", "a-b=c"])
def test_ordinary_text_stands_as_it_is(text):
    assert cell(text) == text
