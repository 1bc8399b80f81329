"""A check as a student meets it."""

from importlib import import_module

import pytest
import torch

TIMED = [import_module(f"utils.checks.examiner.{name}") for name in ("examine", "mistakes")]


@pytest.fixture(autouse=True)
def as_for_a_student(monkeypatch):
    """No strict mode; one thread, which is fastest here; and time enough on a busy machine."""
    monkeypatch.delenv("WORKSHOP_STRICT", raising=False)
    for module in TIMED:
        monkeypatch.setattr(module, "SECONDS", 30.0)
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)
