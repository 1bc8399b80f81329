"""Helpers of the workshop: what the notebooks share, and nothing that they teach.

surfaces     Surface: a two-parameter loss, its gradient in closed form, and the window worth drawing
descent      descend(): a real torch.optim optimizer walking a Surface; Trace, what it left behind
data         real data that ships with scikit-learn: split, scaled, seeded, no download
training     train() and evaluate(): the plain loop on real data; History, what it measured
sweeps       sweep(): every lr and every seed trained at once by one optimizer; Sweep, with the lr tuned fairly
schedules    lr_curve(): the lrs that a scheduler would set, without spending it
comparison   compare(): is it better, or is it noise? The judge of experiments
claims       Claims: what a lesson found, each verdict with its evidence, and the table of them
plots        every figure: `ax` in, `ax` out; picture() puts it into the notebook with its alt text
lend         lend(): what one section of a lesson builds and others use, for a section that starts without it
guard        check, call: run what a student wrote
verdicts     Verdict: what a check says
machine      is this machine ready for the workshop?
colab        what the first cell of a lesson does on Google Colab

Behind the doors: labs (sliders around a plot that moves), predictions (asked before, shown beside what was measured),
progress (what a student has done is remembered), checks (of the exercises), practice (what notebooks 04a to 05b train,
store and score), reference (tables written by the installed torch).

Imports run one way: labs → reference → plots, checks → practice, training, sweeps, descent → the others. Nothing here
imports `tools`, which the launcher runs. import-linter holds the layers, see pyproject.toml.
"""

import os

from utils.internals.cells import watch_runs
from utils.internals.compiler import let_it_wait
from utils.internals.memory import keep_freed_memory

watch_runs()
let_it_wait()
keep_freed_memory()

# Libraries choose their code by the processor that they find, and each code rounds in its own way. Training a deep net
# amplifies a last bit into the second digit. So we ask for code that every x86 processor since 2015 can run and that
# rounds the same on all of them; where a variable is set already, that one counts. torch and MKL read theirs at the
# first operation, which comes after this import; NumPy and OpenBLAS when they are loaded, hence in a kernel that one of
# our commands has started.
for _name, _value in {
    "ATEN_CPU_CAPABILITY": "avx2",  # torch's own loops
    "ONEDNN_MAX_CPU_ISA": "AVX2",  # its convolutions
    "MKL_CBWR": "COMPATIBLE",  # its matrix products, also on processors that are not Intel's
    "NPY_DISABLE_CPU_FEATURES": "X86_V4 AVX512_ICL AVX512_SPR",  # NumPy's exp, log, sin, …
    "OPENBLAS_CORETYPE": "Haswell",  # NumPy's and SciPy's matrix products
}.items():
    os.environ.setdefault(_name, _value)
