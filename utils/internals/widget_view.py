"""The display data of a widget, as a page asks for it: ipywidgets 7, which Colab has, gives a box none of its own."""

from ipywidgets import Widget

WIDGET_VIEW = "application/vnd.jupyter.widget-view+json"


def widget_view(widget: Widget, **texts: str) -> dict:
    """{MIME type: data} of a widget, and of what stands in its place on a page without a kernel, "text/plain" say."""
    return {WIDGET_VIEW: {"version_major": 2, "version_minor": 0, "model_id": widget.model_id}, **texts}
