"""What lies under the helpers, and no lesson imports.

errors          what an error says, and whether a `raise` made it
compiler        torch's compiler is loaded when somebody compiles
memory          freed memory is kept for the next tensors
torch_steps     names of torch that it does not promise
process_state   what belongs to the whole process, kept and put back
running         a function in a thread of its own, stopped when its time is up
replicas        the runs of a sweep, each with an optimizer of its own
together        the runs of a sweep under one optimizer
watched         whether a step treats every number on its own
lockstep        functions in threads that go on by turns
stepping        what a step of an optimizer needs: a closure, a mode
witness         a real optimizer beside the runs that were put together
files           written whole or not at all, and never over one that is there
cells           is an answer the newest that the student wrote?
widget_view     the display data of a widget
snapshots       copies of arguments, to see what a function has changed
"""
