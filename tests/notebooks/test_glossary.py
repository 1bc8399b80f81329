"""The glossary of lesson 00: each word has an entry, and a link from a lesson leads to the table that has its word."""

import json
import re

from tests.notebooks.test_notebooks import LINK
from tools.notebooks import find, lessons, number_of

HERE = find("00")


def texts(lesson) -> list[str]:
    cells = json.loads(lesson.read_text(encoding="utf-8"))["cells"]
    return ["".join(cell["source"]) for cell in cells if cell["cell_type"] == "markdown"]


def entries() -> dict[str, dict[str, tuple[str, str]]]:
    """{anchor of a table: {word: (what it means, where it is measured)}}."""
    found = {}
    for heading, table in re.findall(r"^### (Words of .+)\n\n((?:\|.+\n?)+)", "\n".join(texts(HERE)), re.MULTILINE):
        rows = [[part.strip() for part in line.strip("|\n").split("|")] for line in table.splitlines()[2:]]
        found[heading.replace(" ", "-")] = {word: (means, where) for word, means, where in rows}
    return found


def plain(word: str) -> str:
    """Without emphasis, capitals and the s of a plural: the same for `*Ravines*` and `ravine`."""
    word = word.replace("\\kappa", "κ").strip("*$").lower()
    return " ".join(part.removesuffix("s") for part in word.split())


def links() -> list[tuple[str, str, str]]:
    """(number of the lesson, anchor, word) of each link into the glossary."""
    every = [
        (number_of(lesson), found) for lesson in lessons() for text in texts(lesson) for found in LINK.findall(text)
    ]
    return [(number, link[1].partition("#")[2], link[0]) for number, link in every if f"{HERE.name}#Words" in link[1]]


def test_a_link_leads_to_the_table_that_has_its_word():
    words = {anchor: {plain(word) for word in rows} for anchor, rows in entries().items()}
    assert [link for link in links() if plain(link[2]) not in words.get(link[1], ())] == []


def test_each_lesson_links_to_the_glossary_and_no_word_twice():
    found = [(number, plain(word)) for number, _, word in links()]
    assert {number for number, _ in found} == {number_of(lesson) for lesson in lessons()} - {"00"}
    assert len(set(found)) == len(found)


def test_an_entry_is_short_and_names_the_section_that_measures_it():
    """That the section exists is for the check of all links, in test_notebooks.py."""
    for rows in entries().values():
        for word, (means, where) in rows.items():
            assert 3 < len(means.split()) <= 25, word
            lesson, section, target, anchor = re.fullmatch(
                r"\[(\w+), section (\d+)\]\((.+?)#(\d+)\..+\)", where
            ).groups()
            assert find(lesson).name == target and section == anchor, word


def test_each_entry_is_linked_from_a_lesson():
    assert {plain(word) for rows in entries().values() for word in rows} == {plain(word) for *_, word in links()}
