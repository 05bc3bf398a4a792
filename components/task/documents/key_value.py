"""A receipt, an invoice or a form, to be written down as JSON."""

from __future__ import annotations

import json
from collections.abc import Sequence
from itertools import pairwise
from typing import Any

from vlmloom.components.contracts.sources import FontSource, Source, TextSource
from vlmloom.components.task.base import Item
from vlmloom.components.task.content import ContentTask, by_name
from vlmloom.components.task.documents.flow import Flow
from vlmloom.components.task.draw import Draw
from vlmloom.components.task.world import World
from vlmloom.registry import register

GOODS = (
    *("apples", "bread", "butter", "candles", "cheese", "coffee", "envelopes", "flour", "honey", "lamp"),
    *(
        "milk",
        "notebook",
        "olives",
        "paint",
        "pencils",
        "rice",
        "rope",
        "salt",
        "soap",
        "tea",
        "towel",
        "vase",
    ),
)
FORM = {
    "name": ("Full name", "name"),
    "birth_date": ("Date of birth", "date"),
    "street": ("Street", "street_address"),
    "city": ("City", "city"),
    "postcode": ("Postcode", "postcode"),
    "phone": ("Telephone", "basic_phone_number"),
    "email": ("E-mail", "email"),
    "employer": ("Employer", "company"),
    "occupation": ("Occupation", "job"),
}
PAPERS = ((255, 255, 255), (250, 248, 240), (245, 247, 250))
TEXT, NUMBER = {"type": "string"}, {"type": "number"}


@register("task/key_value")
class KeyValue(ContentTask):
    """Take the fields of a receipt, an invoice or a form down as JSON, to the schema in the question.

    Args:
        world: what is shared by the tasks of a suite.
        texts: names, addresses and dates; None is `source/faker`.
        fonts: what it is written with; None is `source/page_fonts`.
        entries: the most goods on a receipt; a form has so many fields and two more.
    """

    name = "key_value"
    family = "documents"
    knob = "entries"

    def __init__(
        self,
        *,
        world: World,
        texts: TextSource | None = None,
        fonts: FontSource | None = None,
        entries: int = 5,
    ) -> None:
        super().__init__(world=world, fonts=fonts)
        if not 1 <= entries <= 7:
            raise ValueError(f"task/key_value: entries is {entries}, but may be 1 to 7")
        self.texts: TextSource = by_name(texts, "source/faker")
        self.entries = entries

    def sources(self) -> Sequence[Source]:
        """Fonts and texts."""
        return (self.fonts, self.texts)

    def judge(self) -> dict[str, Any]:
        """Field by field."""
        return {"use": "reward/json"}

    def compose(self, draw: Draw, split: str) -> Item | None:
        """A sheet, its fields, and their schema."""
        flow = Flow(draw.choice((340, 380, 420)), self.face(draw, split), draw.between(12, 15))
        flow.sheet.paper = draw.choice(PAPERS)
        record, schema = draw.choice((self._receipt, self._invoice, self._form))(draw, flow)
        sheet = flow.done()
        if any(box[0] < 4 or box[2] > sheet.width - 4 for _, box in sheet.written) or _crossed(sheet.written):
            return None
        form = json.dumps({"type": "object", "properties": schema})
        return Item(
            f"Write the fields of this sheet as JSON, as they are printed, to this schema: {form}",
            json.dumps(record, ensure_ascii=False),
            sheet.things(),
            (sheet.picture(),),
            source="faker",
            content=json.dumps(record),
        )

    def _write(self, draw: Draw, what: str) -> str:
        return self.texts.write(what, draw.bits() >> 1)

    def _bought(self, draw: Draw, flow: Flow) -> tuple[list[dict[str, Any]], float]:
        """Lines of goods, and their total."""
        goods: list[dict[str, Any]] = []
        total = 0
        for name in draw.sample(GOODS, draw.between(1, self.entries)):
            pieces, cents = draw.between(1, 9), draw.between(45, 4999)
            goods.append({"item": name, "quantity": pieces, "amount": pieces * cents / 100})
            total += pieces * cents
            flow.row(f"{pieces} x {name}", f"{pieces * cents / 100:.2f}")
        return goods, total / 100

    def _receipt(self, draw: Draw, flow: Flow) -> tuple[dict[str, Any], dict[str, Any]]:
        record: dict[str, Any] = {"store": self._write(draw, "company"), "date": self._write(draw, "date")}
        flow.centred(record["store"], flow.size * 3 // 2)
        flow.centred(self._write(draw, "street_address"), flow.size)
        flow.row("Date", record["date"])
        flow.rule()
        record["goods"], record["total"] = self._bought(draw, flow)
        flow.rule()
        flow.row("TOTAL", f"{record['total']:.2f}")
        return record, {"store": TEXT, "date": TEXT, "goods": _goods(), "total": NUMBER}

    def _invoice(self, draw: Draw, flow: Flow) -> tuple[dict[str, Any], dict[str, Any]]:
        record: dict[str, Any] = {
            "number": f"{draw.between(2019, 2026)}-{draw.between(100, 9999)}",
            "date": self._write(draw, "date"),
            "seller": self._write(draw, "company"),
            "buyer": self._write(draw, "name"),
        }
        flow.heading("Invoice", 1)
        for label, key in (("Invoice no.", "number"), ("Date", "date"), ("From", "seller"), ("To", "buyer")):
            flow.row(label, record[key])
        flow.rule()
        record["goods"], total = self._bought(draw, flow)
        flow.rule()
        rate = draw.choice((5, 7, 19, 20))
        record["tax"] = round(total * rate / 100, 2)
        record["total"] = round(total + record["tax"], 2)
        flow.row("Net", f"{total:.2f}")
        flow.row(f"Tax {rate} %", f"{record['tax']:.2f}")
        flow.row("Amount due", f"{record['total']:.2f}")
        schema = dict.fromkeys(("number", "date", "seller", "buyer"), TEXT)
        return record, {**schema, "goods": _goods(), "tax": NUMBER, "total": NUMBER}

    def _form(self, draw: Draw, flow: Flow) -> tuple[dict[str, Any], dict[str, Any]]:
        keys = draw.sample(list(FORM), self.entries + 2)
        record = {key: self._write(draw, FORM[key][1]) for key in keys}
        flow.heading(draw.choice(("Application", "Registration", "Membership")), 1)
        for key in keys:
            flow.row(f"{FORM[key][0]}:", record[key])
            flow.rule()
        return record, dict.fromkeys(keys, TEXT)


def _goods() -> dict[str, Any]:
    line = {"item": TEXT, "quantity": NUMBER, "amount": NUMBER}
    return {"type": "array", "items": {"type": "object", "properties": line}}


def _crossed(written: list[tuple[str, tuple[float, float, float, float]]]) -> bool:
    """Whether the label of a row runs into its value, or the value begins left of it."""
    boxes = [box for _, box in written]
    return any(
        one[2] + 6 > other[0] and one[1] < other[3] and other[1] < one[3] for one, other in pairwise(boxes)
    )
