"""What tests and demos use beside Twilio's API: the truth, the clock, faults, what people write to us."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

from fastapi import HTTPException, Request, Response
from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from twilio_campaigns.simulator.faults import CreateFault, Faults
from twilio_campaigns.simulator.meeting import TRANSPORT

if TYPE_CHECKING:
    from fastapi import FastAPI

    from twilio_campaigns.simulator.account import Account


class ClockChange(BaseModel):
    """What to do to the clock."""

    advance_seconds: Annotated[float, Field(ge=0)] = 0.0
    speed: Annotated[float, Field(gt=0)] | None = None


class Inbound(BaseModel):
    """What somebody writes to us, in Twilio's names."""

    From: str
    To: str
    Body: str


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
        return account.stats()

    @app.post("/_simulator/inbound")
    async def inbound(message: Inbound) -> dict[str, Any]:
        return account.receive(message.From, message.To, message.Body)


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
