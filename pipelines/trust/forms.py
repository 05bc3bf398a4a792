"""Forms in which models give any answer."""

from __future__ import annotations


def in_box(text: str) -> str:
    """A text in GLM's box."""
    return f"<|begin_of_box|>{text}<|end_of_box|>"


def wrapped(gold: str) -> tuple[str, ...]:
    """The same answer behind thoughts, in a box or a code fence, and led to by words that add nothing."""
    fence, box = f"```\n{gold}\n```", in_box(gold)
    return (
        fence,
        f"Here is the answer:\n\n{fence}\n",
        f"Certainly! Below is the requested information:\n{fence}",
        fence.replace("\n", "\r\n"),
        f"````\n{gold}\n````",
        f"~~~\n{gold}\n~~~",
        f"```\n{gold}",
        f"<think>It may be another: {'no, ' * 2_000}</think>\n{box}",
        f"<think></think><answer>{box}</answer>",
        f"So the answer is {box}.",
        f"\ufeff{gold}",
        f"Here is the answer:\n\n{gold}",
        f"### Answer\n{gold}",
        f"**Final answer**\n\n{gold}",
        f"Output: {gold}",
        f"So, the answer is {gold}",
        f"Based on the image, the answer is {gold}",
        f"\u7b54\u6848\u662f\uff1a{gold}",
        f"\u6240\u4ee5\u7b54\u6848\u662f{gold}",
        f"Por lo tanto, la respuesta es {gold}",
        f"Daher ist die Antwort {gold}",
    )
