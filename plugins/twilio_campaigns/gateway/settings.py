"""What it takes to reach one Twilio account, checked before the first call."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Final, Self
from urllib.parse import urlsplit

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    SecretStr,
    StringConstraints,
    ValidationError,
    model_validator,
)

from twilio_campaigns.domain.exceptions import ConfigurationError

if TYPE_CHECKING:
    from pydantic import ModelWrapValidatorHandler
    from pydantic_core import ErrorDetails

#: How late Twilio's message list may show a message; measured reports speak of hours (TWILIO_FACTS §1.4).
DEFAULT_LIST_LAG_SECONDS: Final = 14_400

#: Where the connection keeps a setting, where that has another name there.
_PLACES: Final = {"account_sid": "login", "auth_token": "password", "base_url": "host"}

#: What to do about a field, for the reader of an error. One sentence each.
_REMEDIES: Final = {
    "account_sid": "Put the Account SID from the Twilio Console there: AC and 32 hexadecimal digits.",
    "auth_token": "Put the Auth Token from the Twilio Console there.",
    "previous_auth_token": "Put the Auth Token there that the account had before it was changed, or leave it empty.",
    "webhook_shared_key": "Put the secret of the SharedKey there that signs your webhooks, or leave it empty.",
    "api_key_sid": "Put the SID of an API key there: SK and 32 hexadecimal digits.",
    "api_key_secret": "Put the secret there that Twilio showed when the API key was created.",
    "region": "Use a Twilio region such as us1, ie1 or au1, or leave it empty.",
    "edge": "Use a Twilio edge such as ashburn or dublin, or leave it empty.",
    "base_url": "Use an address such as https://api.twilio.com, without user or password.",
    "list_lag_seconds": "Use a whole number of seconds, 0 or more; 14400 is a careful choice.",
    "public_url": "Use the address under which Twilio reaches your webhooks, such as https://example.com/twilio.",
    "connect_timeout": "Use a number of seconds above 0.",
    "total_timeout": "Use a number of seconds above 0.",
}


def _web_address(value: str) -> str:
    """Check an ``http(s)`` address and take off its last slash; credentials belong in their own fields."""
    parts = urlsplit(value)
    if parts.scheme not in {"http", "https"} or not parts.hostname:
        raise ValueError("must start with http:// or https:// and name a host")
    if parts.username or parts.password or parts.query or parts.fragment:
        raise ValueError("must not carry a user, a password, a query or a fragment")
    _ = parts.port  # urlsplit checks the port only when somebody asks for it
    return value.rstrip("/")


_WebAddress = Annotated[str, AfterValidator(_web_address)]
_HostLabel = Annotated[str, StringConstraints(pattern=r"^[a-z0-9]+(-[a-z0-9]+)*$")]


class TwilioSettings(BaseModel):
    """Everything that :class:`~twilio_campaigns.gateway.client.TwilioGateway` needs to know.

    :param account_sid: the account whose messages are sent and read.
    :param auth_token: the account's Auth Token. Used for API calls when there is no API key; webhook
        signatures are always made with it.
    :param api_key_sid: SID of an API key; API calls use it when present.
    :param api_key_secret: secret of that key.
    :param region: Twilio region that processes the calls, ``ie1`` for example; credentials are per region.
    :param edge: Twilio edge through which the calls go, ``dublin`` for example.
    :param base_url: address of another server that speaks Twilio's API. Excludes ``region`` and ``edge``:
        Twilio's SDK would write them into the host name.
    :param list_lag_seconds: how late Twilio's message list may show a message.
    :param public_url: where Twilio reaches our webhooks; each message then asks for status callbacks.
    :param previous_auth_token: webhooks that it signed are still taken, while the account's token is being changed.
    :param webhook_shared_key: secret of a SharedKey, where the account's webhooks are signed with one (HMAC-SHA256).
    :param connect_timeout: seconds until a connection must stand, waiting for a free one included.
    :param total_timeout: seconds until the whole answer must be there.
    :raises ConfigurationError: naming every wrong setting and what to do about it.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    account_sid: Annotated[str, StringConstraints(pattern=r"^AC[0-9a-fA-F]{32}$")]
    auth_token: Annotated[SecretStr, Field(min_length=1)] | None = None
    api_key_sid: Annotated[str, StringConstraints(pattern=r"^SK[0-9a-fA-F]{32}$")] | None = None
    api_key_secret: Annotated[SecretStr, Field(min_length=1)] | None = None
    region: _HostLabel | None = None
    edge: _HostLabel | None = None
    base_url: _WebAddress | None = None
    list_lag_seconds: Annotated[int, Field(ge=0)] = DEFAULT_LIST_LAG_SECONDS
    public_url: _WebAddress | None = None
    previous_auth_token: Annotated[SecretStr, Field(min_length=1)] | None = None
    webhook_shared_key: Annotated[SecretStr, Field(min_length=1)] | None = None
    connect_timeout: Annotated[float, Field(gt=0, allow_inf_nan=False)] = 5.0
    total_timeout: Annotated[float, Field(gt=0, allow_inf_nan=False)] = 30.0

    @model_validator(mode="wrap")
    @classmethod
    def _one_clear_error(cls, values: Any, handler: ModelWrapValidatorHandler[Self]) -> Self:  # noqa: ANN401 - pydantic hands over what the caller gave
        try:
            settings = handler(values)
        except ValidationError as error:
            raise ConfigurationError(" ".join(_explained(problem) for problem in error.errors())) from None
        _refuse_contradictions(settings)
        return settings

    @property
    def uses_api_key(self) -> bool:
        """Whether API calls authenticate with an API key rather than with the Auth Token."""
        return self.api_key_sid is not None

    def credentials(self) -> tuple[str, str]:
        """User and password of every API call: the API key when present, else account and Auth Token."""
        if self.api_key_sid is not None and self.api_key_secret is not None:
            return self.api_key_sid, self.api_key_secret.get_secret_value()
        # _refuse_contradictions has made sure that there is a token without a key.
        return self.account_sid, self.auth_token.get_secret_value() if self.auth_token else ""


def _refuse_contradictions(settings: TwilioSettings) -> None:
    if settings.base_url and (settings.region or settings.edge):
        stray = " and ".join(name for name in ("region", "edge") if getattr(settings, name))
        raise ConfigurationError(
            f"{_named('base_url')} and {stray} contradict each other. "
            f"Leave {stray} empty to use {settings.base_url}, or leave {_named('base_url')} empty for Twilio."
        )
    if (settings.api_key_sid is None) != (settings.api_key_secret is None):
        given, lacking = ("api_key_sid", "api_key_secret")[:: 1 if settings.api_key_sid else -1]
        raise ConfigurationError(f"{given} is set without {lacking}. Set both, or neither.")
    if settings.auth_token is None and settings.api_key_sid is None:
        raise ConfigurationError(
            f"{_named('auth_token')} is missing, and so is an API key. "
            "Set the Auth Token, or api_key_sid and api_key_secret."
        )


def _named(field: str) -> str:
    return f"{field} ({_PLACES[field]})" if field in _PLACES else field


def _explained(problem: ErrorDetails) -> str:
    """One sentence about one wrong field and one about the remedy; never the value, it may be a secret."""
    field = str(problem["loc"][0]) if problem["loc"] else "settings"
    if problem["type"] == "extra_forbidden":
        known = ", ".join(TwilioSettings.model_fields)
        return f"{field} is not a setting. Remove it, or use one of: {known}."
    if problem["type"] == "missing":
        return f"{_named(field)} is missing. {_REMEDIES.get(field, '')}".rstrip()
    reason = problem["msg"].removeprefix("Value error, ")
    return f"{_named(field)} is not valid: {reason}. {_REMEDIES.get(field, '')}".rstrip()
