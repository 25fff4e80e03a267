"""A DNS whose answers are chance."""

from __future__ import annotations

import hashlib
import random

from attrs import define, field

from smtpproto.dns import Answer, Kind, Record, Status


@define
class AnyDNS:
    """Answers each question as the seed says, the same question alike."""

    found: list[Record]
    seed: int
    asked: list[tuple[str, Kind]] = field(factory=list)

    async def lookup(self, name: str, kind: Kind) -> Answer:
        self.asked.append((name, kind))
        digest = hashlib.sha256(f"{self.seed} {name} {kind}".encode("utf-8", "replace")).digest()
        dice = random.Random(digest)
        status = dice.choice([Status.FOUND] * 12 + [*Status])
        records = dice.choices(self.found, k=dice.choice([0, 1, 1, 1, 2, 12])) if self.found else []
        return Answer(
            status=status,
            records=tuple(records) if status is Status.FOUND else (),
            name=dice.choice(["", "", "alias.example", "x" * 300, "\n"]),
            authentic=dice.choice([True, True, False]),
            detail=dice.choice(["", "a\nb\x00"]),
        )
