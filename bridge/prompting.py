"""Between the desk and whoever asks a person: turns requests into prompts, and answers into decisions."""

from __future__ import annotations

from typing import assert_never

from bridge.audit.errors import AuditError
from bridge.certificates import Certificates
from bridge.errors import AlreadyDecided, BridgeError, WrongCode
from bridge.lan.events import Outcome as RequestOutcome
from bridge.log import Log
from bridge.pairing.approvers.approver import Approve, Approver, Deny, Prompt
from bridge.pairing.approvers.wording import prompt_of
from bridge.pairing.desk import PairingRequest
from bridge.pairing.prompt_rules import Ending, PromptRules
from bridge.pairing.prompter import NotDone, Outcome, Prompter, Settled
from bridge.pairing.prompter import WrongCode as TryAgain
from bridge.pairing.reception import Asked, DeskChange, PairedByCode, Reception, WindowOpened
from bridge.pairing.reception import Settled as DeskSettled
from bridge.pairing.store import StoreError
from certs.errors import IdentityError

_ENDINGS = {
    RequestOutcome.APPROVED: Ending.APPROVED,
    RequestOutcome.DENIED: Ending.DENIED,
    RequestOutcome.EXPIRED: Ending.WITHDRAWN,
    RequestOutcome.ELSEWHERE: Ending.WITHDRAWN,
}


class Prompting:
    """See the module's text.

    Args:
        reception: where requests wait and decisions are carried out.
        certificates: whose pin a person compares.
        approver: who is asked, as a rule a `Panel`.
        rules: which request is shown when.
    """

    def __init__(
        self,
        reception: Reception,
        certificates: Certificates,
        approver: Approver,
        rules: PromptRules,
        log: Log,
    ) -> None:
        self._reception = reception
        self._certificates = certificates
        self._log = log
        self._prompter = Prompter(approver, self._decide, rules, log)
        reception.on_change(self._on_desk)

    async def run(self) -> None:
        """Shows prompts until it is cancelled."""
        await self._prompter.run()

    def _on_desk(self, change: DeskChange) -> None:
        match change:
            case Asked(request=request):
                self._prompter.offer(self._prompt(request), invited=self._reception.is_invited)
            case DeskSettled(request=request, outcome=outcome):
                self._prompter.end(request.id, _ENDINGS[outcome])
            case WindowOpened():
                self._prompter.open_window()
            case PairedByCode():
                pass
            case _:
                assert_never(change)

    def _prompt(self, request: PairingRequest) -> Prompt:
        return prompt_of(request, pin=self._certificates.identity.pin, native=request.draft.native is not None)

    async def _decide(self, request_id: str, answer: Approve | Deny) -> Outcome:
        request = self._reception.desk.get(request_id)
        if request is None:
            return Settled()
        try:
            match answer:
                case Approve(code=code):
                    await self._reception.approve(request, None, None, code, by="prompt")
                case Deny():
                    self._reception.deny(request)
                case _:
                    assert_never(answer)
        except WrongCode as exc:
            return TryAgain(exc.tries_left) if exc.tries_left else Settled()
        except AlreadyDecided:
            return Settled()
        except BridgeError as exc:
            return NotDone(exc.message)
        except AuditError as exc:
            return NotDone(f"Nothing was approved, because {exc.why}. {exc.mend}")
        except (StoreError, IdentityError) as exc:
            self._log.error("store-failed", error=str(exc))
            return NotDone("The bridge could not write this down; the reason is in its log.")
        return Settled()
