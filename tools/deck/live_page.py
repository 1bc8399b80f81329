"""The page of a live deck: the shared template, with a place for every widget."""

from pathlib import Path

from nbformat import NotebookNode

from tools.deck.page import TEMPLATES, DeckExporter, with_pictures
from tools.notebooks import is_question, is_still
from tools.refresh import WIDGET_VIEW


def live_page(notebook: NotebookNode, folder: Path, deck: dict) -> str:
    """HTML of a notebook that lives in `folder` and whose live cells have been run.

    deck    `page.deck_resources`, and under "live" the configuration that leads Voilà's scripts to the kernel
    """
    for cell in notebook.cells:
        outputs = cell.get("outputs", [])
        for output in filter(is_question, outputs):
            output.data.pop(WIDGET_VIEW, None)  # after --run-all: a room answers by show of hands, not in the form
        widget = next((output for output in outputs if WIDGET_VIEW in output.get("data", {})), None)
        for output in list(outputs):
            markup = output.get("data", {}).get("text/html")
            if widget and is_still(output):  # one slide for both: it shows until the widget is there
                widget.metadata["still"] = markup
                outputs.remove(output)
            elif markup:
                output.data["text/html"] = with_pictures(markup, folder)
    parts = {"live_style": "live.css", "live_script": "live.js"}
    deck |= {part: (TEMPLATES / "deck" / file).read_text(encoding="utf-8") for part, file in parts.items()}
    resources = {"deck": deck, "metadata": {"path": str(folder)}}
    return DeckExporter(template_file="live.html.j2").from_notebook_node(notebook, resources)[0]
