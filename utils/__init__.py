"""Helpers of the workshop: what the notebooks share, and nothing that they teach.

surfaces   Surface: a two-parameter loss, its gradient in closed form, and the window worth drawing
descent    descend(): a real torch.optim optimizer walking a Surface; Trace, what it left behind
data       real data that ships with scikit-learn: split, scaled, seeded, no download
training   train() and evaluate(): the plain loop on real data; History, what it measured
plots      every figure: `ax` in, `ax` out; picture() puts it into the notebook with its alt text
labs       the labs: sliders around a plot that moves; race.py, lab_shell.py and plot_widget.py are their parts
sweeps     sweep(): every lr and every seed trained at once by one optimizer; Sweep, with the lr tuned fairly
schedules  lr_curve(): the lrs that a scheduler would set, without spending it; the table of schedulers
reference  tables of optimizers and their parameters, written by the installed torch
machine    is this machine ready for the workshop?
refresh    runs notebooks and stores their outputs
checks     Verdict, and the checks of the exercises (checks02 and checks02b: those of notebooks 02a and 02b)
examiner   check_optimizer(): an optimizer against a reference, at every step, and the contract of torch.optim
           (_exam.py and _mistakes.py are its parts, _guard.py the ground under all checks)

Dependencies run one way: labs → plots → {descent, training, sweeps} → {surfaces, data}; checks and reference need
only torch (and, where an exercise walks a surface, descent).
"""
