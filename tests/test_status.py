"""Status words, and the one warning that sums them up."""

from __future__ import annotations

import warnings

import numpy as np
import pytest

from delphi import FitWarning, _core, status


def test_every_code_has_names_and_sentences():
    for code, (name, sentence) in _core.STATUS.items():
        assert status.status_names(code) == (name,)
        assert status.status_sentences(code) == (sentence,)
        assert status.status_text(code) == name
        assert status.failed(code) == (code < 0)


def test_bits_join_and_split():
    code = status.bits("concave", "clipped", "saturated")
    assert status.status_names(code) == ("concave", "clipped", "saturated")
    assert status.status_text(np.int32(code)) == "concave, clipped, saturated"
    assert not status.failed(code)
    assert status.bits() == 0
    with pytest.raises(KeyError):
        status.bits("no such word")


def test_texts_of_many():
    texts = status.status_texts(np.array([0, 3, -12, 0], np.int32))
    assert texts.tolist() == ["ok", "concave, clipped", "bad_value", "ok"]
    assert status.status_texts([]).tolist() == []


def test_one_warning_counts_every_word():
    with pytest.warns(FitWarning) as caught:
        status.warn_about([0, 3, 1, -12, 0], "groups")
    assert len(caught) == 1
    text = str(caught[0].message)
    assert "2 of 5 groups: concave" in text
    assert "1 of 5 groups: clipped" in text
    assert "1 of 5 groups: bad_value" in text
    assert "ok" not in text


def test_silence_when_all_is_well():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        status.warn_about(np.zeros(3, np.int32), "groups")
        status.warn_about([], "groups")
        status.one_warning(0, "fit")


def test_a_single_fit_is_spelt_out():
    with pytest.warns(FitWarning, match=r"fit: clipped \(the vertex lies outside"):
        status.one_warning(status.bits("clipped"), "fit")
