"""The pages that say what the code says are the code's own."""

import pytest

from include.local.references import DOCS, pages


@pytest.mark.parametrize("name", ["campaign-files.md", "settings.md", "mistakes.md"])
def test_a_page_says_what_the_code_says(name):
    assert pages()[DOCS / name] == (DOCS / name).read_text("utf-8"), "Run `make references`."
