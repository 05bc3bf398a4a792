"""Captions by what they mention."""

from __future__ import annotations

import re
from collections.abc import Sequence

from vlmloom.components.contracts.reward import OnError, Verifier
from vlmloom.components.contracts.sample import Reward, Sample
from vlmloom.components.reward.denial import (
    GAP,
    HEDGE,
    NO,
    SIDES,
    aside,
    bare,
    denied,
    denying,
    hedged,
    retracted,
)
from vlmloom.components.reward.leads import unled
from vlmloom.components.reward.parsed import Unreadable, unfenced
from vlmloom.components.reward.wording import crossed
from vlmloom.registry import register

CLAUSE = re.compile(r"[.;:!?,\n。；，！？]|\b(?:and|but|with|while|y|und|aber)\b")  # noqa: RUF001

CHINESE = re.compile(r"[\u4e00-\u9fff]")
SIGN = re.compile(rf"{CHINESE.pattern}|\w+|[^\w\s]")
NONE = r"no(?: hay)?|neither|nor|without|kein\w*|ohne|weder|ning\w+|ni|sin"
SPANISH = re.compile(r"no hay|ning|ni$|sin$")
BE = r"is|are|ist|sind|es|está|son|están|in(?! (?:an?|the|eine[mr]|dem|der)\b)"
"""What tells how a thing is: `in red` too, but not `in a box`."""
SENTENCE = re.compile(r"(?<=[.;!?\n。；！？])")  # noqa: RUF001


@register("reward/attributes")
class Attributes(Verifier):
    """The share of attributes that a caption mentions, less what it mentions that is not there.

    The truth of a sample is `attributes`, each one wording or a list of wordings of which any will do; and
    `absent`, the same of what is not so, each of which costs as much as one attribute earns. The words of a
    wording stand together in one clause, in their order, with at most two others between, articles and the
    like aside. What is denied anywhere, before or behind ("no dog", "the dog is missing"), or only said in a
    sentence that leaves it open ("a red or blue hat"), is not mentioned; a guess at the place behind it ("a
    hat, possibly outdoors") leaves open itself alone. A caption that takes back what it
    says, or has more words than it may have, is worth nothing.

    Args:
        words: the most words of a caption, per attribute, and twenty more; lists of everything are longer.
        on_error: see `Verifier`.

    >>> from vlmloom.components.contracts.sample import Scene
    >>> truth = {"attributes": ["red hat", ["sofa", "couch"]], "absent": ["dog", "blue hat"]}
    >>> sample = Sample("t", "test", 0, [], "a red hat on a sofa", Scene(""), truth=truth)
    >>> captions = ["A red hat lies on the couch, no dog.", "a hat on a sofa", "red hat, sofa, dog, blue hat"]
    >>> [reward.value for reward in Attributes().judge(sample, captions)]
    [1.0, 0.5, 0.0]
    """

    longest = 10_000

    def __init__(self, *, words: int = 20, on_error: OnError = "skip") -> None:
        super().__init__(on_error=on_error)
        if words < 1:
            raise ValueError(f"reward/attributes: words is {words}; 1 or more would be right")
        self.words = words

    def score(self, sample: Sample, response: str) -> Reward:
        """Recall, less what is not there."""
        attributes, absent = (
            [[one] if isinstance(one, str) else list(one) for one in sample.truth.get(key, ())]
            for key in ("attributes", "absent")
        )
        if not attributes:
            raise ValueError("truth['attributes'] is empty")
        try:
            response = unled(unfenced(response))
        except Unreadable as error:
            return Reward(0.0, {"recall": 0.0}, str(error))
        response = "\n".join(" ".join(line.split()) for line in response.splitlines() if line.strip())
        most = self.words * len(attributes) + 20
        if (count := max(len(response.split()), len(re.findall(r"\w+", response)))) > most:
            return Reward(0.0, {"recall": 0.0}, f"{count} words; at most {most} are judged")
        if (count := len(SIGN.findall(response))) > 4 * most:
            return Reward(0.0, {"recall": 0.0}, f"{count} words and signs; at most {4 * most} are judged")
        text = re.sub(r"\b(?:any|every)thing but\b", "not", response.lower())
        for other, meant in SYNONYMS:
            text = other.sub(meant, text)
        wordings = [word for one in (*attributes, *absent) for word in one]
        # A name may hold what ends a clause or denies elsewhere (face with open mouth, no entry).
        names = {word.lower() for word in wordings if kept(word.lower()) != word.lower()}
        if names:
            # In one pass, the longest first: what was kept once holds other names.
            longest = sorted(names, key=len, reverse=True)
            text = re.sub("|".join(map(re.escape, longest)), lambda name: kept(name[0]), text)
        named = {part for word in wordings for part in bare(word).split()}
        if retracted(text) or crossed(response) or any(denying(line, named) for line in text.split("\n")):
            return Reward(0.0, {"recall": 0.0}, "takes back or strikes out what it says")
        parted = []
        for sentence in SENTENCE.split(text):
            said = [clause for clause in CLAUSE.split(sentence) if clause.strip()]
            asides = [at > 0 and aside(clause, named) for at, clause in enumerate(said)]
            open_ = any(hedged(clause) and not guess for clause, guess in zip(said, asides, strict=True))
            parted += [(clause, not (open_ or guess)) for clause, guess in zip(said, asides, strict=True)]
        clauses = resolved([clause for clause, _ in parted])
        sure = [clause for clause, (_, plain) in zip(clauses, parted, strict=True) if plain]
        missing = [
            one[0]
            for one in attributes
            if any(contradicted(word, clauses) for word in one)
            or not any(mentioned(word, sure) for word in one)
        ]
        wrong = [one[0] for one in absent if any(mentioned(word, clauses) for word in one)]
        right = len(attributes) - len(missing)
        value = max(0.0, (right - len(wrong)) / len(attributes))
        reason = f"{right} of {len(attributes)} attributes"
        reason += f"; not {', '.join(missing[:5])}" if missing else ""
        reason += f"; not there: {', '.join(wrong[:5])}" if wrong else ""
        return Reward(value, {"recall": right / len(attributes), "absent": float(len(wrong))}, reason)


def kept(name: str) -> str:
    """A name in a form that ends no clause and denies nothing.

    >>> kept("face with open mouth"), kept("no entry")
    ('face   open mouth', '_no entry')
    """
    return re.sub(rf"\b({NO}|{HEDGE}|missing|wrong)\b", r"_\1", CLAUSE.sub(" ", name))


BESIDE = r"left of|right of|above|over|below|under"
SYNONYMS = (
    (re.compile(r"\b(?:beneath|underneath)\b"), "below"),
    (re.compile(r"\bon top of\b"), "above"),
    # Turned round: the place first, then what is there.
    (
        re.compile(
            rf"(?:^|(?<=[.,;\n])|(?<=\band))\s*(?:(?:to|on) the )?(?:(?:directly|just|right) )?({BESIDE}) "
            r"((?:the|an?) [^.,;\n]+?),? (?:there )?(?:is|are|stands|sits) (an? [^.,;\n]+)"
        ),
        r" \3 \1 \2",
    ),
)
"""Ways to tell of a place, and the one that is looked for."""
IT = re.compile(rf"^\s*(?:to )?(?:the )?({BESIDE}) it(?: is| stands)?\b(.+)$")
ITS = re.compile(r"^\s*(?:to|on) its (left|right)(?: is| stands)?\b(.+)$")
IS = re.compile(
    r"^\s*(?:(?:actually|really|in fact|rather|yet|though) )*(?:it|they|this|that)(?: (?:is|are)|'s|'re)\b"
    r"(?! (?:to|on|in|a|an|the)\b)(.+)$"
)
THERE = re.compile(r"^\s*(?:on|at) the \w+(?: side)?(?: is| are| stands)?\b", re.I)
WHICH = re.compile(r"^\s*(?:which|that) (?:is|stands)\b(.+)$")


def resolved(clauses: Sequence[str]) -> list[str]:
    """Clauses that refer to the one before, with what they refer to.

    >>> resolved(["a hat", " right of it a sofa"])
    ['a hat', ' a sofa right of a hat']
    """
    found: list[str] = []
    for clause in clauses:
        before = THERE.sub("", found[-1]) if found else ""
        if found and (it := IT.match(clause)):
            clause = f"{it[2]} {it[1]} {before}"
        elif found and (it := ITS.match(clause)):
            clause = f"{it[2]} {it[1]} of {before}"
        elif found and (it := WHICH.match(clause)):
            clause = f"{before} {it[1]}"
        elif found and (it := IS.match(clause)):
            clause = f"{before} is{it[1]}"
        found.append(clause)
    return found


def mentioned(wording: str, clauses: Sequence[str]) -> bool:
    """Whether a clause has the words of a wording, not denied.

    >>> mentioned("red hat", ["a red old hat"]), mentioned("hat", ["there is no hat"])
    (True, False)
    """
    return False in _found(wording, clauses)


def contradicted(wording: str, clauses: Sequence[str]) -> bool:
    """Whether a clause denies a wording, or that there is what it speaks of; not another thing that is alike.

    >>> contradicted("hat is red", ["a red hat", " the hat is not red"])
    True
    >>> contradicted("red hat", ["red hat", " no hat"]), contradicted("red hat", ["red hat", " no red shoes"])
    (True, False)
    """
    if True in _found(wording, clauses):
        return True
    if CHINESE.search(wording):
        ends = "|".join(re.escape(wording[at:]) for at in range(max(1, len(wording) - 1)))
        nothing = re.compile(rf"没有?(?:(?:{ends})|{re.escape(wording[-1])}\s*$)")
        return any(nothing.search(clause) for clause in clauses)
    words = [word for word in bare(wording).split() if word not in SIDES.split("|")]
    any_of = "|".join(map(re.escape, words))
    nothing = re.compile(rf"(?<!\S)({NONE})((?: (?:{any_of})(?:s|es)?(?!\S))+)( \S)?")
    for clause in map(bare, clauses):
        for no, run, more in nothing.findall(clause):
            heads = "|".join(map(re.escape, _heads(wording, spanish=bool(SPANISH.match(no)))))
            # What goes on after words that only describe denies another thing: no red shoes.
            if not more or re.search(rf"(?<!\S)(?:{heads})(?:s|es)?(?!\S)", run):
                return True
    return False


def _heads(wording: str, *, spanish: bool) -> list[str]:
    """The nouns of a wording: the last word before another thing or what is said of it, in Spanish the first.

    >>> _heads("red hat left of blue sofa", spanish=False), _heads("sombrero rojo", spanish=True)
    (['hat', 'sofa'], ['sombrero'])
    >>> _heads("the hat is red", spanish=False), _heads("hat in red", spanish=False)
    (['hat'], ['hat'])
    """
    said = re.sub(rf"\b(?:{BE})\b(?:\s+(?!(?:{SIDES})\b)\S+)*", " ", wording.lower())
    things = [bare(part).split() for part in re.split(rf"\b(?:{SIDES}|to)\b", said)]
    return [thing[0 if spanish else -1] for thing in things if thing]


def _found(wording: str, clauses: Sequence[str]) -> set[bool]:
    """Whether a wording is denied, wherever clauses have it."""
    if CHINESE.search(wording) and not re.search(r"\s", wording):
        name = re.escape(wording)
        other = re.escape(wording.replace("是", "不是")) if "是" in wording else "(?!)"
        without = re.compile(
            rf"(?:[没无不非][有是]?|别的|\b(?:{NO}|except|es)\b[^,]*)\s*{name}|{other}|{name}(?:不|没|是假|是错)"
        )
        held = [clause for clause in clauses if wording in clause or without.search(clause)]
        return {bool(without.search(clause)) for clause in held}
    words = [re.escape(word) for word in bare(kept(wording.lower())).split()]
    pattern = re.compile(r"(?<!\S)" + rf"(?:s|es)? {GAP}?".join(words) + r"(?:s|es)?(?!\S)")
    return {
        denied(clause, *match.span()) for clause in map(bare, clauses) for match in pattern.finditer(clause)
    }
