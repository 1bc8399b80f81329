"""A notebook as a live deck, on which its labs work: `python -m tools.deck.present NUMBER`."""

import argparse
import asyncio
import contextlib
import copy
import html
import os
import shutil
import signal
import socket
import sys
import tempfile
import threading
import time
import webbrowser
from collections.abc import Iterator
from pathlib import Path

from tools.notebooks import UnknownLesson, find_any

ROOT = Path(__file__).resolve().parents[2]
PORT = 8866  # Voilà's; when it is taken, any free one
HELP = "s: notes · 1 to 9: count hands · o: overview · f: full screen · ?: all keys · Ctrl-C here ends the deck"


class Trouble(Exception):
    """What is wrong and what to do about it, in one line."""


def open_port(wanted: int | None, ip: str) -> socket.socket:
    """A socket that listens on the wanted port, on the usual one or on a free one.

    It stays open until the server takes it over: of two decks that start at once each has a port of its own. Trouble if
    the wanted port is taken or nobody may listen there.
    """
    family = socket.AF_INET6 if ":" in ip else socket.AF_INET
    for port in (wanted,) if wanted is not None else (PORT, 0):
        with contextlib.suppress(OSError, OverflowError):
            return socket.create_server((ip, port), family=family)
    if wanted is None:
        raise Trouble(f"cannot listen on {ip}: --ip takes an address of this machine")
    raise Trouble(f"port {wanted} is in use, or not yours: name another one, or none, and a free one is taken")


def reach(ip: str) -> str:
    """The host part of the address at which this machine's browser finds a server that listens on `ip`."""
    here = {"0.0.0.0": "127.0.0.1", "localhost": "127.0.0.1", "::": "::1"}.get(ip, ip)
    return f"[{here}]" if ":" in here else here


@contextlib.contextmanager
def opening_file(address: str, folder: Path) -> Iterator[Path]:
    """A page in `folder`, for this user's eyes only, that leads to `address`; it goes when the block ends.

    The address holds the token, and everyone on a machine can read the command line that starts a browser with it.
    Not in the system's folder for temporary files: a browser that is installed as a snap has one of its own.
    """
    try:
        folder.mkdir(exist_ok=True)
        private = tempfile.mkdtemp(prefix="open-deck-", dir=folder)
    except OSError:  # the workshop's folder is read-only, say
        private = tempfile.mkdtemp(prefix="open-deck-")
    file, there = Path(private, "open.html"), html.escape(address)
    try:
        with os.fdopen(os.open(file, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600), "w", encoding="utf-8") as page:
            page.write(
                f'<!DOCTYPE html><html lang="en"><meta charset="utf-8"><title>To the slides</title>'
                f'<meta http-equiv="refresh" content="0; url={there}"><p><a href="{there}">To the slides</a>'
            )
        yield file
    finally:
        shutil.rmtree(private, ignore_errors=True)


async def present(
    path: Path,
    listening: socket.socket,
    *,
    ip: str,
    run_all: bool,
    browser: bool,
    began: float,
    shared: bool = False,
    sections: str | None = None,
) -> None:
    """Serve the deck until the task is cancelled. Raises Trouble when a cell fails or the kernel does not start."""
    try:
        from tools.deck import parts
        from tools.deck.needed_cells import MissingName
        from tools.deck.page import deck_resources
        from tools.deck.server import Deck, DeckError, DeckServer
    except ModuleNotFoundError as error:
        raise Trouble(f"{error.name} is missing: `python3 workshop.py present` installs what is needed") from None
    try:
        notebook = parts.read(path)
        places = parts.shown(notebook, sections)
        cells, again = parts.to_run(notebook, places, every=run_all)
    except (MissingName, SyntaxError) as error:
        raise Trouble(f"{path.name}: {error}; --run-all runs every cell") from None
    except ValueError as error:
        raise Trouble(str(error)) from None
    deck = Deck(title=path.stem, shared=shared)
    server = DeckServer(deck, path.parent, ip=ip)
    at_the_end = contextlib.ExitStack()
    try:
        server.listen(listening)
        address = f"http://{reach(ip)}:{server.port}/?token={server.token}"
        say(f"The slides open in your browser; if they do not, open\n\n    {address}\n")
        if browser:
            file = at_the_end.enter_context(opening_file(address, ROOT / "build"))
            threading.Thread(target=webbrowser.open, args=(file.as_uri(),), daemon=True).start()
        resources = asyncio.create_task(asyncio.to_thread(deck_resources, notebook))  # while the kernel starts
        await show(server, notebook, cells, places, path.parent, resources)
        say(f"Ready after {time.monotonic() - began:.1f} s.\n{HELP}")
        while True:
            await server.until_restart(said=say)
            try:
                await show(server, notebook, again, places, path.parent, resources)
                say("The labs move again.")
            except DeckError as error:
                deck.kernel, deck.doing = "failed", str(error).splitlines()[0]
                say(f"{deck.doing}. R on the slides tries once more.")
    except DeckError as error:
        raise Trouble(f"{path.name}: {str(error).splitlines()[0]}") from None
    finally:
        at_the_end.close()
        await server.close()


async def show(server, notebook, cells: list[int], places: list[int], folder: Path, resources: asyncio.Task) -> None:
    """Run the cells in a new kernel and serve the deck of the cells at `places`. Raises DeckError."""
    from tools.deck.live_page import live_page

    deck, config = server.deck, await server.run(notebook, cells, said=say)
    deck.done, deck.doing = deck.total, "drawing the slides"
    say("Drawing the slides")
    page = copy.deepcopy(notebook)  # which is drawn once more when the kernel has died
    page.cells = [page.cells[place] for place in places]
    deck.html = await asyncio.to_thread(live_page, page, folder, await resources | {"live": config})
    deck.kernel = "alive"


def say(text: str) -> None:
    """Print a line at once, also where the terminal is a pipe."""
    print(text, flush=True)


def main(arguments: list[str] | None = None, *, root: Path = ROOT) -> int:
    """Present until Ctrl-C: exit code 0; 2 when there is nothing to present, with one line that says why."""
    began = time.monotonic()
    parser = argparse.ArgumentParser(prog="workshop.py present", description=(__doc__ or "").partition(":")[0])
    parser.add_argument("number", help="of a notebook, such as 1, 01 or 02a; or the path of any notebook")
    parser.add_argument("--sections", help="only these, by number or first words: 1,4,bug-clinic")
    parser.add_argument("--run-all", action="store_true", help="run every cell first, not only labs and what they need")
    parser.add_argument("--no-browser", action="store_true", help="only print the address")
    parser.add_argument("--port", type=int, help=f"to listen on, instead of {PORT} or a free one")
    parser.add_argument("--ip", default="127.0.0.1", help="address to listen on; 0.0.0.0 lets in whoever has the token")
    parser.add_argument("--shared", action="store_true", help="every page of it moves the labs, not only the first")
    options = parser.parse_args(arguments)
    signal.signal(signal.SIGINT, signal.default_int_handler)  # also where a shell started this in the background
    signal.signal(signal.SIGTERM, lambda *_: signal.raise_signal(signal.SIGINT))
    browser = not options.no_browser
    try:
        path = find_any([options.number], root / "notebooks")[0]
        say(f"Preparing {path.stem}")
        how = {"ip": options.ip, "run_all": options.run_all, "shared": options.shared}
        with open_port(options.port, options.ip) as listening:
            asyncio.run(present(path, listening, **how, sections=options.sections, browser=browser, began=began))
    except (Trouble, UnknownLesson, OSError) as trouble:
        print(f"workshop: {trouble}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        say("\nThe deck is closed.")
    return 0


if __name__ == "__main__":
    sys.exit(main())
