"""What tools/deck/voila_parts.py takes from Voilà and jupyter_server is still as it expects.

Nothing is served here: whoever pins new versions learns from the failure what has changed, and which of our lines rests
on it. That the deck works is for test_present.py.
"""

import inspect
import json
import re
from importlib.metadata import version
from pathlib import Path

import pytest
from jupyter_server.base.handlers import FileFindHandler, JupyterHandler
from jupyter_server.services.kernels.connection.base import (
    deserialize_binary_message,
    deserialize_msg_from_ws_v1,
    serialize_binary_message,
    serialize_msg_to_ws_v1,
)
from jupyter_server.services.kernels.handlers import KernelHandler
from tornado.websocket import WebSocketHandler
from voila.app import Voila
from voila.configuration import VoilaConfiguration
from voila.paths import collect_static_paths
from voila.static_file_handler import MultiStaticFileHandler
from voila.tornado.kernel_websocket_handler import VoilaKernelWebsocketHandler
from voila.utils import get_page_config

from tools.deck import voila_parts
from tools.deck.voila_parts import EXTENSIONS, MESSAGES, Channels, KernelModel, WidgetServer, looks_only

NOW = f"(Voilà {version('voila')}, jupyter_server {version('jupyter_server')})"


@pytest.fixture
def server(tmp_path):
    """Not listening, without a kernel."""
    server = WidgetServer(tmp_path, ip="127.0.0.1")
    yield server
    Path(server.connection_dir).rmdir()


@pytest.fixture
def settings(server):
    return Voila.init_settings(server)


@pytest.mark.parametrize(
    ("function", "takes", "ours"),
    [
        (Voila.init_settings, "self", "WidgetServer.listen calls it"),
        (Voila.init_handlers, "self", "WidgetServer overrides it"),
        (VoilaKernelWebsocketHandler.write_message, "self message binary", "Channels overrides it"),
        (WebSocketHandler.write_message, "self message binary", "Channels calls it for messages of the older form"),
        (KernelHandler.get, "self kernel_id", "KernelModel inherits it"),
        (KernelHandler.delete, "self kernel_id", "KernelModel refuses it"),
        (JupyterHandler.write_error, "self status_code kwargs", "Plain overrides it"),
        (MultiStaticFileHandler.initialize, "self paths default_filename", "WidgetServer.init_handlers gives `paths`"),
        (FileFindHandler.initialize, "self path default_filename no_cache_paths …", "WidgetServer.init_handlers"),
        (collect_static_paths, "app_names template_name …", "WidgetServer.__init__ calls it"),
        (deserialize_msg_from_ws_v1, "ws_msg", "looks_only calls it"),
        (deserialize_binary_message, "bmsg", "looks_only calls it"),
        (VoilaKernelWebsocketHandler.on_message, "self ws_message", "Channels overrides it"),
        (get_page_config, "base_url settings log voila_configuration", "WidgetServer.page_config calls it"),
    ],
    ids=lambda value: getattr(value, "__qualname__", ""),
)
def test_a_function_takes_what_it_took(function, takes, ours):
    found, expected = list(inspect.signature(function).parameters), takes.removesuffix(" …").split()
    kept = found[: len(expected)] if takes.endswith("…") else found
    assert kept == expected, f"{function.__qualname__} takes {found}, no longer {takes}; {ours} {NOW}"


@pytest.mark.parametrize(
    ("owner", "names"),
    [
        (Voila, ["token", "ip", "port", "root_dir", "connection_dir", "static_paths", "voila_configuration"]),
        (VoilaConfiguration, ["kernel_spec_manager_class", "extension_allowlist"]),
    ],
)
def test_a_setting_is_still_one(owner, names):
    gone = [name for name in names if name not in owner.class_traits() and not hasattr(owner, name)]
    # Three of them are plain attributes, made when Voilà starts; then its own code has to use them.
    source = inspect.getsource(inspect.getmodule(owner))
    gone = [name for name in gone if f"self.{name}" not in source]
    assert gone == [], f"{owner.__name__} has no {', '.join(gone)}; WidgetServer.__init__ sets it {NOW}"


def test_the_settings_hold_what_the_handlers_need(settings, server):
    needed = {"kernel_manager", "identity_provider", "authorizer", "cookie_secret", "kernel_websocket_connection_class"}
    lacking = (needed | {"allow_remote_access", "base_url"}) - settings.keys()
    assert not lacking, f"Voila.init_settings gives no {lacking}; WidgetServer.listen counts on it {NOW}"
    assert settings["kernel_manager"] is server.kernel_manager, f"WidgetServer uses another kernel manager {NOW}"
    assert settings["identity_provider"].token == server.token, f"the token is no longer Voila.token {NOW}"


def test_the_messages_are_those_of_voila_but_the_one_that_ends_the_kernel(settings):
    theirs = set(settings["kernel_manager"].allowed_message_types)
    told = f"Voilà lets {sorted(theirs)} pass: decide what of it is for a page, in voila_parts.MESSAGES {NOW}"
    assert theirs - set(MESSAGES) == {"shutdown_request"} and set(MESSAGES) <= theirs, told
    # Jupyter reads the list for every message, from the kernel manager; an empty one would let all pass.
    connection = inspect.getsource(settings["kernel_websocket_connection_class"].handle_incoming_message)
    assert ".allowed_message_types" in connection and '["msg_type"] not in' in connection, (
        f"{settings['kernel_websocket_connection_class'].__name__}.handle_incoming_message no longer reads "
        f"allowed_message_types; MESSAGES would be without effect {NOW}"
    )
    assert MESSAGES and not {"execute_request", "shutdown_request", "interrupt_request", "debug_request"} & {*MESSAGES}


@pytest.mark.parametrize("method", ["start_kernel", "get_kernel", "shutdown_kernel", "shutdown_all"])
def test_the_kernel_manager_does_what_it_did(settings, method):
    found = getattr(settings["kernel_manager"], method, None)
    assert found, f"the kernel manager has no {method}; WidgetServer calls it {NOW}"
    if method != "get_kernel":
        assert inspect.iscoroutinefunction(found), f"{method} is no coroutine; WidgetServer awaits it {NOW}"
    named = {"start_kernel": "kwargs", "get_kernel": "kernel_id", "shutdown_kernel": "now", "shutdown_all": "now"}[
        method
    ]
    assert named in inspect.signature(found).parameters, f"{method} takes no {named} {NOW}"


CONTROL, WIDGET = {"target_name": "jupyter.widget.control"}, {"target_name": "jupyter.widget"}


@pytest.mark.parametrize(
    ("kind", "content", "looks"),
    [
        ("kernel_info_request", {}, True),
        ("comm_info_request", WIDGET, True),
        ("comm_open", CONTROL, True),
        ("comm_open", WIDGET, False),
        ("comm_msg", {"data": {"method": "request_states"}}, True),
        ("comm_msg", {"data": {"method": "request_state"}}, True),
        ("comm_msg", {"data": {"method": "update", "state": {"value": 1}}}, False),
        ("comm_msg", {"data": {"method": "custom", "content": {"rest": True}}}, False),
        ("comm_msg", {"data": {}}, False),
        ("comm_close", {}, False),
        ("execute_request", {}, False),
    ],
)
def test_who_looks_on_may_ask_how_the_widgets_are_and_no_more(kind, content, looks):
    header = {"msg_type": kind, "date": None}
    message = {"header": header, "parent_header": {}, "metadata": {}, "content": content}
    parts = [json.dumps(message[part]).encode() for part in message]
    framed = serialize_msg_to_ws_v1(parts, "shell")
    assert looks_only(framed, "v1.kernel.websocket.jupyter.org") is looks
    assert looks_only(json.dumps(message | {"channel": "shell"}), None) is looks
    assert looks_only(serialize_binary_message(message | {"buffers": [b"1"]}), None) is looks


def test_the_handlers_are_built_as_they_were():
    mro = Channels.__mro__
    after = mro[mro.index(VoilaKernelWebsocketHandler) + 1 :]
    writes = next(owner for owner in after if "write_message" in vars(owner))
    told = f"after Voilà's, {writes.__name__}.write_message is called; Channels expects tornado's or Jupyter's {NOW}"
    assert issubclass(writes, WebSocketHandler) or writes.__module__.startswith("jupyter_server"), told
    assert hasattr(WebSocketHandler, "selected_subprotocol"), f"tornado has no selected_subprotocol {NOW}"
    for handler in (KernelModel, Channels):
        known = [name for name in ("post", "put", "patch") if name in vars(handler.__mro__[2])]
        assert known == [], f"{handler.__mro__[2].__name__} answers {known}: may a page do that? {NOW}"


def test_voilas_scripts_still_look_for_what_the_page_holds(server):
    folders = [Path(path) for path in server.static_paths if Path(path).is_dir()]
    for file in ("voila.js", "labvariables.css"):
        there = any((folder / file).is_file() for folder in folders)
        assert there, f"no {file} in {folders}; assets/deck/live.html.j2 asks for it {NOW}"
    manager = [Path(path) / EXTENSIONS[0] / "static" for path in server.labextensions_path]
    code = [path.read_text(encoding="utf-8") for folder in [*folders, *manager] for path in folder.glob("*.js")]
    for word in ("jupyter-config-data", "application/vnd.voila.cell-output+json", "kernelId", "fullLabextensionsUrl"):
        used = any(word in text for text in code)
        assert used, f"Voilà's scripts say nothing of {word}; assets/deck/live.html.j2 and page_config give it {NOW}"


def test_the_page_config_names_the_extensions(server, settings):
    config = get_page_config(
        base_url="/", settings=settings, log=server.log, voila_configuration=server.voila_configuration
    )
    names = {each["name"] for each in config["federated_extensions"]}
    assert names == set(EXTENSIONS), f"{names} of {EXTENSIONS} are installed and allowed {NOW}"
    assert config["baseUrl"] == "/" and config["fullLabextensionsUrl"] == "/voila/labextensions", config


def test_nothing_else_of_the_deck_rests_on_them():
    here = Path(voila_parts.__file__)
    for path in here.parent.parent.rglob("*.py"):
        if path != here:
            found = re.search(r"^\s*(from|import) (voila|jupyter_server)\b", path.read_text(encoding="utf-8"), re.M)
            assert not found, f"{path}: {found[0]}"
