"""What the page may load and run, without a browser."""

import re

from tests.serving.page.policy import PAGE, policy, with_policy


def test_the_policy_allows_the_page_as_it_is_and_nothing_else() -> None:
    page = PAGE.read_text(encoding="utf-8")
    assert with_policy(page) == page, "run python -m tests.serving.page_policy"
    assert policy(page.replace('"use strict"', '"use  strict"')) != policy(page)


def test_the_page_names_no_outside_address_and_writes_no_html() -> None:
    page = PAGE.read_text(encoding="utf-8")
    assert set(re.findall(r"\w+://[\w.]+", page)) == {"http://www.w3.org"}  # the name space of pictures
    for word in ("innerHTML", "outerHTML", "insertAdjacentHTML", "document.write", "eval(", "cookie", "sessionStorage"):
        assert word not in page
