"""The server of a live deck: a kernel, Voilà's part for widgets, and one page, all from this machine.

Voilà by itself runs the notebook anew in a new kernel for every page that is opened: a reload would lose what the labs
show, and the speaker view, which opens the deck twice more, would start two more kernels. So here one kernel runs once,
and every page of the deck, those in the speaker view too, is a view of it.
"""

import asyncio
import contextlib
import json
import socket
from collections.abc import Callable
from dataclasses import dataclass, field
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
    """What the page's handler shows: the deck, or how far its making has come; and who may move its labs.

    kernel   "starting", "alive", "dead"; "failed": it did not start again, and `doing` says why
    leader   the name under which Jupyter knows the browser that opened the deck first
    shared   whether all others may move the labs, too
    again    set when the leader asks for a new kernel
    """

    title: str
    shared: bool = False
    html: str | None = None
    done: int = 0
    total: int = 1
    doing: str = "starting a kernel"
    kernel: str = "starting"
    leader: str | None = None
    again: asyncio.Event = field(default_factory=asyncio.Event)

    def may_move(self, name: str) -> bool:
        """Whether the browser of this name may move the labs."""
        return self.shared or name == self.leader

    def restart(self) -> None:
        """Ask for a new kernel, unless one starts just now."""
        if self.kernel != "starting":
            self.again.set()


class DeckServer(WidgetServer):
    """Serves one deck and the kernel behind it."""

    def __init__(self, deck: Deck, folder: Path, *, ip: str):
        super().__init__(folder, ip=ip)
        self.deck = deck

    def listen(self, listening: socket.socket) -> None:
        """Answer from now on what comes to this socket."""
        pages = [(r"/progress", Progress), (r"/(restart|share)", Wish), (r"/", Page)]
        super().listen(listening, pages, deck=self.deck, may_move=self.deck.may_move, deck_server=self)

    async def run(self, notebook: NotebookNode, cells: list[int], *, said: Callable[[str], None]) -> dict:
        """Start a kernel in place of the one that was, run the cells; return what a page needs to reach the kernel.

        The cells' outputs go into `notebook`, and `said(line)` is called before each. Raises DeckError when the kernel
        does not start or dies, a cell fails or takes too long.
        """
        self.deck.kernel, self.deck.done, self.deck.doing = "starting", 0, "starting a kernel"
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

    async def until_restart(self, *, said: Callable[[str], None]) -> None:
        """Wait until the leader asks for a new kernel; `said(line)` is called if this one dies before."""
        deck = self.deck
        while not deck.again.is_set():
            if deck.kernel == "alive" and not await self.is_alive():
                deck.kernel = "dead"
                said("The kernel has died: the slides stay, the labs stand still. R on the slides starts it again.")
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(deck.again.wait(), 1)
        deck.again.clear()


class Page(PageHandler):
    """The deck; while it is not ready, a page that says how far it is."""

    @allow_unauthenticated  # else Jupyter sends to a page for passwords, which there is none of
    def get(self) -> None:
        """The page for who has the token; 403 for others."""
        if not self.current_user:
            raise HTTPError(403, "This deck needs its token: use the address that the terminal shows.")
        deck = self.settings["deck"]
        deck.leader = deck.leader or self.current_user.username
        if self.get_query_argument("token", None):
            return self.redirect("/")  # the cookie holds it now; nobody should read it from the wall
        self.set_header("Cache-Control", "no-store")
        self.xsrf_token  # noqa: B018 - sets the cookie without which the page could POST nothing
        if deck.html is None:
            waiting = (TEMPLATES / "deck" / "waiting.html").read_text(encoding="utf-8")
            return self.finish(waiting.replace("{title}", escape(deck.title)))
        return self.finish(deck.html)


class Progress(PageHandler):
    """How far the making of the deck has come, and how its kernel is: the waiting page and the deck ask for it."""

    @allow_unauthenticated
    def get(self) -> None:
        """JSON; 403 without the token."""
        if not self.current_user:
            raise HTTPError(403)
        deck, name = self.settings["deck"], self.current_user.username
        told = {"ready": deck.html is not None, "share": deck.done / deck.total, "doing": deck.doing}
        told |= {"kernel": deck.kernel, "id": self.settings["deck_server"].kernel_id}
        self.finish(json.dumps(told | {"leads": name == deck.leader, "moves": deck.may_move(name)}))


class Wish(PageHandler):
    """What the leader may ask for: a new kernel, or that others may move the labs, or no longer."""

    @allow_unauthenticated
    def post(self, what: str) -> None:
        """JSON, whether others may move the labs; 403 for all but the leader."""
        deck = self.settings["deck"]
        if not self.current_user or self.current_user.username != deck.leader:
            raise HTTPError(403, "Only the browser that opened this deck first may do that.")
        if what == "restart":
            deck.restart()
        else:
            deck.shared = not deck.shared
        self.finish({"shared": deck.shared})
