"""A conversation: what was read is never read again, and every turn's logits are those of a fresh reading."""

from functools import partial

import pytest
import torch
from tiny import DENSE, IMAGE, SPARSE, guessing, native, pack, prompt

from vlmloom.assemblies.generation import Sampling, Session

NEVER = -1
FIRST = prompt(2, (2, 3), 4, seed=1)
MORE = prompt(3, (3, 1), (1, 2), 2, seed=2)

MODELS = {
    "experts": native,
    "selective": partial(native, dsa=True, layers=[DENSE]),
    "pictures see themselves": partial(native, image_mask="bidirectional"),
    "good drafts": partial(guessing, 0.2),
}


@pytest.fixture(params=MODELS)
def model(request):
    return MODELS[request.param]()


@pytest.fixture
def encoded(model, monkeypatch):
    """The patches that the tower was handed, call by call."""
    counts, forward = [], model.vision.forward

    def counted(visuals, *args, **rest):
        counts.append(len(visuals.patches))
        return forward(visuals, *args, **rest)

    monkeypatch.setattr(model.vision, "forward", counted)
    return counts


@torch.no_grad()
def fresh(model, parts):
    """Logits after a whole prompt, read at once."""
    return model.logits(model.hidden(pack(model, [parts]))[0][-1:])


@torch.no_grad()
def logits(session):
    return session.model.logits(session.reading.state)


def close(got, wanted):
    torch.testing.assert_close(got, wanted, atol=1e-4, rtol=1e-4)


def watched(session, monkeypatch):
    """The states of what the session reads, which has to go on at the position that the cache expects."""
    states, read = [], session.reading.read

    def noted(rest):
        assert session.reading.cache.following == [int(rest.positions[0, 0])]
        states.append(read(rest))

    monkeypatch.setattr(session.reading, "read", noted)
    return states


def turn(session, parts, limit=4):
    """Ask; the whole conversation with its answer, and the answer."""
    answer = [token for ids in session.ask(pack(session.model, [parts]), limit=limit) for token in ids]
    return [*parts, answer], answer


@pytest.mark.parametrize("speculative", [0, 2])
def test_a_second_turn_with_new_pictures_equals_a_fresh_reading(model, encoded, speculative):
    session = Session(model, stop=NEVER, speculative=speculative)
    first, answer = turn(session, FIRST)
    assert answer == model.generate(pack(model, [FIRST]), stop=NEVER, limit=4)[0]
    second = [*first, *MORE]
    encoded.clear()
    batch = pack(model, [second])
    # All but the last token of the answer, which had been given but not read.
    assert session.read(batch) == sum(batch.lengths) - 3 - 3 - 2 - 2 - 1
    assert encoded == [4 * 3 + 4 * 2]
    close(logits(session), fresh(model, second))
    third, answer = turn(session, second, limit=6)
    assert answer == model.generate(pack(model, [second]), stop=NEVER, limit=6)[0]
    fourth = [*third, [1, 2, 3]]
    encoded.clear()
    session.read(pack(model, [fourth]))
    assert encoded == []
    close(logits(session), fresh(model, fourth))


TURNS = [
    prompt(2, (2, 3), 1, (3, 1), 4, seed=1),
    prompt(5, seed=2),
    prompt(1, (1, 4), 2, (4, 2, 2), 3, (2, 2), 1, seed=3),
    prompt((3, 3), 2, seed=4),
]
PATCHES = [4 * (6 + 3), 0, 4 * (4 + 4 * 4 + 4), 4 * 9]


@pytest.mark.parametrize("speculative", [0, 2])
def test_every_new_place_of_every_turn_equals_a_fresh_reading(model, encoded, speculative, monkeypatch):
    """Stills and clips over four turns; one listener leaves in the middle of an answer."""
    how, said = {"stop": NEVER, "sampling": Sampling(forbidden=(IMAGE,))}, []
    session = Session(model, speculative=speculative, **how)
    states = watched(session, monkeypatch)
    for number, parts in enumerate(TURNS):
        batch, answer = pack(model, [[*said, *parts]]), []
        assert batch.positions[:, -1].max() < batch.lengths[0] - 1, (
            "pictures take less room than they have tokens"
        )
        encoded.clear()
        for ids in session.ask(batch, limit=9):
            answer += ids
            if number == 1 and len(answer) > 3:
                break
        assert encoded == ([PATCHES[number]] if PATCHES[number] else [])
        assert answer == model.generate(batch, limit=9, **how)[0][: len(answer)]
        with torch.no_grad():
            hidden, _ = model.hidden(batch)
            new = states.pop()
            assert len(new) <= sum(pack(model, [parts]).lengths) + speculative + 1
            close(model.logits(new), model.logits(hidden[-len(new) :]))
        said += [*parts, answer]


@pytest.mark.parametrize("speculative", [0, 2])
def test_an_answer_is_told_while_it_is_written(model, speculative, monkeypatch):
    """Each piece comes right after the forward pass that gave it."""
    passes, forward = [], model.language.forward

    def counted(*args, **rest):
        passes.append(args[2])
        return forward(*args, **rest)

    monkeypatch.setattr(model.language, "forward", counted)
    pieces = Session(model, stop=NEVER, speculative=speculative).ask(pack(model, [TURNS[0]]), limit=9)
    assert not passes
    assert [len(passes) for _ in pieces] == list(range(1, len(passes) + 1))
    assert len(passes) == 9 if not speculative else len(passes) <= 9


def test_a_clip_is_encoded_again_where_it_or_the_text_in_it_is_another(model, encoded, monkeypatch):
    session, parts = Session(model, stop=NEVER), [[3, 4], ((4, 2, 2), 5), [6, 7]]
    watched(session, monkeypatch)
    assert session.read(pack(model, [parts])) == 0
    moved, timed = pack(model, [parts]), pack(model, [parts])
    moved.visuals["vision"].patches[-1] += 1
    timed.ids[2 + 4] += 1
    for other in (moved, timed):
        encoded.clear()
        assert session.read(other) == 2 and encoded == [64]
        with torch.no_grad():
            close(logits(session), model.logits(model.hidden(other)[0][-1:]))


def test_a_picture_that_ends_a_prompt_is_read_again_whole(model, encoded):
    session, parts = Session(model, stop=NEVER), [[3, 4], ((2, 2), 5)]
    for read in (0, 2):
        encoded.clear()
        assert session.read(pack(model, [parts])) == read and encoded == [16]
        close(logits(session), fresh(model, parts))


def test_questions_about_one_picture_branch_off_after_it(model, encoded):
    session = Session(model, stop=NEVER)
    asked = [prompt((4, 2), seed=5) + prompt(3, seed=seed) for seed in (6, 7, 8)]
    for number, parts in enumerate(asked):
        parts[0] = asked[0][0]
        answer = turn(session, parts, limit=5)[1]
        assert len(encoded) == 1 + number  # one call of this session, and one of each comparison
        assert answer == model.generate(pack(model, [parts]), stop=NEVER, limit=5)[0]


def test_another_picture_of_the_same_size_is_encoded(model, encoded):
    session = Session(model, stop=NEVER)
    for seed in (1, 2):
        parts = [[3, 4], ((2, 2), 99), [5], ((3, 2), seed), [6, 7]]
        encoded.clear()
        read = session.read(pack(model, [parts]))
        assert (read, encoded) == ((0, [40]) if seed == 1 else (2 + 4 + 1, [24]))
        close(logits(session), fresh(model, parts))


def test_a_rewritten_turn_is_read_again_from_where_it_differs(model):
    session = Session(model, stop=NEVER, sampling=Sampling(temperature=1.0), key=3)
    answer = turn(session, FIRST, limit=6)[1]
    rewritten = [*FIRST, [(answer[0] + 1) % 39, 5], [7, 8]]
    prefix = sum(pack(session.model, [FIRST]).lengths)
    assert session.read(pack(model, [rewritten])) == prefix
    close(logits(session), fresh(model, rewritten))
    # The same once more: only its last token is read again.
    assert session.read(pack(model, [rewritten])) == prefix + 3
    close(logits(session), fresh(model, rewritten))


def test_a_turn_that_stops_while_drafts_have_gone_on(model):
    """The cache holds drafts from behind the end; they are forgotten."""
    session = Session(model, stop=NEVER, speculative=3)
    answer = turn(session, FIRST, limit=9)[1]
    stop = answer[4]
    session = Session(model, stop=[stop], speculative=3)
    first, short = turn(session, FIRST, limit=9)
    assert short == answer[: answer.index(stop)]
    second = [*(part for part in first if part), [stop], *MORE]
    session.read(pack(model, [second]))
    close(logits(session), fresh(model, second))


def test_the_cache_grows_and_keeps_what_it_holds(model):
    session = Session(model, stop=NEVER, speculative=1)
    parts = [*FIRST, *prompt(300, seed=3)]
    session.read(pack(model, [FIRST]))
    assert session.read(pack(model, [parts]), limit=10) == 2 + 6 + 4
    close(logits(session), fresh(model, parts))
    assert session.reading.cache.capacity == 512


def test_errors():
    session = Session(native([SPARSE]), stop=0)
    for lengths in ([], [FIRST, MORE]):
        with pytest.raises(ValueError, match="a session reads one sample at a time"):
            session.read(pack(session.model, lengths))


def test_pictures_of_one_colour_differ_by_their_shape():
    """White pages of as many tokens have the same patches, but not the same places."""
    model = native()

    def page(grid):
        batch = pack(model, [prompt(2, grid, 4, seed=5)])
        batch.visuals["vision"].patches.fill_(1.0)
        return batch

    session = Session(model, stop=NEVER)
    assert session.read(page((1, 6))) == 0
    assert session.read(page((6, 1))) == 2
    again = Session(model, stop=NEVER)
    again.read(page((6, 1)))
    close(logits(session), logits(again))
    assert session.read(page((6, 1))) == 2 + 6 + 4 - 1
