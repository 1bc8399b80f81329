"""What a live deck takes from Voilà and jupyter_server, as far as it rests on how they are made inside.

Voilà serves the widgets of a page. The rest of it is left out: its own pages, anyone's configuration files, and every
way to run code or to end the kernel. tests/tools/deck/test_voila_parts.py says what has changed when they have.
"""

import asyncio
import contextlib
import json
import logging
import secrets
import shutil
import socket
import subprocess
import tempfile
from html import escape
from pathlib import Path

import tornado.web
from jupyter_client.manager import AsyncKernelManager
from jupyter_server.auth.decorator import allow_unauthenticated
from jupyter_server.base.handlers import FileFindHandler, JupyterHandler
from jupyter_server.services.kernels.connection.base import deserialize_binary_message, deserialize_msg_from_ws_v1
from jupyter_server.services.kernels.handlers import KernelHandler
from tornado.httpserver import HTTPServer
from tornado.websocket import WebSocketClosedError
from voila.app import Voila
from voila.configuration import VoilaConfiguration
from voila.paths import collect_static_paths
from voila.static_file_handler import MultiStaticFileHandler
from voila.tornado.kernel_websocket_handler import VoilaKernelWebsocketHandler
from voila.utils import get_page_config

from tools.refresh import RunningPython

__all__ = ["PageHandler", "WidgetServer", "allow_unauthenticated"]  # the last: else Jupyter asks for a password

KERNEL = r"(?P<kernel_id>[\w-]+)"
# Of all that is installed for JupyterLab: Voilà's widget manager, the classes of ipywidgets, anywidget.
EXTENSIONS = ["@voila-dashboards/widgets-manager8", "@jupyter-widgets/jupyterlab-manager", "anywidget"]
# What a page may send to the kernel: what widgets need. No code to run, and no shutdown_request, which Voilà lets pass.
MESSAGES = ["comm_open", "comm_close", "comm_msg", "comm_info_request", "kernel_info_request"]


class WidgetServer(Voila):
    """One kernel and all that the widgets of a page need of it; a page is let in by its `token`.

    folder   where the kernel starts
    ip       the address at which the socket that `listen` gets listens
    """

    def __init__(self, folder: Path, *, ip: str):
        super().__init__(token=secrets.token_hex(24), ip=ip, root_dir=str(folder), log_level="ERROR")
        self.config.KernelManager.autorestart = False  # a new one would know nothing of the labs, and nobody be told
        self.voila_configuration = VoilaConfiguration(
            parent=self, kernel_spec_manager_class=RunningPython, extension_allowlist=EXTENSIONS
        )
        self.connection_dir = tempfile.mkdtemp(prefix="deck-")
        self.static_paths = collect_static_paths(["voila"], "base")
        self.kernel_id: str | None = None
        self.http: HTTPServer | None = None

    def listen(self, listening: socket.socket, pages: list[tuple], **settings) -> None:
        """Answer from now on what comes to this socket; the attribute `port` names its port.

        The (pattern, handler) `pages` are served too, and find `settings` in theirs. One of them, `may_move`, is called
        with the name of a page's user: whether what it sends may move the widgets.
        """
        settings |= self.init_settings()
        settings["allow_remote_access"] = self.ip not in ("127.0.0.1", "localhost", "::1")
        self.kernel_manager.allowed_message_types = MESSAGES
        logging.getLogger("tornado").setLevel(logging.ERROR)  # not every visitor without a token in the terminal
        listening.setblocking(False)
        self.port = listening.getsockname()[1]
        self.app = tornado.web.Application([*self.init_handlers(), *pages], **settings)
        self.http = HTTPServer(self.app)
        self.http.add_socket(listening)

    def init_handlers(self) -> list[tuple]:
        """In place of all of Voilà's."""
        return [
            (rf"/api/kernels/{KERNEL}", KernelModel),
            (rf"/api/kernels/{KERNEL}/channels", Channels),
            (r"/voila/static/(.*)", MultiStaticFileHandler, {"paths": self.static_paths}),
            (r"/voila/labextensions/(.*)", Extensions, {"path": self.labextensions_path, "no_cache_paths": ["/"]}),
            (r"/voila/api/shutdown/.*", Farewell),
        ]

    async def start_kernel(self) -> AsyncKernelManager:
        """Start the one kernel; one that was there before ends. Raises what its provisioner raises."""
        if self.kernel_id in self.kernel_manager:
            await self.kernel_manager.shutdown_kernel(self.kernel_id, now=True)
        self.kernel_id = await self.kernel_manager.start_kernel(kernel_name="python3", stderr=subprocess.DEVNULL)
        return self.kernel_manager.get_kernel(self.kernel_id)

    def page_config(self) -> dict:
        """What Voilà's scripts look for in a page, `kernelId` among it."""
        config = get_page_config(
            base_url="/", settings=self.app.settings, log=self.log, voila_configuration=self.voila_configuration
        )
        return config | {"kernelId": self.kernel_id}

    async def is_alive(self) -> bool:
        """Whether the kernel's process runs."""
        return await self.kernel_manager.get_kernel(self.kernel_id).is_alive()

    async def close(self) -> None:
        """End the kernel and listen no more."""
        # Pages that are still open have messages on their way, to sockets and a kernel that end now: no news.
        logging.getLogger("tornado").setLevel(logging.CRITICAL)
        asyncio.get_running_loop().set_exception_handler(lambda loop, context: None)
        if self.http:
            self.http.stop()
        await self.kernel_manager.shutdown_all(now=True)
        shutil.rmtree(self.connection_dir, ignore_errors=True)


class Plain:
    """An error is told in a line: Jupyter's own page for it would ask for files that are not served here."""

    def write_error(self, status_code: int, **details) -> None:
        error = details.get("exc_info", (None, None, None))[1]
        self.finish(escape(getattr(error, "log_message", None) or f"{status_code}: {self._reason}"))


class PageHandler(Plain, JupyterHandler):
    """Of the deck's own pages; `current_user` is None for a visitor without the token."""


class KernelModel(Plain, KernelHandler):
    """What the kernel is; Jupyter's own handler also ends it."""

    def delete(self, kernel_id: str) -> None:
        raise tornado.web.HTTPError(405, "Ctrl-C in the terminal ends the deck.")


def looks_only(message: str | bytes, protocol: str | None) -> bool:
    """Whether a page's message to the kernel asks how the widgets are, and changes none of them."""
    if protocol:
        _, (header, _, _, content, *_) = deserialize_msg_from_ws_v1(message)
        kind, content = json.loads(header)["msg_type"], json.loads(content)
    else:
        told = deserialize_binary_message(message) if isinstance(message, bytes) else json.loads(message)
        kind, content = told["header"]["msg_type"], told["content"]
    if kind == "comm_open":
        return content["target_name"] == "jupyter.widget.control"
    if kind == "comm_msg":
        return content["data"].get("method") in ("request_state", "request_states")
    return kind in ("kernel_info_request", "comm_info_request")


class Channels(Plain, VoilaKernelWebsocketHandler):
    """The way to the kernel, for widgets only: it passes MESSAGES, and of who may not move them what looks only."""

    def on_message(self, ws_message: str | bytes) -> None:
        if self.settings["may_move"](self.current_user.username) or looks_only(ws_message, self.selected_subprotocol):
            super().on_message(ws_message)

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

    def ping(self, data: str | bytes = b"") -> None:
        with contextlib.suppress(WebSocketClosedError):  # as above, and asked for by a timer
            super().ping(data)


class Extensions(Plain, FileFindHandler):
    """Voilà's and anywidget's scripts."""


class Farewell(tornado.web.RequestHandler):
    """Voilà's page asks for the end of its kernel when it is closed or loaded anew. This one is needed on."""

    def post(self) -> None:
        self.set_status(204)
