"""The server of a live deck: a kernel, Voilà's part for widgets, and one page, all from this machine.

Voilà by itself runs the notebook anew in a new kernel for every page that is opened: a reload would lose what the labs
show, and the speaker view, which opens the deck twice more, would start two more kernels. So here one kernel runs once,
and every page of the deck, those in the speaker view too, is a view of it.
"""

import asyncio
import json
import logging
import secrets
import shutil
import subprocess
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from html import escape
from pathlib import Path

import tornado.web
from jupyter_server.auth.decorator import allow_unauthenticated
from jupyter_server.base.handlers import FileFindHandler, JupyterHandler
from jupyter_server.services.kernels.handlers import KernelHandler
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError, CellTimeoutError, DeadKernelError
from nbformat import NotebookNode
from tornado.httpserver import HTTPServer
from tornado.netutil import bind_sockets
from tornado.websocket import WebSocketClosedError
from voila.app import Voila
from voila.configuration import VoilaConfiguration
from voila.paths import collect_static_paths
from voila.static_file_handler import MultiStaticFileHandler
from voila.tornado.kernel_websocket_handler import VoilaKernelWebsocketHandler
from voila.utils import get_page_config

from tools.refresh import CELL_SECONDS, RunningPython

KERNEL = r"(?P<kernel_id>[\w-]+)"
# Of all that is installed for JupyterLab: Voilà's widget manager, the classes of ipywidgets, anywidget.
EXTENSIONS = ["@voila-dashboards/widgets-manager8", "@jupyter-widgets/jupyterlab-manager", "anywidget"]


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


class DeckServer(Voila):
    """Voilà without its own pages and without anyone's configuration files."""

    def __init__(self, deck: Deck, folder: Path, *, ip: str, port: int):
        super().__init__(token=secrets.token_hex(24), ip=ip, port=port, root_dir=str(folder), log_level="ERROR")
        self.config.KernelManager.autorestart = False  # a new one would know nothing of the labs, and nobody be told
        self.deck = deck
        self.voila_configuration = VoilaConfiguration(
            parent=self, kernel_spec_manager_class=RunningPython, extension_allowlist=EXTENSIONS
        )
        self.connection_dir = tempfile.mkdtemp(prefix="deck-")
        self.static_paths = collect_static_paths(["voila"], "base")

    def listen(self) -> None:
        """Answer from now on. Raises OSError when the port is taken; port 0 takes a free one."""
        settings = self.init_settings() | {"allow_remote_access": self.ip not in ("127.0.0.1", "localhost", "::1")}
        settings["deck"] = self.deck
        logging.getLogger("tornado").setLevel(logging.ERROR)  # not every visitor without a token in the terminal
        sockets = bind_sockets(self.port, self.ip)
        self.port = sockets[0].getsockname()[1]
        self.app = tornado.web.Application(self.init_handlers(), **settings)
        self.http = HTTPServer(self.app)
        self.http.add_sockets(sockets)

    def init_handlers(self) -> list:
        return [
            (rf"/api/kernels/{KERNEL}", KernelHandler),
            (rf"/api/kernels/{KERNEL}/channels", Channels),
            (r"/voila/static/(.*)", MultiStaticFileHandler, {"paths": self.static_paths}),
            (r"/voila/labextensions/(.*)", Extensions, {"path": self.labextensions_path, "no_cache_paths": ["/"]}),
            (r"/voila/api/shutdown/.*", Farewell),
            (r"/progress", Progress),
            (r"/", Page),
        ]

    async def run(self, notebook: NotebookNode, cells: list[int], *, said: Callable) -> dict:
        """Start the kernel, run these cells in place; return what a page needs to reach the kernel.

        `said(line)` is called before each cell. Raises DeckError when the kernel does not start or dies, a cell fails
        or takes too long.
        """
        try:
            kernel_id = await self.kernel_manager.start_kernel(kernel_name="python3", stderr=subprocess.DEVNULL)
        except Exception as error:  # whatever a kernel's provisioner raises
            raise DeckError(f"no kernel: {error}") from error
        kernel = self.kernel_manager.get_kernel(kernel_id)
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
        config = get_page_config(
            base_url="/", settings=self.app.settings, log=self.log, voila_configuration=self.voila_configuration
        )
        return config | {"kernelId": kernel_id}

    async def kernel_ends(self) -> None:
        """Wait until the kernel is dead, which it should never be."""
        (kernel_id,) = self.kernel_manager.list_kernel_ids()
        while await self.kernel_manager.get_kernel(kernel_id).is_alive():
            await asyncio.sleep(1)

    async def close(self) -> None:
        # Pages that are still open have messages on their way, to sockets and a kernel that end now: no news.
        logging.getLogger("tornado").setLevel(logging.CRITICAL)
        asyncio.get_running_loop().set_exception_handler(lambda loop, context: None)
        self.http.stop()
        await self.kernel_manager.shutdown_all(now=True)
        shutil.rmtree(self.connection_dir, ignore_errors=True)


class Plain:
    """An error is told in a line: Jupyter's own page for it would ask for files that are not served here."""

    def write_error(self, status_code: int, **details) -> None:
        error = details.get("exc_info", (None, None, None))[1]
        self.finish(escape(getattr(error, "log_message", None) or f"{status_code}: {self._reason}"))


class Channels(Plain, VoilaKernelWebsocketHandler):
    """The way to the kernel, for widgets only: it takes no code to run."""

    def write_message(self, message, binary: bool = False):
        # Voilà reads every binary message as one of protocol v1. To a page that asked for no protocol Jupyter sends the
        # older form, whose first bytes Voilà would take for billions of parts: it would fill the memory with them.
        plain = isinstance(message, bytes) and self.selected_subprotocol is None
        try:
            sent = (super(VoilaKernelWebsocketHandler, self) if plain else super()).write_message(message, binary)
        except WebSocketClosedError:  # the page has gone, and Jupyter has not noticed yet
            return None
        if sent is not None:
            # Jupyter never asks what came of it, so asyncio would tell the terminal of every page that went away first.
            sent.add_done_callback(lambda done: done.cancelled() or done.exception())
        return sent


class Extensions(Plain, FileFindHandler):
    """Voilà's and anywidget's scripts."""


class Page(Plain, JupyterHandler):
    """The deck; while it is not ready, a page that says how far it is."""

    @allow_unauthenticated  # else Jupyter sends to a page for passwords, which there is none of
    def get(self) -> None:
        if not self.current_user:
            raise tornado.web.HTTPError(403, "This deck needs its token: use the address that the terminal shows.")
        if self.get_query_argument("token", None):
            return self.redirect("/")  # the cookie holds it now; nobody should read it from the wall
        deck = self.settings["deck"]
        self.set_header("Cache-Control", "no-store")
        if deck.html is None:
            return self.finish(WAITING.replace("{title}", escape(deck.title)))
        return self.finish(deck.html)


class Progress(Plain, JupyterHandler):
    """How far the making of the deck has come, for the waiting page."""

    @allow_unauthenticated
    def get(self) -> None:
        if not self.current_user:
            raise tornado.web.HTTPError(403)
        deck = self.settings["deck"]
        self.finish(json.dumps({"ready": deck.html is not None, "share": deck.done / deck.total, "doing": deck.doing}))


class Farewell(tornado.web.RequestHandler):
    """Voilà's page asks for the end of its kernel when it is closed or loaded anew. This one is needed on."""

    def post(self) -> None:
        self.set_status(204)


WAITING = """<!DOCTYPE html><html lang="en"><meta charset="utf-8"><title>{title}</title><link rel="icon" href="data:,">
<style>
  body { font: 28px "DejaVu Sans", sans-serif; display: grid; place-content: center; place-items: center; height: 95vh }
  progress { width: 40vw }
  @media (prefers-color-scheme: dark) { body { background: #15181d; color: #eceef1 } }
</style>
<h1>{title}</h1><p role="status">starting a kernel …</p><progress max="1" value="0" aria-label="progress"></progress>
<script>
  const ask = async () => {
    try {
      const { ready, share, doing } = await (await fetch("progress")).json();
      if (ready) return location.reload();
      document.querySelector("p").textContent = doing + " …";
      document.querySelector("progress").value = share;
    } catch { document.querySelector("p").textContent = "The deck was closed; the terminal says why."; }
    setTimeout(ask, 300);
  };
  ask();
</script></html>"""
