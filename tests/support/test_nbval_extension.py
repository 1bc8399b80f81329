"""What nbval does not promise and tests/support/nbval_extension.py replaces: what fails here says what changed."""

import inspect

import pytest
from nbval import kernel, plugin

WHERE = "tests/support/nbval_extension.py replaces it: mend it there"


@pytest.mark.parametrize(
    ("owner", "method", "parameters"),
    [
        (plugin.IPyNbCell, "compare_outputs", ["self", "test", "ref", "skip_compare"]),
        (plugin.IPyNbCell, "runtest", ["self"]),
        (plugin.IPyNbFile, "get_kernel_message", ["self", "timeout", "stream"]),
        (kernel.RunningKernel, "await_reply", ["self", "msg_id", "timeout"]),
    ],
)
def test_nbval_has_the_methods_that_are_replaced(owner, method, parameters):
    source = inspect.getsource(inspect.getmodule(owner))
    assert f"def {method}(" in source, f"nbval has no {owner.__name__}.{method} any more; {WHERE}"
    replaced = getattr(owner, method)
    assert replaced.__module__ == "tests.support.nbval_extension", f"{owner.__name__}.{method} is not ours; {WHERE}"
    head = source.split(f"def {method}(", 1)[1].split("):", 1)[0]
    named = [part.split("=")[0].split(":")[0].strip() for part in head.split(",")]
    assert named == parameters, f"{owner.__name__}.{method} takes {named} now, not {parameters}; {WHERE}"


@pytest.mark.parametrize(
    ("owner", "words"),
    [
        (plugin, ["self.comparison_traceback", "self.parent.get_kernel_message(", "self.raise_cell_error("]),
        (
            plugin,
            ["self.parent.kernel.await_reply(", "def raise_cell_error(self, message", "out['data'] = reply['data']"],
        ),
        (kernel, ["def get_message(self, stream", "def is_alive(self)", "def stop(self)", "self.get_message("]),
    ],
)
def test_nbval_uses_them_as_we_expect(owner, words):
    source = inspect.getsource(owner)
    assert not [word for word in words if word not in source], f"{owner.__name__} works in another way; {WHERE}"
