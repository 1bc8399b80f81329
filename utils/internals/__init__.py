"""What lies under the helpers, and no lesson imports.

errors          what an error says, and whether a `raise` made it
torch_steps     names of torch that it does not promise
process_state   what belongs to the whole process, kept and put back
running         a function in a thread of its own, stopped when its time is up
snapshots       copies of arguments, to see what a function has changed
"""
