"""All that rests on names which torch does not promise; tests/internals/test_torch_steps.py says which has changed."""

from collections.abc import Callable
from functools import partial

from torch import Tensor
from torch.optim import Optimizer
from torch.optim import optimizer as torch_optimizer
from torch.utils._python_dispatch import TorchDispatchMode


def hooks_on_all_optimizers() -> tuple[dict, dict]:
    """The registries of hooks that run before and after each step of every optimizer, themselves and not copies."""
    return torch_optimizer._global_optimizer_pre_hooks, torch_optimizer._global_optimizer_post_hooks


def has_hooks(optimizer: Optimizer) -> bool:
    """Whether anything runs before or after its steps: a hook of its own or one on all optimizers."""
    # A wrapper of another optimizer may be a subclass by name only. It lacks them, and its own step may miss them.
    own = [getattr(optimizer, f"_optimizer_step_{when}_hooks", ["none"]) for when in ("pre", "post")]
    return any((*own, *hooks_on_all_optimizers()))


def step_without_profiler(optimizer: Optimizer) -> Callable:
    """The optimizer's own `step`, without the profiler's wrapper around it where nothing hangs on that wrapper.

    torch wraps every `step` in a profiler record and the calls of hooks. On two numbers that wrapper costs as much as
    the update itself, so it is left out unless somebody registered a hook or replaced `step` on this one object.
    """
    step = type(optimizer).step
    if "step" in vars(optimizer) or not getattr(step, "hooked", False) or has_hooks(optimizer):
        return optimizer.step
    return partial(step.__wrapped__, optimizer)


def note_as_stepped(optimizer: Optimizer) -> None:
    """Make schedulers take the optimizer for one that has stepped, so that they warn of no wrong order."""
    optimizer._opt_called = True


def attributes_without_schedulers(optimizer: Optimizer) -> dict:
    """What an optimizer keeps, without the `step` that a scheduler put in place of it: that one knows the original."""
    slots = [name for made in type(optimizer).__mro__ for name in getattr(made, "__slots__", ())]
    kept = {name: getattr(optimizer, name) for name in slots if hasattr(optimizer, name)} | vars(optimizer)
    if hasattr(kept.get("step"), "_wrapped_by_lr_sched"):
        del kept["step"]
    return kept


class Operations(TorchDispatchMode):
    """Within it `tell(operation, arguments)` hears of every operation of torch in this thread, once it is done.

    Those of the backward pass on a CPU are among them, and those of optimizers.
    """

    @classmethod
    def _should_skip_dynamo(cls) -> bool:
        """No: torch would wrap the method below in two more functions, which costs as much as an operation."""
        return False

    def __init__(self, tell: Callable[[object, tuple], None]):
        super().__init__()
        self._tell = tell

    def __torch_dispatch__(self, operation, types, arguments=(), options=None):
        """What torch calls in place of the operation."""
        result = operation(*arguments, **(options or {}))
        self._tell(operation, arguments)
        return result


def acts_in_backward(parameter: Tensor) -> bool:
    """Whether a hook on this parameter runs when its gradient is computed."""
    return bool(parameter._backward_hooks or parameter._post_accumulate_grad_hooks)
