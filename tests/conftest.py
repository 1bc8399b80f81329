"""Which tests go first, what is said at the end, and the browser and the JupyterLab that tests share."""

import utils  # noqa: F401 - before NumPy is loaded: it says how to round, here and in every kernel

# isort: split
import contextlib
import fnmatch
import os
import platform

import pytest

# What takes longest goes first, so that at the end no worker is left alone with it. (xdist would begin with the files
# of the most tests, which are the quick ones.)
IN_JUPYTERLAB = tuple(f"tests/{file}" for file in ("*/test_*_in_browser.py", "benchmarks/test_benchmarks.py"))
LONGEST = (
    *IN_JUPYTERLAB,
    *("tests/tools/deck/test_present.py", "tests/tools/deck/test_slides.py"),
    *("tests/labs/test_accessibility.py", "notebooks/02d-*", "notebooks/05a-*", "tests/tools/test_refresh.py"),
    *("tests/labs/test_designer.py", "tests/tools/test_copies.py", "tests/checks/examiner/*", "notebooks/*"),
    *("tests/notebooks/*", "tests/tools/*", "tests/practice/*"),
)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    def place(item: pytest.Item) -> int:
        file = item.nodeid.partition("::")[0]
        return next((at for at, pattern in enumerate(LONGEST) if fnmatch.fnmatch(file, pattern)), len(LONGEST))

    items.sort(key=place)
    for item in items:
        if {"browser", "chromium"} & set(getattr(item, "fixturenames", ())):
            item.add_marker("browser")


def shared(nodeid: str) -> str:
    """What one worker keeps together: a file, and the files that share a JupyterLab."""
    file = nodeid.partition("::")[0]
    return "in JupyterLab" if any(fnmatch.fnmatch(file, pattern) for pattern in IN_JUPYTERLAB) else file


def pytest_xdist_make_scheduler(config: pytest.Config, log):
    """The workers take tests as `shared` groups them; with `-n 0` nobody asks."""
    from xdist.scheduler import LoadScopeScheduling

    class Groups(LoadScopeScheduling):
        def _split_scope(self, nodeid: str) -> str:
            return shared(nodeid)

    return Groups(config, log)


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo):
    report = (yield).get_result()
    if report.failed and item.get_closest_marker("browser"):
        from tests.support.failed import keep  # imported here: notebooks alone need no browser

        if found := keep(item.nodeid, item.funcargs):
            report.sections.append(("what it saw", "\n".join(map(str, found))))


def pytest_terminal_summary(terminalreporter) -> None:
    cells = [report for report in terminalreporter.stats.get("failed", []) if ".ipynb::" in report.nodeid]
    if cells and platform.machine() not in ("x86_64", "AMD64"):
        terminalreporter.write_line(
            "The stored outputs were made on an x86 processor, and this one rounds in its own way: where only digits "
            "differ, and no cell raised an error, the lessons are all right."
        )


def pytest_xdist_auto_num_workers() -> int:
    """`-n auto`: two more than there are cores, since a test that drives a browser or a kernel half waits for it."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return min(cores + 2, 8)


@pytest.fixture(scope="module")
def one_thread():
    """On tensors as small as ours a second thread only waits, and on a busy machine it waits long."""
    import torch

    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


class Shared(contextlib.ExitStack):
    """What files that follow one another share: a browser and a page of JupyterLab, which cost more than a test."""

    browser = labs = None


SHARED = Shared()


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_teardown(item: pytest.Item, nextitem: pytest.Item | None):
    yield
    if nextitem and nextitem.path == item.path:
        return
    asks = nextitem and any(
        "browser" in getattr(each, "fixturenames", ()) for each in item.session.items if each.path == nextitem.path
    )
    if not asks:
        SHARED.close()  # Playwright's loop would stand in the way of those who run one of their own
        SHARED.browser = SHARED.labs = None


def pytest_unconfigure() -> None:
    SHARED.close()  # also when the run was cut short


@pytest.fixture(scope="module")
def browser():
    """A headless Chromium."""
    from tests.support.jupyter_page import missing  # imported here: notebooks alone need no browser
    from tools.browser import NoBrowser
    from tools.browser import browser as chromium

    if not SHARED.browser:
        try:
            SHARED.browser = SHARED.enter_context(chromium())
        except NoBrowser as reason:
            missing(str(reason))
    return SHARED.browser


@pytest.fixture(scope="session")
def jupyter(tmp_path_factory):
    """A JupyterLab in a folder of its own, one for all tests of a worker: a kernel is cheap, a server is not."""
    from tests.support.jupyter_page import jupyter_lab

    with jupyter_lab(tmp_path_factory.mktemp("jupyter")) as running:
        yield running


@pytest.fixture(scope="module")
def notebook(browser, jupyter, case):
    """JupyterLab with the lab of the module's `case` in view; a test starts where the last one left it."""
    from tests.support.any_lab import bring_into_view, opened

    if not SHARED.labs or SHARED.labs.page.is_closed():
        SHARED.labs = SHARED.enter_context(opened(browser, jupyter))
    bring_into_view(SHARED.labs, case)
    return SHARED.labs


@pytest.fixture(scope="module")
def twin(case):
    """The same lab in the Python of the test."""
    return case.make()
