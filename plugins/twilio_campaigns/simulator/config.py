"""What a simulated account is like."""

from __future__ import annotations

from typing import Annotated, Final

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

from twilio_campaigns.simulator.faults import Faults
from twilio_campaigns.simulator.webhooks import Webhooks

DEFAULT_ACCOUNT: Final = "AC" + "0" * 31 + "1"


class SimulatorConfig(BaseModel):
    """Settings of a simulator.

    :param account_sid: the account; others do not exist.
    :param auth_token: its Auth Token.
    :param api_keys: further credentials, ``SK…`` to secret.
    :param seed: lives, SIDs and faults follow from it.
    :param speed: simulated seconds per real second, for everything.
    :param life_speed: how many times faster than in reality messages live; dates stay on the clock.
    :param started_at: the clock's first moment; now when empty.
    :param list_lag_seconds: how old a message is before lists show it.
    :param opted_out_share: share of people who have written STOP: refused with 21610, or failed where a Messaging
        Service sends.
    :param latency_seconds: added to every answer.
    :param faults: what goes wrong on purpose; nothing at first.
    :param shared_key: secret of a SharedKey, which signs webhooks with SHA-256; the Auth Token with SHA-1 when empty.
    :param webhooks: where replies and clicks are told.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    account_sid: Annotated[str, Field(pattern=r"^AC[0-9a-fA-F]{32}$")] = DEFAULT_ACCOUNT
    auth_token: Annotated[str, Field(min_length=1)]
    api_keys: dict[str, str] = {}
    seed: int = 1
    speed: Annotated[float, Field(gt=0)] = 1.0
    life_speed: Annotated[float, Field(gt=0)] = 1.0
    started_at: AwareDatetime | None = None
    list_lag_seconds: Annotated[float, Field(ge=0)] = 0.0
    opted_out_share: Annotated[float, Field(ge=0, le=1)] = 0.003
    latency_seconds: Annotated[float, Field(ge=0)] = 0.0
    faults: Faults = Faults()
    shared_key: Annotated[str, Field(min_length=1)] | None = None
    webhooks: Webhooks = Webhooks()
