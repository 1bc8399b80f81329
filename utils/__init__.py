"""Helpers of the workshop: what the notebooks share, and nothing that they teach.

surfaces   Surface: a two-parameter loss, its gradient in closed form, and the window worth drawing
descent    descend(): a real torch.optim optimizer walking a Surface; Trace, what it left behind
data       real data that ships with scikit-learn: split, scaled, seeded, no download
training   train() and evaluate(): the plain loop on real data; History, what it measured
plots      every figure: `ax` in, `ax` out; picture() puts it into the notebook with its alt text
labs       the labs: sliders around a plot that moves; race.py and designer.py (with design_code, design_runs and
           design_words) are Labs 2 and 3, lab_shell.py and plot_widget.py what all have in common
sweeps     sweep(): every lr and every seed trained at once by one optimizer; Sweep, with the lr tuned fairly
schedules  lr_curve(): the lrs that a scheduler would set, without spending it; the table of schedulers
reference  tables of optimizers and their parameters, written by the installed torch
practice   the data, nets and verdict rule of notebooks 05a and 05b; checkpoint, diagnosis and leaderboard are what
           their parts stand on, cheatsheet makes the printable page
machine    is this machine ready for the workshop?
refresh    runs notebooks and stores their outputs
copies     the student's own copies of the notebooks, in my-work/
wheels     all packages in one folder, for a class without network
deck       slides made from the notebooks: files that need no network, and a live deck on which the labs work
checks     Verdict, and the checks of the exercises (checks02, checks02b, … : those of a later notebook)
examiner   check_optimizer(): an optimizer against a reference, at every step, and the contract of torch.optim
           (_exam.py and _mistakes.py are its parts, _guard.py the ground under all checks)

Dependencies run one way: labs → plots → {descent, training, sweeps} → {surfaces, data}; checks and reference need
only torch (and, where an exercise walks a surface, descent).
"""

import os

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
