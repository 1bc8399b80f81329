"""Freed memory stays here."""

import sys

import pytest
import torch


@pytest.mark.skipif(sys.platform != "linux", reason="only glibc can be asked to")
def test_the_next_tensor_gets_the_memory_of_the_last():
    import resource

    def pages(tensors):  # that the system hands out for so many tensors of 8 MB, one after the other
        before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
        for _ in range(tensors):
            torch.ones(2_000_000)
        return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before

    assert min(pages(50) for _ in range(5)) < 50  # once there is room for one; thousands if each came anew
