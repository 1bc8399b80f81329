"""Copies of arguments, to see what a function has changed in place."""

import numpy as np
import torch


def snapshot(value):
    """A copy that changes in place do not reach: tensors and arrays cloned, containers rebuilt, the rest as it is."""
    if isinstance(value, torch.Tensor):
        return value.detach().clone()
    if isinstance(value, np.ndarray):
        return value.copy()
    if isinstance(value, dict):
        return {key: snapshot(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [snapshot(item) for item in value]
    return value


def same(before, now) -> bool:
    """True if `now` still holds what its snapshot `before` holds, bit for bit (nan equals nan)."""
    if isinstance(before, torch.Tensor):
        if not isinstance(now, torch.Tensor) or before.shape != now.shape or before.dtype != now.dtype:
            return False
        return bool(((before == now) | ((before != before) & (now != now))).all())
    if isinstance(before, np.ndarray):
        return isinstance(now, np.ndarray) and np.array_equal(before, now)
    if isinstance(before, dict):
        return isinstance(now, dict) and before.keys() == now.keys() and all(same(before[k], now[k]) for k in before)
    if isinstance(before, list | tuple):
        return isinstance(now, list | tuple) and len(before) == len(now) and all(map(same, before, now))
    return before is now or (isinstance(before, int | float | str) and type(now) is type(before) and before == now)
