"""What torch says of itself: tables that cannot go stale.

optimizers   every optimizer of torch.optim and its parameters
schedulers   every scheduler, its parameters, and the lr curve of an example
table        Table: Markdown in a notebook, columns in a terminal
signatures   classes of torch beside the words that describe them
versions     the installed torch beside the one for which the lessons were written
"""
