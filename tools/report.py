"""One page of what a student has done: `python -m tools.report` writes my-work/report.html, and a PDF of it.

Predictions with what was measured, passed exercises and clinics, reached goals, the score of the quick questions, looks
at the leaderboard, optimizers that the examiner has passed: all from my-work/answers.json. The page has no script and
asks for nothing from outside.
"""

import argparse
import contextlib
import html
import json
import re
import sys
from collections.abc import Iterator
from datetime import date
from pathlib import Path

from jinja2 import Environment
from markupsafe import Markup
from playwright.sync_api import Error

from tools import browser
from tools.notebooks import has_tag, lessons
from utils.internals.files import replace_whole
from utils.progress import Journal
from utils.progress.journal import FILE, FOLDER, read
from utils.progress.standing import standings

ROOT = Path(__file__).resolve().parent.parent
WHERE = f"{FOLDER}/{FILE}"
NOTHING = (
    f"nothing to report yet: your first prediction, passed exercise or reached goal begins {WHERE}; "
    "`python3 workshop.py lab` opens a lesson"
)
EXAMINED = re.compile(r"check_optimizer\(`?(.+?)`?\)$")  # as utils/checks/examiner/examine.py notes it

PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>{{ title }}</title>
<meta name="viewport" content="width=device-width, initial-scale=1"><link rel="icon" href="data:,">
<style>
@page { size: A4; margin: 18mm 16mm }
body { max-width: 46em; margin: 2em auto; padding: 0 1em; color: #1a1a1a; background: #fff;
       font: 15px/1.5 'DejaVu Sans', 'Segoe UI', Helvetica, Arial, sans-serif }
@media print { body { margin: 0; padding: 0; max-width: none; font-size: 10.5pt } }
h1 { font-size: 1.7em; margin: 0 0 .2em } h2 { font-size: 1.3em; margin: 1.6em 0 .4em; border-top: 2px solid }
h3 { font-size: 1.05em; margin: 1.1em 0 .3em } h2, h3, caption { break-after: avoid }
table { border-collapse: collapse; width: 100% }
caption { text-align: left; font-weight: bold; padding: .8em 0 .2em }
th, td { text-align: left; vertical-align: top; padding: .3em .8em .3em 0; border-bottom: 1px solid #767676 }
tbody th { font-weight: normal } tr, li, figure { break-inside: avoid }
code, pre { font-family: 'DejaVu Sans Mono', Consolas, monospace; font-size: .92em }
pre { white-space: pre-wrap; overflow-wrap: anywhere; border-left: 3px solid #767676; padding-left: .8em }
</style></head><body><main>
{% macro table(caption, headers, rows) %}
<table><caption>{{ caption }}</caption>
<thead><tr>{% for each in headers %}<th scope="col">{{ each }}</th>{% endfor %}</tr></thead>
<tbody>{% for row in rows %}<tr><th scope="row">{{ row[0] | marked }}</th>
{% for each in row[1:] %}<td>{{ each | marked }}</td>{% endfor %}</tr>{% endfor %}</tbody></table>
{% endmacro %}
<h1>{{ title }}</h1>
<p>{{ today }}. From <code>{{ where }}</code>, which the lessons of the optimizer workshop have written.</p>
{{ table("All lessons", ["lesson", "minutes left", "done"], overview) }}
{% for each in lessons %}<h2>{{ each.title }}</h2>
{% if each.predictions %}
{{ table("Predictions", ["question", "your answer", "what was measured"], each.predictions) }}{% endif %}
{% for what in ("exercises", "clinics") if each[what] %}
<h3>{{ "Exercises" if what == "exercises" else "Bug clinics" }} passed</h3><ul>
{% for title, said in each[what] %}<li><b>{{ title }}:</b> {{ said | marked }}</li>{% endfor %}</ul>{% endfor %}
{% if each.goals %}<h3>Lab goals reached</h3><ul>
{% for goal in each.goals %}<li>{{ goal | marked }}</li>{% endfor %}</ul>{% endif %}
{% if each.quick %}<h3>Quick questions</h3><p>Right at the first answer: {{ each.quick }}.</p>{% endif %}
{% endfor %}
{% if cards %}<h2>Your own optimizers, passed by the examiner</h2><ul>
{% for name, said in cards %}<li><b>{{ name }}:</b> {{ said | marked }}</li>{% endfor %}</ul>{% endif %}
{% if looks %}<h2>The leaderboard</h2>
{{ table("Your looks at the test rows", ["recipe", "accuracy ± spread", "verdict"], looks) }}
{% if source %}<h3>The recipe of the last look</h3><pre>{{ source }}</pre>{% endif %}{% endif %}
</main></body></html>
"""


class Nothing(Exception):
    """There is no page to write; the message is one line that says why."""


def report(root: Path = ROOT) -> str:
    """The page as HTML. Raises Nothing where there is nothing to report, or the file cannot be read."""
    try:
        noted = read(root / FOLDER / FILE)
    except FileNotFoundError:
        raise Nothing(NOTHING) from None
    except ValueError:
        raise Nothing(
            f"{WHERE} is damaged, so there is nothing to report. It stays as it is; the next answer that you give in a "
            "lesson puts it aside under a name with the date, and begins a new one"
        ) from None
    except OSError as error:
        raise Nothing(f"{WHERE} cannot be read: {error.strerror}") from None
    if not any(noted[kind] for kind in ("answers", "exercises", "goals", "boards")):
        raise Nothing(NOTHING)
    found = standings(Journal(root / FOLDER, lesson=""))
    cards = {each["name"]: each.get("said", "") for each in noted["exercises"] if EXAMINED.match(each["name"])}
    names = {name: EXAMINED.match(name)[1] for name in cards}
    shown = Environment(autoescape=True)
    shown.filters["marked"] = _marked
    return shown.from_string(PAGE).render(
        title="What you have done in the optimizer workshop",
        today=f"{date.today():%d %B %Y}",
        where=WHERE,
        overview=[[each.lesson.title, each.left, str(each)] for each in found],
        lessons=list(_lessons(noted, found)),
        cards=[(names[each], said) for each, said in cards.items() if names[each] not in _page_classes(root)],
        looks=[[each["name"], each.get("score", ""), each.get("said", "")] for each in noted["boards"]],
        source=next((each.get("source", "") for each in reversed(noted["boards"])), ""),
    )


def _lessons(noted: dict[str, list[dict]], found: list) -> Iterator[dict]:
    """For each lesson in which something was done, and at the end for what no lesson asks for any more."""
    known = {name for each in found for name in each.lesson.questions + each.lesson.quizzes}
    late = [each["name"] for each in noted["answers"] if each["name"] not in known]
    passed = {each["name"]: each.get("said", "") for each in reversed(noted["exercises"])}
    for each in found:
        exercises, clinics = (
            [(title, passed[name]) for name, title in there.items() if name in passed]
            for there in (each.lesson.exercises, each.lesson.clinics)
        )
        goals = [goal["name"] for goal in noted["goals"] if goal.get("lesson") == each.lesson.number]
        predictions = [_prediction(noted, name) for name in each.lesson.questions]
        what = {"predictions": list(filter(None, predictions)), "exercises": exercises, "clinics": clinics}
        what |= {"goals": goals, "quick": "{} of {}".format(*each.quick) if each.quick[1] else ""}
        if any(what.values()):
            yield {"title": each.lesson.title, **what}
    if late:
        yield {
            "title": "Questions of earlier lessons",
            "predictions": [_prediction(noted, name) for name in dict.fromkeys(late)],
        }


def _prediction(noted: dict[str, list[dict]], name: str) -> list[str] | None:
    """[question, answer, measured]: the last answer before the result, else the last one; None if there is none."""
    answers = [each for each in noted["answers"] if each["name"] == name]
    early = [each for each in answers if not each.get("after_result")]
    if not answers:
        return None
    last = (early or answers)[-1]
    measured = [_text(each, "measured") for each in noted["results"] if each["name"] == name]
    answer = _text(last, "answer") + ("" if early else " (after the result)")
    return [str(last.get("question", name)), answer, measured[-1] if measured else "not yet"]


def _text(entry: dict, key: str) -> str:
    """The answer in words, which an earlier version did not store."""
    answer = entry.get(key, "")
    return str(entry.get("shown") or ("; ".join(map(str, answer)) if isinstance(answer, list) else answer))


def _page_classes(root: Path) -> set[str]:
    """Classes that the lessons define: what the examiner says of those is no work of the student's."""
    found = set()
    for path in lessons(root / "notebooks"):
        with contextlib.suppress(OSError, ValueError):
            cells = json.loads(path.read_bytes())["cells"]
            code = ["".join(each["source"]) for each in cells if not has_tag(each, "exercise-stub")]
            found.update(re.findall(r"^class (\w+)", "\n".join(code), re.M))
    return found


def _marked(text: str) -> Markup:
    """What a check or a question says, as HTML: `code`, *emphasis* and line breaks."""

    def tagged(found: re.Match) -> str:
        return f"<code>{found[1]}</code>" if found[1] else f"<em>{found[2]}</em>"

    text = re.sub(r"`([^`]+)`|\*([^*\s][^*]*)\*", tagged, html.escape(str(text)))
    return Markup(text.replace("\n", "<br>"))


def main(arguments: list[str] | None = None, *, root: Path = ROOT) -> int:
    """Exit code 0; 2 when there is nothing to report or the page cannot be written. Without a browser: no PDF, 0."""
    parser = argparse.ArgumentParser(prog="python -m tools.report", description=(__doc__ or "").partition("\n")[0])
    parser.parse_args(arguments)
    page = root / FOLDER / "report.html"
    try:
        replace_whole(report(root).encode(errors="replace"), page)
        print(page.relative_to(root))
        with browser.browser() as running, contextlib.closing(running.new_page()) as view:
            view.goto(page.as_uri())
            replace_whole(view.pdf(prefer_css_page_size=True, tagged=True, outline=True), page.with_suffix(".pdf"))
        print(page.with_suffix(".pdf").relative_to(root))
    except Nothing as reason:
        print(f"workshop: {reason}", file=sys.stderr)
        return 2
    except OSError as error:
        print(f"workshop: no report written in {FOLDER}/: {error.strerror}", file=sys.stderr)
        return 2
    except (browser.NoBrowser, Error) as reason:
        print(f"no PDF: {str(reason).splitlines()[0]}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
