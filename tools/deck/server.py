"""The server of a live deck: a kernel, Voilà's part for widgets, and one page, all from this machine.

Voilà by itself runs the notebook anew in a new kernel for every page that is opened: a reload would lose what the labs
show, and the speaker view, which opens the deck twice more, would start two more kernels. So here one kernel runs once,
and every page of the deck, those in the speaker view too, is a view of it.
"""

import json
import socket
from collections.abc import Callable
from dataclasses import dataclass
from html import escape
from pathlib import Path

from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError, CellTimeoutError, DeadKernelError
from nbformat import NotebookNode
from tornado.web import HTTPError

from tools.deck.page import TEMPLATES
from tools.deck.voila_parts import PageHandler, WidgetServer, allow_unauthenticated
from tools.refresh import CELL_SECONDS


class DeckError(Exception):
    """Why there is no deck, in one line."""


@dataclass
class Deck:
    """What the page's handler shows: the deck, or how far its making has come."""

    title: str
    html: str | None = None
    done: int = 0
    total: int = 1
    doing: str = "starting a kernel"


class DeckServer(WidgetServer):
    """Serves one deck and the kernel behind it."""

    def __init__(self, deck: Deck, folder: Path, *, ip: str):
        super().__init__(folder, ip=ip)
        self.deck = deck

    def listen(self, listening: socket.socket) -> None:
        """Answer from now on what comes to this socket."""
        super().listen(listening, [(r"/progress", Progress), (r"/", Page)], deck=self.deck)

    async def run(self, notebook: NotebookNode, cells: list[int], *, said: Callable[[str], None]) -> dict:
        """Start the kernel, run the cells at these places; return what a page needs to reach the kernel.

        The cells' outputs go into `notebook`, and `said(line)` is called before each. Raises DeckError when the kernel
        does not start or dies, a cell fails or takes too long.
        """
        try:
            kernel = await self.start_kernel()
        except Exception as error:  # whatever a kernel's provisioner raises
            raise DeckError(f"no kernel: {error}") from error
        client = NotebookClient(notebook, km=kernel, timeout=CELL_SECONDS, store_widget_state=False)
        try:
            client.kc = await client.async_start_new_kernel_client()
            for done, place in enumerate(cells):
                cell = notebook.cells[place]
                self.deck.done, self.deck.total, self.deck.doing = done, len(cells), f"running the cell {cell.id}"
                said(f"[{done + 1}/{len(cells)}] {self.deck.doing}")
                await client.async_execute_cell(cell, place, store_history=False)
        except CellExecutionError as error:
            raise DeckError(f"the cell {cell.id} failed: {error.ename}: {error.evalue}") from None
        except CellTimeoutError:
            raise DeckError(f"the cell {cell.id} was not done after {CELL_SECONDS:g} s") from None
        except (DeadKernelError, RuntimeError) as error:
            raise DeckError(f"the kernel died: {error}") from None
        finally:
            if client.kc:
                client.kc.stop_channels()
        return self.page_config()


class Page(PageHandler):
    """The deck; while it is not ready, a page that says how far it is."""

    @allow_unauthenticated  # else Jupyter sends to a page for passwords, which there is none of
    def get(self) -> None:
        """The page for who has the token; 403 for others."""
        if not self.current_user:
            raise HTTPError(403, "This deck needs its token: use the address that the terminal shows.")
        if self.get_query_argument("token", None):
            return self.redirect("/")  # the cookie holds it now; nobody should read it from the wall
        deck = self.settings["deck"]
        self.set_header("Cache-Control", "no-store")
        if deck.html is None:
            waiting = (TEMPLATES / "deck" / "waiting.html").read_text(encoding="utf-8")
            return self.finish(waiting.replace("{title}", escape(deck.title)))
        return self.finish(deck.html)


class Progress(PageHandler):
    """How far the making of the deck has come, for the waiting page."""

    @allow_unauthenticated
    def get(self) -> None:
        """JSON: ready or not, the share that is done, what is being done; 403 without the token."""
        if not self.current_user:
            raise HTTPError(403)
        deck = self.settings["deck"]
        self.finish(json.dumps({"ready": deck.html is not None, "share": deck.done / deck.total, "doing": deck.doing}))
