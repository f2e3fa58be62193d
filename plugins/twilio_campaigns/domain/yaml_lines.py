"""YAML as people write it in editors, with the line of every value.

Stricter than YAML where YAML surprises: a key given twice, several documents, tags, anchors and aliases are
errors. Dates stay text. What a plain word was before YAML made a number or a truth of it is kept, so that an
error can quote what stands in the file.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

import yaml
from yaml.composer import ComposerError
from yaml.constructor import ConstructorError
from yaml.events import AliasEvent
from yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode
from yaml.reader import ReaderError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

Key = str | int
KeyPath = tuple[Key, ...]

#: No file that a person wrote is longer.
_MAX_BYTES: Final = 1_000_000
_ALIAS: Final = "aliases are not supported. Write the value out"
_UNCLOSED: Final = "found unexpected end of stream"
_EXPLANATIONS: Final = {
    _ALIAS: _ALIAS + ".",
    _UNCLOSED: "a quote is not closed. Close it.",
    "'\\t'": "a tab stands where YAML wants spaces. Indent with spaces.",
    "another document": "the file holds more than one document. Keep one per file, and no --- between.",
    "cannot start any token": "the file is not YAML: {reason}. Put the value in quotes.",
    "mapping values are not allowed": "the file is not YAML: an unexpected colon. "
    "Put texts with a colon in quotes; check the indent.",
}
_PREFIX: Final = "tag:yaml.org,2002:"
_PLAIN: Final = frozenset({"int", "float", "bool", "null"})
_TEXT: Final = frozenset({"str", "timestamp", "value"})
#: Numbers that YAML reads as people do: 010 is 8 to it, 1:30 is 90, 0x10 is 16.
_DECIMAL: Final = re.compile(r"[-+]?(?:0|[1-9][0-9_]*)")


@dataclass(eq=False)
class YamlProblem(Exception):  # noqa: N818 - named for what the reader of the file has
    """One thing that is wrong with a file as YAML.

    :param line: counted from 1.
    :param path: keys that lead there, as far as known.
    :param message: what is wrong, and the remedy.
    """

    line: int
    message: str
    path: KeyPath = ()


@dataclass(frozen=True, slots=True)
class Document:
    """One file: a mapping, and where everything in it stands.

    :param data: the values.
    :param lines: line of every key path, counted from 1; of a key, where it has one.
    :param written: plain words that YAML took for a number, a truth or nothing, as they stand in the file.
    :param text_lines: first line of the text of every literal block (``|``).
    :param problems: what is wrong but did not keep the rest from being read.
    """

    data: dict[str, Any] = field(default_factory=dict)
    lines: dict[KeyPath, int] = field(default_factory=dict)
    written: dict[KeyPath, str] = field(default_factory=dict)
    text_lines: dict[KeyPath, int] = field(default_factory=dict)
    problems: list[YamlProblem] = field(default_factory=list)


class _Loader(yaml.SafeLoader):
    """Composes nodes; refuses aliases, which a file of this size needs no more than a reader does."""

    def compose_node(self, parent: Node | None, index: Any) -> Node | None:  # noqa: ANN401 - PyYAML's own
        if self.check_event(AliasEvent):
            mark = self.peek_event().start_mark  # type: ignore[no-untyped-call]
            raise ComposerError(None, None, _ALIAS, mark)
        return super().compose_node(parent, index)


def read_yaml(path: Path) -> Document:
    """Read a file that holds one mapping.

    :raises YamlProblem: the file cannot be read, or is not YAML.
    """
    text = _decode(_read(path))
    loader = None
    try:
        loader = _Loader(text)
        return _document(loader)
    except yaml.MarkedYAMLError as error:
        mark = error.context_mark if error.problem == _UNCLOSED else error.problem_mark
        raise YamlProblem(mark.line + 1 if mark else 1, _explain(error)) from None
    except ReaderError as error:
        line = text.count("\n", 0, error.position) + 1
        raise YamlProblem(line, f"the file contains the character #x{error.character:04x}. Delete it.") from None
    except RecursionError:
        raise YamlProblem(1, "the file is nested too deeply. Write it flat.") from None
    finally:
        if loader is not None:
            loader.dispose()


def _read(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            content = file.read(_MAX_BYTES + 1)
    except FileNotFoundError:
        raise YamlProblem(1, "the file does not exist. Create it.") from None
    except OSError as error:
        raise YamlProblem(1, f"the file cannot be read: {error.strerror}. Check it and its rights.") from None
    if len(content) > _MAX_BYTES:
        raise YamlProblem(1, "the file is longer than 1 MB. Move data such as recipients into a segment file.")
    return content


def _decode(content: bytes) -> str:
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise YamlProblem(line, "the file is not UTF-8. Save it as UTF-8.") from None


def _explain(error: yaml.MarkedYAMLError) -> str:
    reason = error.problem or error.context or "syntax error"
    for sign, explanation in _EXPLANATIONS.items():
        if sign in reason:
            return explanation.format(reason=reason)
    return f"the file is not YAML: {reason}. Check quotes, colons and indent on this line and the one before."


def _document(loader: _Loader) -> Document:
    if (root := loader.get_single_node()) is None:
        raise YamlProblem(1, "the file is empty. Write the keys that it needs, or delete it.")
    if not isinstance(root, MappingNode):
        raise YamlProblem(root.start_mark.line + 1, "the file is not a mapping. Write lines such as key: value.")
    document = Document()
    document.data.update(_Reader(loader, document).mapping(root, ()))
    return document


class _Reader:
    """Turns nodes into values, and notes where they stand."""

    def __init__(self, loader: _Loader, document: Document) -> None:
        self._loader = loader
        self._document = document

    def value(self, node: Node, path: KeyPath) -> Any:  # noqa: ANN401 - whatever the file holds
        self._document.lines.setdefault(path, node.start_mark.line + 1)
        if isinstance(node, MappingNode) and node.tag == f"{_PREFIX}map":
            return self.mapping(node, path)
        if isinstance(node, SequenceNode) and node.tag == f"{_PREFIX}seq":
            return [self.value(item, (*path, number)) for number, item in enumerate(node.value)]
        if isinstance(node, ScalarNode):
            return self._scalar(node, path)
        return self._wrong(node, path, f"the tag {node.tag.replace(_PREFIX, '!!')} is not supported. Remove it.")

    def mapping(self, node: MappingNode, path: KeyPath) -> dict[str, Any]:
        values = {}
        for key, value, line in self._items(node, path):
            below = (*path, key)
            if key in values:
                first = self._document.lines[below]
                self._problem(line, below, f"the key stands here again; first on line {first}. Keep one.")
                continue
            self._document.lines[below] = line
            values[key] = self.value(value, below)
        return values

    def _items(self, node: MappingNode, path: KeyPath) -> Iterator[tuple[str, Node, int]]:
        for key, value in node.value:
            line = key.start_mark.line + 1
            if not isinstance(key, ScalarNode):
                self._problem(line, path, "a key is not a plain word. Put a value with {{ }} in quotes.")
            elif not key.value.isprintable():
                self._problem(line, path, f"the key {key.value!r} has characters that nobody sees. Type it again.")
            else:
                yield key.value, value, line

    def _scalar(self, node: ScalarNode, path: KeyPath) -> Any:  # noqa: ANN401 - str, number, truth or None
        kind = node.tag.removeprefix(_PREFIX)
        if kind in _TEXT:
            if node.style == "|":
                self._document.text_lines[path] = node.start_mark.line + 2
            return node.value
        if kind not in _PLAIN:
            return self._wrong(node, path, f"the tag {node.tag.replace(_PREFIX, '!!')} is not supported. Remove it.")
        self._document.written[path] = node.value
        try:
            value = self._loader.construct_object(node)
        except (ConstructorError, ValueError):
            return node.value
        if kind == "int" and not _DECIMAL.fullmatch(node.value):
            self._wrong(
                node, path, f"YAML takes {node.value} for the number {value}. Put it in quotes: '{node.value}'."
            )
        return value

    def _wrong(self, node: Node, path: KeyPath, message: str) -> None:
        self._problem(node.start_mark.line + 1, path, message)

    def _problem(self, line: int, path: KeyPath, message: str) -> None:
        self._document.problems.append(YamlProblem(line, message, path))
