"""How an endpoint stands as a whole: well, silent or switched off. See `models`."""

import logging
from typing import Any

from django.db.models import Q, QuerySet

from ..types import from_micros, to_micros
from . import conf
from .models import MAX_TEXT, RECOVERED, Endpoint
from .verdicts import REFUSALS, Answer, Verdict, next_delay

logger = logging.getLogger("events")


class Standing:
    """What is read is as old as the endpoint is; what is written says what it relies on."""

    def __init__(self, endpoint: Endpoint) -> None:
        self.endpoint = endpoint

    @property
    def row(self) -> QuerySet[Endpoint]:
        return Endpoint.objects.using(self.endpoint._state.db).filter(pk=self.endpoint.pk)

    def may_send(self, now: int) -> bool:
        due = self.endpoint.next_attempt_at
        return self.endpoint.active and (due is None or to_micros(due) <= now)

    def claim(self, now: int, seconds: int) -> bool:
        """Is the probe ours? One process has it, for so long."""
        until = now + seconds * 1_000_000
        free = Q(next_attempt_at=None) | Q(next_attempt_at__lte=now)
        claimed = self.row.filter(free).update(next_attempt_at=until)
        self.endpoint.next_attempt_at = from_micros(until)
        return bool(claimed)

    def judge(self, position: int, is_held: bool, answer: Answer) -> tuple[Verdict, bool]:
        """What an answer means, given the ones before; and is it about this event alone?

        500 is what a receiver answers that has a mistake: it may be about one event, or about all.
        So the endpoint counts as silent, and the probe brings the same event. If that is answered
        with 500 as well, the event is held, and the next probe brings another.
        """
        verdict = answer.verdict
        if verdict is Verdict.REFUSED and self.endpoint.refused >= REFUSALS:
            return Verdict.SILENT, False
        if answer.status != 500:
            return verdict, False
        if is_held:
            return (Verdict.SILENT if self.endpoint.failures else Verdict.REFUSED), True
        return Verdict.SILENT, self.endpoint.suspect == position

    def change(
        self,
        now: int,
        failures: int,
        position: int,
        answer: Answer,
        verdict: Verdict,
        is_culprit: bool,
    ) -> None:
        """Write it, but for a success, which is written for many endpoints at once. `failures` are
        those before the attempt: of several that fail at the same time, the first one counts."""
        if verdict is Verdict.DELIVERED:
            self.set({**RECOVERED, "last_success_at": from_micros(now)})
            return
        since = self.endpoint.failing_since or from_micros(now)
        values: dict[str, Any] = {"failing_since": since, "last_error": answer.told[:MAX_TEXT]}
        lasted = now - to_micros(since)
        if verdict is Verdict.GONE:
            values |= self.off("It answered 410: it wants nothing more.")
        elif lasted > conf.seconds("GIVE_UP") * 1_000_000:
            days = round(lasted / 86_400_000_000, 1)
            values |= self.off(f"Nothing went well for {days:g} days; at last {answer.told}.")
        elif verdict is Verdict.SILENT:
            # After a culprit, the next event is tried soon.
            step = 1 if is_culprit else min(failures + 1, len(conf.get("RETRY")))
            delay = next_delay(step, answer.retry_after) or 0.0
            values |= {
                "failures": failures + 1,
                "next_attempt_at": from_micros(now + round(delay * 1_000_000)),
                "suspect": position if answer.status == 500 and not is_culprit else None,
            }
        else:
            refused = self.endpoint.refused + 1
            values |= {"failures": 0, "next_attempt_at": None, "refused": refused}
        if self.row.filter(failures=failures).update(**values):
            self.set(values)

    def off(self, reason: str) -> dict[str, Any]:
        logger.warning("Webhook endpoint %s is switched off: %s", self.endpoint.pk, reason)
        return {"active": False, "reason": reason[:MAX_TEXT]}

    def set(self, values: dict[str, Any]) -> None:
        for name, value in values.items():
            setattr(self.endpoint, name, value)

    @staticmethod
    def recovered(now: int) -> dict[str, Any]:
        moment = from_micros(now)
        return {**RECOVERED, "last_success_at": moment, "last_used_at": moment, "last_error": ""}
