"""Says what is wrong with a file: ``file:line: field: what. Remedy.``, for every problem at once."""

from __future__ import annotations

from difflib import get_close_matches
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Self, TypeVar

from pydantic import ValidationError

from twilio_campaigns.domain.exceptions import CampaignFileError
from twilio_campaigns.domain.yaml_lines import YamlProblem, read_yaml

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from pydantic_core import ErrorDetails

    from twilio_campaigns.domain.spec import Spec
    from twilio_campaigns.domain.yaml_lines import Document, KeyPath

Model = TypeVar("Model", bound="Spec")
Kinds = tuple[type["Spec"], ...]

_LIST: Final = "is not a list. Write each entry on a line of its own that begins with '- '."
_MAPPING: Final = "is not a mapping. Write lines such as key: value, indented below it."
_MOMENT: Final = "is not a date and time. Write one such as 2027-03-01T09:00:00."
_MESSAGES: Final[dict[str, str]] = {
    "missing": "the key is missing. Add it.",
    "string_type": "is not a text. Write it in quotes.",
    "string_too_short": "is empty. Write a value, or remove the key.",
    "string_too_long": "is longer than {max_length} characters. Shorten it.",
    "int_type": "is not a whole number. Write digits without quotes.",
    "float_type": "is not a number. Write digits without quotes.",
    "finite_number": "is not a finite number. Write digits.",
    "bool_type": "is neither true nor false. Write true or false, without quotes.",
    "greater_than": "has to be greater than {gt}. Raise it.",
    "greater_than_equal": "has to be at least {ge}. Raise it.",
    "less_than": "has to be less than {lt}. Lower it.",
    "less_than_equal": "has to be at most {le}. Lower it.",
    "too_long": "has {actual_length} entries; {max_length} are the most. Remove some.",
    "tuple_type": _LIST,
    "dict_type": _MAPPING,
    "model_type": _MAPPING,
    "datetime_type": _MOMENT,
    "datetime_parsing": _MOMENT,
    "datetime_from_date_parsing": _MOMENT,
    "datetime_object_invalid": _MOMENT,
    "literal_error": "is not one of {expected}. Write one of them.",
}
#: What a quoted value adds nothing to.
_SPEAKS_FOR_ITSELF: Final = frozenset({"missing", "too_long", "tuple_type", "dict_type", "model_type"})
_LONGEST_QUOTE: Final = 60


class Finding(str):
    """One thing that is wrong with a file, as one line for people; programs read its parts.

    :param file: the file as people know it.
    :param line: counted from 1.
    :param field: keys that lead to what is to blame, such as ``message.media_urls[0]``; may be empty.
    :param message: what is wrong, and the remedy.
    :param advice: whether the file works as it stands, and merely may not do what was meant.
    """

    __slots__ = ("advice", "field", "file", "line", "message")

    file: str
    line: int | None
    field: str
    message: str
    advice: bool

    def __new__(cls, file: str, line: int | None, field: str, message: str, *, advice: bool = False) -> Self:
        """Write the line."""
        place = file if line is None else f"{file}:{line}"
        made = super().__new__(cls, ": ".join(filter(None, (place, field, message))))
        made.file, made.line, made.field, made.message, made.advice = file, line, field, message, advice
        return made

    def __getnewargs_ex__(self) -> tuple[tuple[str, int | None, str, str], dict[str, bool]]:
        """Survive the way between processes."""
        return (self.file, self.line, self.field, self.message), {"advice": self.advice}

    def as_json(self) -> dict[str, object]:
        """Give its parts to a program."""
        severity = "advice" if self.advice else "error"
        parts = {"file": self.file, "line": self.line, "field": self.field or None, "message": self.message}
        return {**parts, "severity": severity}


class Problems:
    """Collects what is wrong with one file.

    :param shown: the file as people know it.
    :param document: its values and their lines.
    """

    def __init__(self, shown: str, document: Document) -> None:
        self.shown = shown
        self._document = document
        self._found: list[Finding] = []
        self._blamed: set[KeyPath] = set()
        for problem in document.problems:
            self.add(problem.path, problem.message, problem.line)

    def __bool__(self) -> bool:
        """Whether anything is wrong."""
        return bool(self._found)

    def add(self, path: KeyPath, message: str, line: int | None = None) -> None:
        """Note one problem.

        :param path: keys that lead to what is to blame.
        :param line: its line in the file, where it is not that of the key.
        """
        self._blamed.add(path)
        self._found.append(self.finding(path, message, line))

    def finding(self, path: KeyPath, message: str, line: int | None = None, *, advice: bool = False) -> Finding:
        """Word one problem without noting it; parameters as for :meth:`add`."""
        return Finding(self.shown, line or self._line(path), field_name(path), message, advice=advice)

    def line_of_text(self, path: KeyPath, inner: int | None) -> int:
        """Give the line of the file for a line of a text, counted from 1; of a folded text only its first is known."""
        if inner and path in self._document.text_lines:
            return self._document.text_lines[path] + inner - 1
        return self._line(path)

    def has(self, path: KeyPath) -> bool:
        """Whether this very value is to blame for something already."""
        return path in self._blamed

    def lines(self) -> list[Finding]:
        """Every problem as one line, in the order of the file."""
        return sorted(self._found, key=lambda found: found.line or 0)

    def error(self) -> CampaignFileError:
        """All of them as one error."""
        return CampaignFileError(*self.lines())

    def _line(self, path: KeyPath) -> int:
        for length in range(len(path), 0, -1):
            if path[:length] in self._document.lines:
                return self._document.lines[path[:length]]
        return 1

    def explain(self, error: ErrorDetails, path: KeyPath) -> None:
        """Note what pydantic found.

        :param path: keys of the file that lead there.
        """
        context: dict[str, Any] = error.get("ctx", {})
        if at := context.get("at"):
            path = (*path, at)
        if self.has(path):
            return
        self.add(path, self._message(error, path), self.line_of_text(path, context.get("line")))

    def _message(self, error: ErrorDetails, path: KeyPath) -> str:
        if error["type"] == "campaign" or error["type"] not in _MESSAGES:
            return error["msg"]
        written = self._document.written.get(path)
        if error["type"] == "string_type" and written is not None:
            return _misread(_shortened(written), error["input"])
        message = _MESSAGES[error["type"]].format(**error.get("ctx", {}))
        if error["type"] in _SPEAKS_FOR_ITSELF or isinstance(error["input"], dict | list):
            return message
        return f"{_quote(error['input']) if written is None else _shortened(written)} {message}"


def _misread(written: str, value: object) -> str:
    if value is None:
        return "the key has no value. Write one, or remove the key."
    kind = "true or false" if isinstance(value, bool) else "a number"
    return f"YAML takes {written} for {kind}. Put it in quotes: '{written}'."


def _quote(value: object) -> str:
    text = value if isinstance(value, str) else str(value)
    return repr(_shortened(text))


def _shortened(text: str) -> str:
    return text if len(text) <= _LONGEST_QUOTE else text[:_LONGEST_QUOTE] + "…"


def shown_path(path: Path, include: Path) -> str:
    """Name a file as people know it.

    Below a relative folder the name leads there from the current one; of an absolute folder only the last part is
    named, without the machine's own folders.
    """
    # Links are not followed: a mounted ConfigMap is full of them, and people know the name of the link.
    try:
        inner = path.absolute().relative_to(include.absolute())
        return ((Path(include.name) if include.is_absolute() else include) / inner).as_posix()
    except ValueError:
        return path.name


def read_document(path: Path, shown: str) -> Document:
    """Read a file as YAML.

    :param shown: the file as people know it.
    :raises CampaignFileError: it cannot be read at all.
    """
    try:
        return read_yaml(path)
    except YamlProblem as problem:
        raise CampaignFileError(Finding(shown, problem.line, "", problem.message)) from None


def field_name(path: KeyPath) -> str:
    """Write a path of keys as people do: ``message.media_urls[0]``."""
    name = ""
    for key in path:
        name += f"[{key}]" if isinstance(key, int) else f".{key}"
    return name.removeprefix(".")


def did_you_mean(value: str, known: Iterable[str], otherwise: str) -> str:
    """Remedy for a word that is not known."""
    close = get_close_matches(value, list(known), n=1)
    return f"Did you mean {close[0]!r}?" if close else otherwise


def remove_unknown_keys(
    data: Mapping[str, Any],
    kinds: Kinds,
    problems: Problems,
    *,
    below: Mapping[str, Kinds] | None = None,
    path: KeyPath = (),
) -> dict[str, Any]:
    """Leave out the keys that no model knows, each noted as a problem.

    Left in, they would keep pydantic from checking how the others go together.

    :param kinds: the model of ``data``; several where the file may choose.
    :param below: the models of its values, by key.
    :param path: keys that lead from the root of the file to ``data``.
    """
    below = below or {}
    known = {name for kind in kinds for name in kind.model_fields}
    kept = {}
    for key, value in data.items():
        if key not in known:
            problems.add((*path, key), f"the key is not known{_where_it_belongs(key, known, below)}")
        elif key in below and isinstance(value, dict):
            kept[key] = remove_unknown_keys(value, below[key], problems, path=(*path, key))
        else:
            kept[key] = value
    return kept


def _where_it_belongs(key: str, known: Iterable[str], below: Mapping[str, Kinds]) -> str:
    for section, kinds in below.items():
        if any(key in kind.model_fields for kind in kinds):
            return f" here. Move it below {section}."
    return ". " + did_you_mean(key, sorted(known), f"Remove it; known are {', '.join(sorted(known))}.")


def validate(
    model: type[Model],
    data: Mapping[str, Any],
    problems: Problems,
    to_path: Callable[[KeyPath], KeyPath | None],
) -> Model | None:
    """Build a model, or note everything that is wrong with it.

    :param to_path: keys of the file for a place within the model; ``None``: not the file's fault.
    """
    try:
        return model.model_validate(data)
    except ValidationError as error:
        for details in error.errors(include_url=False):
            if (path := to_path(details["loc"])) is not None:
                problems.explain(details, path)
        return None
