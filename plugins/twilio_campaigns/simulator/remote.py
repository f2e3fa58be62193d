"""Commands for a simulator that runs: let somebody reply, or click."""

from __future__ import annotations

import asyncio
from typing import Annotated, Any, Final

import typer

#: Preview bots of messengers say that they are one; this is Twilio's own example of a click that nobody made.
_BOT: Final = (
    "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/56.0.2924.87 Safari/537.36 "
    "Google-PageRenderer Google (+https://developers.google.com/+/web/snippet/)"
)
_PATIENCE: Final = 90.0
_SUCCESS: Final = 200

Url = Annotated[str, typer.Option("--url", help="Where the simulator runs.")]
DEFAULT_URL: Final = "http://127.0.0.1:8010"


def reply(
    from_: Annotated[str, typer.Option("--from", help="Who writes, a number.", show_default=False)],
    body: Annotated[str, typer.Option(help="The text: STOP, START and HELP mean what they mean with Twilio.")] = "",
    to: Annotated[str | None, typer.Option(help="Number of ours; the one that texted them last when empty.")] = None,
    service: Annotated[str | None, typer.Option(help="Messaging Service of that number.")] = None,
    media: Annotated[list[str] | None, typer.Option(help="Address of a picture; may be given several times.")] = None,
    url: Url = DEFAULT_URL,
) -> None:
    """Let somebody write to us; the webhook for it leaves at once and is waited for."""
    if not body and not media:
        raise typer.BadParameter("say what is written, or name a picture with --media", param_hint="--body")
    said = {"From": from_, "To": to, "MessagingServiceSid": service, "Body": body, "MediaUrl": media or []}
    done = _tell(url, "reply", said)
    typer.echo(f"Message {done['message']['sid']} was received. {_told(done['webhook'], '--inbound-url')}")


def click(
    sid: Annotated[str | None, typer.Option(help="Message with a shortened link.", show_default=False)] = None,
    to: Annotated[str | None, typer.Option(help="Instead of it, who got one: their last.", show_default=False)] = None,
    link: Annotated[int, typer.Option(min=1, help="Which of its links.")] = 1,
    user_agent: Annotated[str | None, typer.Option(help="The browser; a telephone's when empty.")] = None,
    bot: Annotated[bool, typer.Option("--bot", help="Be a preview bot.")] = False,
    url: Url = DEFAULT_URL,
) -> None:
    """Let somebody open a shortened link; the webhook for it leaves at once and is waited for."""
    if (sid is None) == (to is None):
        raise typer.BadParameter("name either the message (--sid) or the person (--to)", param_hint="--sid")
    if bot and user_agent:
        raise typer.BadParameter("a bot has a browser of its own", param_hint="--user-agent")
    named = {"MessageSid": sid} if sid else {"To": to}
    browser = {"UserAgent": _BOT if bot else user_agent} if bot or user_agent else {}
    done = _tell(url, "click", {**named, "Link": link, **browser})
    event = done["event"]
    typer.echo(
        f"{event['shortened_link']} of {event['message_sid']} was opened. {_told(done['webhook'], '--click-url')}"
    )


def _told(webhook: dict[str, Any] | None, option: str) -> str:
    """Say what came of a webhook; one that was not taken is an error."""
    if webhook is None:
        return f"No webhook is configured: start the simulator with {option}, or POST /_simulator/webhooks."
    reasons = {"ct": "could not be reached", "rt": "did not answer in time", "tt": "did not answer in time"}
    answered = webhook["answered"]
    said = reasons.get(answered, f"answered {answered}")
    tries = f" after {webhook['tries']} tries" if webhook["tries"] > 1 else ""
    if not webhook["taken"]:
        typer.echo(f"The webhook {webhook['url']} {said}{tries}.", err=True)
        raise typer.Exit(1)
    return f"The webhook {said}{tries}."


def _tell(url: str, path: str, body: dict[str, Any]) -> dict[str, Any]:
    """Post to a simulator's control; what is wrong is said in one line."""
    import aiohttp

    async def post() -> tuple[int, Any]:
        timeout = aiohttp.ClientTimeout(total=_PATIENCE)
        async with (
            aiohttp.ClientSession(timeout=timeout) as session,
            session.post(f"{url.rstrip('/')}/_simulator/{path}", json=body) as response,
        ):
            return response.status, await response.json(content_type=None)

    try:
        status, answered = asyncio.run(post())
    except (aiohttp.ClientError, TimeoutError, OSError, ValueError) as error:
        typer.echo(f"No simulator answers at {url} ({type(error).__name__}). Start one, or name its --url.", err=True)
        raise typer.Exit(1) from None
    if status != _SUCCESS:
        typer.echo(_reason(answered), err=True)
        raise typer.Exit(1)
    return dict(answered)


def _reason(answered: Any) -> str:  # noqa: ANN401 - JSON
    """Give why the simulator refused; never what was sent, which has people's numbers in it."""
    detail = answered.get("detail") if isinstance(answered, dict) else None
    if isinstance(detail, str):
        return detail
    if isinstance(detail, list):
        return "; ".join(f"{'.'.join(str(part) for part in each['loc'][1:])}: {each['msg']}" for each in detail)
    return "The simulator refused this."
