"""Freed memory stays here."""

import sys

import pytest
import torch


@pytest.mark.skipif(sys.platform != "linux", reason="only glibc can be asked to")
def test_the_next_tensors_get_the_memory_of_the_last():
    import resource

    def pages():  # that the system hands out for what one step needs at once: four tensors of 16 MB
        before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
        [torch.ones(4_000_000) for _ in range(4)]
        return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before

    assert min(pages() for _ in range(10)) < 100  # once there is room; thousands if it went back each time
