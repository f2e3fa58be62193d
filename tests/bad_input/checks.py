"""What every error of this project promises: where, what, and what to do; no secret, no number, no body."""

import re

#: Stands for passwords and tokens in this folder.
SECRET = "hidden-word"
#: Words of every body of this folder.
BODY = "dear reader"
#: How the numbers of this folder's recipients go on after the country code.
NUMBER = "2025550"

_REMEDY = re.compile(
    r"(?:^|[.:;,?!] )(?:Add|Another try|Change|Check|check|Close|Copy|Correct|Create|Delete|Export|Fill|Give"
    r"|Grant|Indent|Install|Keep|Leave|Let|Lower|Move|Name|Put|Raise|Remove|Rename|Repair|Run|Save|Set|Shorten|Type|Use|Write)\b"
    r"|Did you mean '"
)


def assert_clear(message, *places):
    """The message names every place, says what to do, and gives away nothing."""
    for place in places:
        assert place in message, message
    assert _REMEDY.search(message), f"no remedy: {message}"
    assert message.rstrip()[-1] in ".?", f"not a sentence: {message}"
    assert "Traceback" not in message
    for private in (SECRET, BODY, NUMBER):
        assert private not in message, message
    assert len(message) < 1000, f"nobody reads this: {message}"
