"""How large must a hub be? `python -m tests.benchmarks hub` starts one, lets a class in and moves its sliders (Linux).

It runs the hub of assets/hub in this installation, on loopback and with homes in a temporary folder. That needs
`pip install jupyterhub` and, from Node's npm, configurable-http-proxy. All students arrive at once: each gets a server,
opens the copy of 00 and runs its cells down to the lab. Then some of them, and in the end all, move a slider every two
seconds. Everything goes through the hub's proxy by HTTP and websocket, as from a page, but no page is drawn.

Times are those of the whole machine, whose processors the class shares with this script.
"""

import argparse
import asyncio
import json
import os
import random
import secrets
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import psutil
from tabulate import tabulate
from tornado.httpclient import AsyncHTTPClient, HTTPClientError, HTTPRequest
from tornado.websocket import websocket_connect

from tests.benchmarks.memory import held

ROOT = Path(__file__).parents[2]
LESSON = "optimizer-workshop/my-work/00-start-here.ipynb"
PAUSE, MOVES = 2.0, 15  # seconds between two moves of a student, and how many each makes
# Every server runs in this account, with a home of its own; one token, which nobody else knows, opens them all.
SETTINGS = """
load_subconfig({config!r})
hub, api, inner = {ports!r}
c.JupyterHub.bind_url, c.JupyterHub.hub_port = f"http://127.0.0.1:{{hub}}", inner
c.ConfigurableHTTPProxy.command, c.ConfigurableHTTPProxy.api_url = {proxy!r}, f"http://127.0.0.1:{{api}}"
c.JupyterHub.spawner_class, c.JupyterHub.authenticator_class = "simple", "dummy"
c.SimpleLocalProcessSpawner.home_dir_template = {homes!r} + "/{{username}}"
c.Spawner.args = ["--allow-root"]
c.JupyterHub.services = [dict(name="class", api_token={token!r})]
scopes = ["admin:users", "admin:servers", "access:servers"]
c.JupyterHub.load_roles = [dict(name="class", services=["class"], scopes=scopes)]
"""


def free_ports(count: int) -> list[int]:
    """So many ports on loopback that nobody listens on."""
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [each.getsockname()[1] for each in sockets]
    for each in sockets:
        each.close()
    return ports


class Hub:
    """A hub that runs: how to ask it, and the process of each student's server."""

    def __init__(self, port: int, token: str):
        self.url, self.headers = f"127.0.0.1:{port}", {"Authorization": f"token {token}"}
        self.client = AsyncHTTPClient(max_clients=200)

    async def ask(self, path: str, data: dict | None = None) -> dict | None:
        """What is answered to a GET or, with data, to a POST."""
        body = None if data is None else json.dumps(data)
        url, method = f"http://{self.url}{path}", "GET" if data is None else "POST"
        asked = HTTPRequest(url, method, self.headers, body, connect_timeout=300, request_timeout=300)
        return json.loads((await self.client.fetch(asked)).body or "null")

    async def until(self, path: str, ready) -> dict:
        """The first answer that `ready` accepts."""
        while True:
            try:
                if ready(found := await self.ask(path)):
                    return found
            except (HTTPClientError, OSError):  # not there yet
                pass
            await asyncio.sleep(2)  # as often as the hub's page; more would take a processor away


@asynccontextmanager
async def running_hub(proxy: list[str]) -> AsyncIterator[Hub]:
    """A hub by the recipe, until the block ends."""
    token, ports = secrets.token_hex(16), free_ports(3)
    with tempfile.TemporaryDirectory(prefix="hub-") as folder:
        config, homes = str(ROOT / "assets/hub/jupyterhub_config.py"), f"{folder}/homes"
        settings = SETTINGS.format(config=config, ports=ports, proxy=proxy, homes=homes, token=token)
        Path(folder, "settings.py").write_text(settings, encoding="utf-8")
        with Path(folder, "log").open("w") as log:
            command = [sys.executable, "-m", "jupyterhub", "-f", "settings.py"]
            process = subprocess.Popen(command, cwd=folder, stdout=log, stderr=log)
        try:
            hub = Hub(ports[0], token)
            await asyncio.wait_for(hub.until("/hub/api/", lambda found: "version" in found), 60)
            yield hub
        except BaseException:
            print(*Path(folder, "log").read_text().splitlines()[-30:], sep="\n", file=sys.stderr)
            raise
        finally:
            process.terminate()  # it stops the servers and its proxy
            process.wait(60)


class Student:
    """One whose kernel has run 00 down to the lab; `arrived` is how many seconds that took."""

    def __init__(self, hub: Hub, name: str):
        self.hub, self.name, self.slider, self.waiting, self.arrived = hub, name, "", {}, 0.0

    async def arrive(self) -> None:
        begun, own = time.monotonic(), f"/user/{self.name}"
        await self.hub.ask(f"/hub/api/users/{self.name}", {})
        await self._get_server()
        cells = (await self.hub.ask(f"{own}/api/contents/{LESSON}"))["content"]["cells"]
        session = {"path": LESSON, "name": "", "type": "notebook", "kernel": {"name": "python3"}}
        kernel = (await self.hub.ask(f"{own}/api/sessions", session))["kernel"]["id"]
        channels = f"ws://{self.hub.url}{own}/api/kernels/{kernel}/channels?session_id={self.name}"
        self.socket = await websocket_connect(HTTPRequest(channels, headers=self.hub.headers), max_message_size=2**28)
        self.reader = asyncio.create_task(self._read())
        for cell in cells:
            if cell["cell_type"] == "code":
                code = {"code": "".join(cell["source"]), "silent": False, "store_history": True, "allow_stdin": False}
                await self._send("execute_request", code)
                if "lab" in cell["metadata"].get("tags", ()):
                    break
        assert self.slider, f"{self.name}: no slider for lr came"
        self.arrived = time.monotonic() - begun

    async def _get_server(self) -> None:
        """Ask until it is this student's turn, then until the server answers."""
        while True:
            try:
                await self.hub.ask(f"/hub/api/users/{self.name}/server", {})
                break
            except HTTPClientError as answer:
                if answer.code != 429:  # too many start at this time
                    raise
                await asyncio.sleep(2)
        user = await self.hub.until(f"/hub/api/users/{self.name}", lambda user: not user["pending"])
        if not user["servers"].get("", {}).get("ready"):
            raise RuntimeError(f"{self.name}: the server did not start")

    async def _send(self, kind: str, content: dict) -> None:
        """Send it, and wait until the kernel has done with it."""
        number = uuid.uuid4().hex
        header = {
            "msg_id": number,
            "msg_type": kind,
            "session": self.name,
            "username": "",
            "version": "5.3",
            "date": "",
        }
        self.waiting[number] = asyncio.get_running_loop().create_future()
        message = {"header": header, "parent_header": {}, "metadata": {}, "content": content, "channel": "shell"}
        await self.socket.write_message(json.dumps(message))
        await asyncio.wait_for(self.waiting[number], 600)

    async def _read(self) -> None:
        while (raw := await self.socket.read_message()) is not None:
            if isinstance(raw, bytes):  # a picture of the lab
                continue
            message = json.loads(raw)
            kind, content = message["msg_type"], message["content"]
            if kind == "comm_open" and content["data"].get("state", {}).get("description") == "lr":
                self.slider = content["comm_id"]
            elif kind == "error":
                raise RuntimeError(f"{self.name}: {content['ename']}: {content['evalue']}")
            elif kind == "status" and content["execution_state"] == "idle":
                done = self.waiting.pop(message["parent_header"].get("msg_id"), None)
                if done:
                    done.set_result(None)

    async def move(self, moves: int) -> list[float]:
        """How many ms each move of lr took, from the message to the kernel being idle again: the picture has come."""
        times = []
        await asyncio.sleep(random.uniform(0, PAUSE))  # a class does not move in step
        for _ in range(moves):
            begun = time.monotonic()
            data = {"method": "update", "state": {"value": random.uniform(0.02, 0.2)}, "buffer_paths": []}
            await self._send("comm_msg", {"comm_id": self.slider, "data": data})
            times.append(1000 * (time.monotonic() - begun))
            await asyncio.sleep(max(0.0, PAUSE - times[-1] / 1000))
        return times


async def measure(students: int, proxy: list[str]) -> None:
    async with running_hub(proxy) as hub:
        every = [Student(hub, f"student{number:02}") for number in range(1, students + 1)]
        await asyncio.gather(*(each.arrive() for each in every))
        seconds = sorted(each.arrived for each in every)
        first, middle, last = seconds[0], statistics.median(seconds), seconds[-1]
        print(f"{students} arrive at once; the slider of the lab is there after {middle:.0f} s in the median, ", end="")
        print(f"{first:.0f} s for the first and {last:.0f} s for the last.", flush=True)
        servers = [each.pid for each in psutil.process_iter(["cmdline"]) if "jupyterhub-singleuser" in _words(each)]
        print(
            f"Memory: {sum(held(pid)[1] for pid in servers) / students:.0f} MB for each, shared pages divided.",
            flush=True,
        )
        rows = []
        for active in [number for number in (1, 5, 15) if number < students] + [students]:
            found = await asyncio.gather(*(each.move(MOVES) for each in every[:active]))
            times = sorted(ms for one in found for ms in one)
            rows.append([active, statistics.median(times), times[int(0.95 * len(times))], times[-1]])
        print(tabulate(rows, ["moving", "median, ms", "95 of 100, ms", "slowest, ms"], "github", floatfmt=".0f"))


def _words(process: psutil.Process) -> str:
    return " ".join(process.info["cmdline"] or ())


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="workshop.py bench hub", description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--students", type=int, default=30)
    parser.add_argument("--proxy", default=shutil.which("configurable-http-proxy"), help="configurable-http-proxy")
    options = parser.parse_args(arguments)
    if options.proxy is None or subprocess.call([sys.executable, "-c", "import jupyterhub"]):
        print("workshop: this needs `pip install jupyterhub` here and `npm install -g configurable-http-proxy`")
        return 2
    os.environ.setdefault("JUPYTERHUB_CRYPT_KEY", secrets.token_hex(32))
    asyncio.run(measure(options.students, [options.proxy]))
    return 0
