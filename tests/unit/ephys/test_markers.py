"""Trial markers: every format decodes, and no broken sequence is taken for a whole one."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hippflow.ephys.markers import decode_markers
from hippflow.errors import MarkerError


def decode(codes, **options):
    """Decode codes whose ticks are 100, 110, 120, ..."""
    return decode_markers(codes, 100 + 10 * np.arange(len(codes)), source="a.nev", **options)


def with_resets(codes):
    return [word for code in codes for word in (code, 0)]


BY_TENS = [11, 21, 31, 12, 22, 42, 12, 22, 32]
TRIALS = [[11, 21, 31], [12, 22, 42], [12, 22, 32]]


@pytest.mark.parametrize(
    "name, first, body, trials",
    [
        ("84", [84], BY_TENS, TRIALS),
        ("204", [204], BY_TENS, TRIALS),
        ("D", [], BY_TENS, TRIALS),
        ("C", [], [1, 2, 3, 1, 2, 4], [[1, 2, 3], [1, 2, 4]]),
        ("B", [], [1, 3, 1, 4], [[1, 3], [1, 4]]),
    ],
)
def test_formats_with_resets(name, first, body, trials):
    found = decode(with_resets([*first, *body]))
    assert found.format == name
    assert found.codes.tolist() == trials
    assert (found.codes.dtype, found.ticks.dtype) == (np.uint16, np.int64)
    begin = 100 + 20 * len(first)
    expected = begin + 20 * np.arange(len(body)).reshape(len(trials), -1)
    np.testing.assert_array_equal(found.ticks, expected)
    assert (found.session_start, found.unfinished) == (100, ())


def test_format_a_has_no_resets():
    found = decode([1, 3, 1, 4])
    assert (found.format, found.codes.tolist()) == ("A", [[1, 3], [1, 4]])
    assert found.ticks.tolist() == [[100, 110], [120, 130]]


@pytest.mark.parametrize("first", [[84], [204], []])
def test_resets_are_not_needed(first):
    assert decode([*first, *BY_TENS]).codes.tolist() == TRIALS
    # nor do they matter where some are lost or doubled
    assert decode([0, *first, 0, 0, 11, 21, 0, 0, 0, 31, 0]).codes.tolist() == [[11, 21, 31]]


def test_fixation_codes_are_taken_as_they_are():
    found = decode(with_resets([128, 6, 32, 128, 7, 32]))
    assert found.format == "fixation"
    assert found.codes.tolist() == [128, 6, 32, 128, 7, 32]
    assert found.ticks.tolist() == [100, 120, 140, 160, 180, 200]
    assert found.codes.dtype == np.uint16


def test_a_session_without_a_trial():
    found = decode([84, 0])
    assert (found.format, found.codes.shape, found.ticks.shape, found.session_start) == ("84", (0, 3), (0, 3), 100)


def test_all_six_targets():
    codes = [code for x in range(1, 7) for code in (10 + x, 20 + x, 30 + x)]
    assert decode(codes).codes.ravel().tolist() == codes


@pytest.mark.parametrize("codes", [[], [0], [0, 0, 0]])
def test_no_markers(codes):
    expected = rf"a\.nev: expected trial markers on the parallel port, found {len(codes)} words, none of them a code"
    with pytest.raises(MarkerError, match=expected):
        decode(codes)
    found = decode(codes, no_markers="allow")
    assert (found.format, found.codes.shape, found.ticks.shape, found.session_start) == ("none", (0, 3), (0, 3), None)
    assert found.codes.dtype == np.uint16


def test_allowing_no_markers_does_not_allow_wrong_ones():
    with pytest.raises(MarkerError):
        decode([84, 0, 21, 0], no_markers="allow")


BROKEN = {
    "missing start": ([84, 0, 11, 0, 21, 0, 31, 0, 22, 0, 32, 0], "[22]", "1x was expected here"),
    "missing first start": ([84, 0, 21, 0, 31, 0], "84 0 [21] 0 31 0", "1x was expected here"),
    "missing cue offset": ([84, 0, 11, 0, 31, 0, 12, 0], "84 0 11 0 [31] 0 12 0", "2x was expected here"),
    "missing end": ([84, 0, 11, 0, 21, 0, 12, 0, 22, 0], "11 0 21 0 [12] 0 22", "3x or 4x was expected here"),
    "missing cue offset and end": ([84, 0, 11, 0, 12, 0, 22, 0], "84 0 11 0 [12] 0", "2x was expected here"),
    "start twice": ([84, 0, 11, 0, 11, 0, 21, 0], "11 0 [11] 0 21", "2x was expected here"),
    "cue offset twice": ([84, 0, 11, 0, 21, 0, 21, 0, 31, 0], "21 0 [21] 0 31", "3x or 4x was expected here"),
    "end twice": ([84, 0, 11, 0, 21, 0, 31, 0, 31, 0], "31 0 [31] 0", "1x was expected here"),
    "both ends": ([84, 0, 11, 0, 21, 0, 31, 0, 41, 0], "31 0 [41] 0", "1x was expected here"),
    "changed target": ([84, 0, 11, 0, 22, 0, 31, 0], "11 0 [22] 0 31", "this trial started with target 1, not 2"),
    "changed target at the end": ([84, 0, 13, 0, 23, 0, 34, 0], "23 0 [34] 0", "started with target 3, not 4"),
    # 9 words of PyHipp's raw stream, which it reshapes into 3 trials
    "two losses that look whole": (with_resets([84, 11, 31, 12, 22, 42, 13]), "11 0 [31] 0 12", "2x was expected"),
    "unknown code": ([84, 0, 11, 0, 99, 0, 21, 0], "11 0 [99] 0 21", "99 is no trial marker of format 84"),
    "target 0": ([84, 0, 10, 0, 20, 0, 30, 0], "84 0 [10] 0 20", "10 is no trial marker"),
    "target 7": ([84, 0, 17, 0, 27, 0, 37, 0], "84 0 [17] 0 27", "17 is no trial marker"),
    "second session start": ([84, 0, 11, 0, 21, 0, 31, 0, 84, 0, 12, 0], "31 0 [84] 0 12", "84 is no trial marker"),
    "session start within a trial": ([84, 0, 11, 0, 84, 0], "11 0 [84] 0", "84 is no trial marker"),
    "late session start": ([11, 0, 21, 0, 31, 0, 84, 0], "31 0 [84] 0", "84 is no trial marker of format D"),
    "high byte": ([84, 0, 11, 0, 0xFF15, 0], "11 0 [65301] 0", "65301 is no trial marker"),
    "no known beginning": ([21, 0, 31, 0], "[21] 0 31 0", "a session begins with 84, 204, a trial start 11..16, 1 or"),
    "an end first": ([3, 0, 1, 0, 3, 0], "[3] 0 1 0", "a session begins with"),
    "old codes among new ones": ([1, 0, 21, 0, 3, 0], "[1] 0 21 0 3", "a session begins with"),
    "C without a cue offset": ([1, 0, 2, 0, 3, 0, 1, 0, 3, 0], "1 0 [3] 0", "2 was expected here"),
    "C without a start": ([1, 0, 2, 0, 3, 0, 2, 0, 3, 0], "3 0 [2] 0 3", "1 was expected here"),
    "B without an end": ([1, 0, 1, 0, 3, 0], "1 0 [1] 0 3", "3 or 4 was expected here"),
    "A without a start": ([1, 3, 3], "1 3 [3]", "1 was expected here"),
    "unknown fixation code": ([128, 0, 6, 0, 11, 0], "6 0 [11] 0", "11 is no code of the fixation task"),
}


@pytest.mark.parametrize("unfinished_trial", ["error", "drop"])
@pytest.mark.parametrize("codes, around, why", BROKEN.values(), ids=BROKEN)
def test_a_broken_sequence_is_an_error_that_shows_the_place(codes, around, why, unfinished_trial):
    with pytest.raises(MarkerError) as error:
        decode(codes, unfinished_trial=unfinished_trial)
    message = str(error.value)
    assert message.startswith("a.nev: marker ")
    assert around in message
    assert why in message


def test_the_place_is_numbered_and_shown_with_eight_codes_on_either_side():
    codes = [84, *[code for _ in range(9) for code in (11, 21, 31)]]
    codes[14] = 99
    with pytest.raises(MarkerError) as error:
        decode(codes)
    expected = "a.nev: marker 15 of 28 does not fit: ... 31 11 21 31 11 21 31 11 [99] 31 11 21 31 11 21 31 11 ...\n"
    assert str(error.value).startswith(expected)


@pytest.mark.parametrize("rest", [[13], [13, 23]])
@pytest.mark.parametrize("first", [[84], [204], []])
def test_an_unfinished_last_trial(first, rest):
    codes = with_resets([*first, *BY_TENS, *rest])
    with pytest.raises(MarkerError, match=r"set rplparallel\.unfinished_trial to drop") as error:
        decode(codes)
    assert f"[{rest[-1]}] 0" in str(error.value)
    found = decode(codes, unfinished_trial="drop")
    assert (found.codes.tolist(), found.unfinished) == (TRIALS, tuple(rest))


def test_an_unfinished_only_trial():
    found = decode([84, 0, 11, 0, 21, 0], unfinished_trial="drop")
    assert (found.codes.shape, found.unfinished) == ((0, 3), (11, 21))


def test_an_unfinished_trial_of_the_old_formats():
    for codes, trials, rest in (([1, 3, 1], [[1, 3]], (1,)), ([1, 0, 2, 0, 3, 0, 1, 0, 2, 0], [[1, 2, 3]], (1, 2))):
        found = decode(codes, unfinished_trial="drop")
        assert (found.codes.tolist(), found.unfinished) == (trials, rest)


def trials_by_tens(targets_and_ends):
    return [[10 + x, 20 + x, end + x] for x, end in targets_and_ends]


def trials_c(ends):
    return [[1, 2, end] for end in ends]


def trials_b(ends):
    return [[1, end] for end in ends]


#: Session code (or none), trials, and whether there are resets. Format C has two trials or more: without
#: its cue offset, a single one is a trial of format B.
BY_TENS_TRIALS = st.lists(st.tuples(st.integers(1, 6), st.sampled_from([30, 40])), min_size=1, max_size=12)
SESSIONS = st.one_of(
    st.tuples(st.sampled_from([[84], [204], []]), st.builds(trials_by_tens, BY_TENS_TRIALS), st.booleans()),
    st.tuples(st.just([]), st.builds(trials_c, st.lists(st.sampled_from([3, 4]), min_size=2)), st.just(True)),
    st.tuples(st.just([]), st.builds(trials_b, st.lists(st.sampled_from([3, 4]), min_size=1)), st.booleans()),
)


def words_of(session):
    first, trials, resets = session
    sent = [*first, *(code for trial in trials for code in trial)]
    return with_resets(sent) if resets else sent


@settings(deadline=None)
@given(SESSIONS)
def test_whatever_was_sent_is_decoded(session):
    first, trials, resets = session
    words = words_of(session)
    found = decode(words)
    assert found.codes.tolist() == trials
    step = 20 if resets else 10
    assert found.ticks.ravel().tolist() == [100 + step * k for k in range(len(first), len(words) * 10 // step)]
    assert found.session_start == 100
    assert found.unfinished == ()


@settings(deadline=None)
@given(SESSIONS, st.data())
def test_a_lost_word_never_gives_wrong_trials(session, data):
    """An error, or all trials; or, if the last one lost its end, all others."""
    first, trials, _ = session
    words = words_of(session)
    lost = data.draw(st.integers(0, len(words) - 1))
    rest = words[:lost] + words[lost + 1 :]
    if words[lost] == 0 or (first and lost == 0):
        if rest and any(rest):
            assert decode(rest).codes.tolist() == trials
        return
    with pytest.raises(MarkerError):
        decode(rest)
    is_last_end = lost == max(k for k, word in enumerate(words) if word)
    if is_last_end:
        found = decode(rest, unfinished_trial="drop")
        assert (found.codes.tolist(), list(found.unfinished)) == (trials[:-1], trials[-1][:-1])
    else:
        with pytest.raises(MarkerError):
            decode(rest, unfinished_trial="drop")


@settings(deadline=None)
@given(SESSIONS, st.data())
def test_a_word_too_much_never_gives_wrong_trials(session, data):
    _, trials, _ = session
    words = words_of(session)
    at = data.draw(st.integers(1, len(words)))
    extra = data.draw(st.sampled_from([code for code in words if code]))
    try:
        found = decode([*words[:at], extra, *words[at:]])
    except MarkerError:
        return
    raise AssertionError(f"{extra} at {at} was taken for part of {trials}: {found}")
