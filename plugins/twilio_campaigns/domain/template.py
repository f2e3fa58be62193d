"""The texts of a message: Jinja, in a sandbox, once per recipient.

The columns of the recipient's row are the variables. ``None`` counts as missing, and a missing variable is an
error rather than a gap in a text that thousands read; ``{{ first_name | default("friend") }}`` says what to
write instead. Texts are plain: nothing is escaped.

Authors are colleagues, not attackers, yet a slip must not take a worker down: there is nothing to load or to
call, loops run over a row's own values and not in one another, numbers cannot blow a text up, and a text ends
at :data:`MAX_CHARACTERS`.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from difflib import get_close_matches
from numbers import Number
from typing import TYPE_CHECKING, Any, Final

from jinja2 import StrictUndefined, Template, TemplateSyntaxError, UndefinedError, meta, nodes
from jinja2.sandbox import ImmutableSandboxedEnvironment
from jinja2.utils import missing

from twilio_campaigns.domain.exceptions import TerminalError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from jinja2.runtime import Context

    from twilio_campaigns.domain.content import Message

#: Ten times what Twilio takes: whatever is longer was not meant.
MAX_CHARACTERS: Final = 16_000

_FILTERS: Final = frozenset(
    {"abs", "capitalize", "count", "d", "default", "first", "float", "int", "join", "last", "length", "list"}
    | {"lower", "map", "max", "min", "reject", "replace", "reverse", "round", "select", "selectattr", "sort"}
    | {"string", "sum", "title", "trim", "truncate", "unique", "upper", "urlencode", "wordcount"}
)
#: Methods of str that give a text of any length for a number.
_UNBOUNDED: Final = frozenset({"center", "expandtabs", "format", "format_map", "ljust", "rjust", "to_bytes", "zfill"})
_WIDE_FORMAT: Final = re.compile(r"\*|\d{3}")
_REFUSED: Final = (
    (nodes.Macro, "macros"),
    (nodes.CallBlock, "call blocks"),
    ((nodes.Include, nodes.Import, nodes.FromImport, nodes.Extends), "other templates"),
    (nodes.Block, "blocks"),
    (nodes.Pow, "powers"),
)


class TemplateError(TerminalError):
    """A template is wrong, or fails for a row.

    :param line: line of the template, counted from 1, where it is known.
    """

    def __init__(self, message: str, line: int | None = None) -> None:
        super().__init__(message)
        self.line = line


class MissingVariableError(TemplateError):
    """A row has no value for a variable of the template.

    :param name: the variable.
    """

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.name = name

    def __str__(self) -> str:
        return (
            f"no value for {self.name!r}. Let the segment give a column {self.name!r}, or write "
            f'{{{{ {self.name} | default("…") }}}}.'
        )


@dataclass(frozen=True, slots=True)
class Content:
    """What one recipient gets.

    :param content_variables: JSON object as text, keys in order.
    """

    body: str | None
    media_urls: tuple[str, ...]
    content_sid: str | None
    content_variables: str | None


class _Undefined(StrictUndefined):
    """Refuses to be used, and tells the variable's name to whoever catches it."""

    __slots__ = ()

    def __init__(
        self,
        hint: str | None = None,
        obj: Any = missing,  # noqa: ANN401 - Jinja's own signature
        name: str | None = None,
        exc: Any = UndefinedError,  # noqa: ANN401
    ) -> None:
        if exc is UndefinedError:
            exc = lambda _message: MissingVariableError(str(name))  # noqa: E731 - stands for an exception class
        super().__init__(hint, obj, name, exc)


class _Environment(ImmutableSandboxedEnvironment):
    """Jinja's sandbox, less what makes a text of any length from a number."""

    intercepted_binops = frozenset({"*", "%"})

    def call_binop(self, context: Context, operator: str, left: Any, right: Any) -> Any:  # noqa: ANN401
        """Multiply numbers only: ``"ha" * points`` and ``"%9999d" % 1`` have no place in a text."""
        if not (isinstance(left, Number) and isinstance(right, Number)):
            raise TemplateError(f"{operator} works on numbers only")
        return super().call_binop(context, operator, left, right)

    def is_safe_attribute(self, obj: Any, attr: str, value: Any) -> bool:  # noqa: ANN401
        """Hide the methods that pad and format; the filter ``format`` does it within bounds."""
        return attr not in _UNBOUNDED and super().is_safe_attribute(obj, attr, value)

    def wrap_str_format(self, value: Any) -> None:  # noqa: ANN401, ARG002
        """Leave ``str.format`` to :meth:`is_safe_attribute`."""
        return


def _format(pattern: str, *values: object) -> str:
    if _WIDE_FORMAT.search(pattern):
        raise TemplateError("a format may not be wider than 99 characters")
    return str(pattern) % values


def _finalize(value: object) -> object:
    if value is None:
        raise TemplateError("an expression gives nothing to print")
    return value


def _environment() -> _Environment:
    environment = _Environment(
        autoescape=False,  # a text message is plain text: escaping would print &amp;
        undefined=_Undefined,
        finalize=_finalize,
        cache_size=0,
    )
    environment.globals.clear()
    environment.filters = {name: environment.filters[name] for name in _FILTERS} | {"format": _format}
    return environment


_ENVIRONMENT: Final = _environment()


def is_template(source: str) -> bool:
    """Whether the text contains anything for Jinja to do."""
    return any(mark in source for mark in ("{{", "{%", "{#"))


def check_template(source: str) -> None:
    """Find what can be found wrong without a row.

    :raises TemplateError: with the line.
    """
    _compile(source)


def always_written(source: str) -> str:
    """Give the text that stands in every message of a template, whatever the row."""
    tree = _ENVIRONMENT.parse(source)
    printed = (node for output in tree.body if isinstance(output, nodes.Output) for node in output.nodes)
    return "".join(node.data for node in printed if isinstance(node, nodes.TemplateData)).rstrip("\r\n")


def needed_variables(source: str) -> dict[str, int]:
    """Give the variables that a template cannot do without, each with its first line.

    A variable is not needed if the template says what becomes of it where it is missing: ``default``, ``is defined``.
    """
    tree = _ENVIRONMENT.parse(source)
    given = meta.find_undeclared_variables(tree)
    for kind, names in ((nodes.Filter, ("default", "d")), (nodes.Test, ("defined", "undefined"))):
        for used in tree.find_all(kind):
            if used.name in names and isinstance(used.node, nodes.Name):
                given.discard(used.node.name)
    lines: dict[str, int] = {}
    for name in tree.find_all(nodes.Name):
        if name.name in given:
            lines[name.name] = min(name.lineno, lines.get(name.name, name.lineno))
    return lines


def _compile(source: str) -> Template:
    try:
        tree = _ENVIRONMENT.parse(source)
        for line, message in _refusals(tree):
            raise TemplateError(message, line)
        return _ENVIRONMENT.from_string(tree)
    except TemplateSyntaxError as error:
        message = (error.message or "syntax error").rstrip(".")
        remedy = "Check the braces: {{ column }}, {% if column %} … {% endif %}."
        raise TemplateError(f"the template is wrong: {message}. {remedy}", error.lineno) from None
    except RecursionError:
        raise TemplateError("the template is nested too deeply. Take it apart.") from None


def _refusals(tree: nodes.Template) -> Iterator[tuple[int, str]]:
    for kinds, name in _REFUSED:
        for node in tree.find_all(kinds):
            yield node.lineno, f"a message cannot use {name}. Write the text out."
    for loop in tree.find_all(nodes.For):
        if loop.recursive or loop.find(nodes.For):
            yield loop.lineno, "a loop cannot contain a loop. Let the segment compute the text."
    for kind, known in ((nodes.Filter, _ENVIRONMENT.filters), (nodes.Test, _ENVIRONMENT.tests)):
        for used in tree.find_all(kind):
            if used.name not in known:
                yield used.lineno, _unknown(kind.__name__.lower(), used.name, known)


def _unknown(kind: str, name: str, known: Mapping[str, object]) -> str:
    close = get_close_matches(name, known, n=1)
    remedy = f"Did you mean {close[0]!r}?" if close else f"Use one of {', '.join(sorted(known))}."
    return f"a message knows no {kind} {name!r}. {remedy}"


class Renderer:
    """Renders one campaign's message for row after row; compiled once.

    :param message: what is sent.
    :param campaign_id: value of the variable ``campaign_id``; a column of that name gives way.
    """

    def __init__(self, message: Message, campaign_id: str | None = None) -> None:
        self._constants = {} if campaign_id is None else {"campaign_id": campaign_id}
        self._body = None if message.body is None else _compile(message.body)
        self._media_urls = [_compile(url) for url in message.media_urls]
        self._content_sid = message.content_sid
        self._variables = {name: _compile(text) for name, text in sorted(message.content_variables.items())}

    def render(self, row: Mapping[str, object]) -> Content:
        """Render the message for one row.

        :raises MissingVariableError: the row lacks a variable, or has ``None`` or a blank text for it.
        :raises TemplateError: the template fails for this row, or its text is too long.
        """
        readable = {name: _readable(value) for name, value in row.items()}
        values = {name: value for name, value in readable.items() if not _is_missing(value)} | self._constants
        filled = {name: _render(template, values).replace("\0", "") for name, template in self._variables.items()}
        return Content(
            body=None if self._body is None else _render(self._body, values),
            media_urls=tuple(_render(template, values) for template in self._media_urls),
            content_sid=self._content_sid,
            content_variables=json.dumps(filled, ensure_ascii=False) if filled else None,
        )


def _readable(value: object) -> object:
    """Read bytes as the text that they are: Parquet files often hold texts so. What is no UTF-8 says nothing."""
    if not isinstance(value, bytes):
        return value
    try:
        return value.decode()
    except UnicodeDecodeError:
        return None


def _is_missing(value: object) -> bool:
    """Whether a column says nothing; a CSV file cannot tell an empty text from none."""
    return value is None or (isinstance(value, str) and not value.strip())


def _render(template: Template, values: Mapping[str, object]) -> str:
    # Straight to the compiled function: Template.render rewrites the traceback of every failure, which costs
    # more than the rendering itself where many rows lack a variable.
    try:
        pieces = template.root_render_func(template.new_context(dict(values)))
        return "".join(_bounded(pieces)).rstrip("\r\n")
    except TemplateError:
        raise
    except Exception as error:
        # Only the kind: the text of such errors quotes the row.
        raise TemplateError(f"the template fails for this row ({type(error).__name__})") from error


def _bounded(pieces: Iterable[str]) -> Iterator[str]:
    length = 0
    for piece in pieces:
        length += len(piece)
        if length > MAX_CHARACTERS:
            raise TemplateError(f"the text is longer than {MAX_CHARACTERS:,} characters")
        yield piece
