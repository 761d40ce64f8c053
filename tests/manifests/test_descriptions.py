"""Descriptions of samples from a CSV file."""

import pytest
from expclip import UsageError
from expclip.manifests.descriptions import read_descriptions


def test_quoted_texts_further_columns_and_several_a_sample(tmp_path):
    path = tmp_path / "d.csv"
    path.write_bytes(
        '\ufefflanguage,text,sample_id\r\nen,"She frowns, and\nwaits.",a/1\r\nen, A smile ,a/1\r\n'.encode()
    )
    assert [(one.sample_id, one.text) for one in read_descriptions(path)] == [
        ("a/1", "She frowns, and\nwaits."),
        ("a/1", "A smile"),
    ]


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"id,text\na,b\n", "the first line must name the columns `sample_id,text`"),
        (b"", "the first line must name the columns"),
        (b"sample_id,text\n", "there are no descriptions in it"),
        (b"sample_id,text\na,\n", "d.csv:2: the description of 'a' is empty"),
        (b"sample_id,text\na\n", "d.csv:2: the description of 'a' is empty"),
        (b"sample_id,text\na,\xff\n", "not a CSV file in UTF-8"),
    ],
)
def test_what_cannot_be_read_is_refused(tmp_path, content, said):
    path = tmp_path / "d.csv"
    path.write_bytes(content)
    with pytest.raises(UsageError) as refusal:
        read_descriptions(path)
    assert said in str(refusal.value)


def test_a_missing_file_is_a_clear_line(tmp_path):
    with pytest.raises(UsageError, match=r"d.csv: the descriptions cannot be read"):
        read_descriptions(tmp_path / "d.csv")
