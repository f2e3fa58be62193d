"""What tests, demos and benchmarks use beside Twilio's API: truth, clock, faults, messages by the million.

Webhooks, replies and clicks are in :mod:`webhook_control`.
"""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Any

from fastapi import HTTPException, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import PlainTextResponse
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from twilio_campaigns.simulator.answers import API_VERSION, TwilioError, answer
from twilio_campaigns.simulator.faults import CreateFault, Faults
from twilio_campaigns.simulator.meeting import TRANSPORT, refusal
from twilio_campaigns.simulator.populate import Population, populate, release
from twilio_campaigns.simulator.store import Reading

if TYPE_CHECKING:
    from fastapi import FastAPI

    from twilio_campaigns.simulator.account import Account


class ClockChange(BaseModel):
    """What to do to the clock."""

    advance_seconds: Annotated[float, Field(ge=0)] = 0.0
    speed: Annotated[float, Field(gt=0)] | None = None


class Prescription(BaseModel):
    """What the next creates meet, in order, before any share is drawn."""

    model_config = ConfigDict(extra="forbid")

    faults: list[CreateFault]


class Refusal(BaseModel):
    """How long new connections are refused."""

    model_config = ConfigDict(extra="forbid")

    seconds: Annotated[float, Field(ge=0, allow_inf_nan=False)]


def add_control(app: FastAPI, account: Account) -> None:
    """Add the paths below `/_simulator`.

    All run on the event loop, between two requests to the API and never beside one.
    """
    _add_account_control(app, account)
    _add_fault_control(app, account)
    _add_populating(app, account)
    _add_accounts(app, account)


def _add_account_control(app: FastAPI, account: Account) -> None:
    @app.get("/_simulator/messages")
    async def messages() -> dict[str, Any]:
        return {"messages": account.truth()}

    @app.get("/_simulator/stats")
    async def stats() -> dict[str, Any]:
        return account.stats()

    @app.post("/_simulator/reset")
    async def reset() -> dict[str, Any]:
        account.reset()
        return account.stats()

    @app.post("/_simulator/clock")
    async def clock(change: ClockChange) -> dict[str, Any]:
        account.clock.change(advance_seconds=change.advance_seconds, speed=change.speed)
        account.callbacks.clock_changed()
        return account.stats()


def _add_fault_control(app: FastAPI, account: Account) -> None:
    @app.get("/_simulator/faults")
    async def faults() -> Faults:
        return account.faults.faults

    @app.post("/_simulator/faults")
    async def change_faults(changes: dict[str, Any]) -> Faults:
        try:
            return account.faults.change(changes)
        except ValidationError as error:
            raise RequestValidationError(error.errors(include_url=False, include_context=False)) from None

    @app.post("/_simulator/faults/next")
    async def prescribe(prescription: Prescription) -> dict[str, list[CreateFault]]:
        account.faults.prescribe(prescription.faults)
        return {"faults": account.faults.prescribed}

    @app.post("/_simulator/refuse")
    async def refuse(refusal: Refusal, request: Request, response: Response) -> Refusal:
        server, transport = request.app.state.server, request.scope.get("state", {}).get(TRANSPORT)
        if server is None:
            raise HTTPException(409, "The simulator runs in this process, without a socket: nothing to refuse.")
        server.refuse(refusal.seconds, answering=transport)
        response.headers["Connection"] = "close"
        return refusal


def _add_populating(app: FastAPI, account: Account) -> None:
    """Tables as text without a header: as JSON a million rows would take a minute."""

    @app.post("/_simulator/populate")
    async def make(wanted: Population) -> PlainTextResponse:
        made = populate(account.store, account.config.seed, wanted)
        told = made if wanted.told else ()
        return PlainTextResponse("".join(f"{m.sid},{m.to},{int(m.created_at)}\n" for m in told))

    @app.post("/_simulator/release")
    async def end_held() -> dict[str, int]:
        return {"released": release(account.store, account.clock.now())}

    @app.get("/_simulator/statuses")
    async def statuses() -> PlainTextResponse:
        now = account.clock.now()
        return PlainTextResponse("".join(f"{m.sid},{m.status_at(now)}\n" for m in account.store))

    @app.get("/_simulator/reading")
    async def reading() -> dict[str, Any]:
        return asdict(account.store.reading)

    @app.post("/_simulator/reading")
    async def begin_reading() -> dict[str, Any]:
        account.store.reading = Reading()
        return asdict(account.store.reading)


def _add_accounts(app: FastAPI, account: Account) -> None:
    """Other people's readers of Twilio begin with the list of accounts; it has one."""

    @app.get(f"/{API_VERSION}/Accounts.json")
    async def accounts(request: Request) -> Response:
        account.calls["accounts"] += 1
        try:
            account.check(account.sid, request.headers.get("authorization"))
        except TwilioError as error:
            return refusal(error)
        path = f"/{API_VERSION}/Accounts.json?PageSize=50&Page=0"
        return answer(
            {
                "accounts": [account.resource()],
                "first_page_uri": path,
                "next_page_uri": None,
                "previous_page_uri": None,
                "page": 0,
                "page_size": 50,
                "start": 0,
                "end": 0,
                "uri": path,
            }
        )
