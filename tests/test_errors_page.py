"""The messages in docs/how-to/read-an-error.md are those that the examples give."""

import re
import traceback
import warnings
from pathlib import Path

PAGE = Path(__file__).parents[1] / "docs" / "how-to" / "read-an-error.md"
EXAMPLE = re.compile(r"```python\n(?P<code>.*?)```\n\n```text\n(?P<message>.*?)```", re.DOTALL)


def message(code):
    """What Python prints last when it runs an example: the class and text of the error."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            exec(compile(code, "train.py", "exec"), {"__name__": "__main__"})
    except Exception as error:
        return "".join(traceback.format_exception_only(error))
    raise AssertionError(f"no error from:\n{code}")


def regenerated(page):
    """The page with the messages of this state."""
    return EXAMPLE.sub(
        lambda m: f"```python\n{m['code']}```\n\n```text\n{message(m['code'])}```", page
    )


def test_messages_are_those_that_the_examples_give():
    page = PAGE.read_text(encoding="utf-8")
    assert len(EXAMPLE.findall(page)) == 10
    assert regenerated(page) == page


if __name__ == "__main__":
    PAGE.write_text(regenerated(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
