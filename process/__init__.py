"""The only place that starts a child process: its group, limits, progress, and death with its parent.

`run` carries one program to its end, `Child` keeps a warm one that answers line by line. Both share four rules:

* A child never outlives this process, however that dies: the kernel kills it (PR_SET_PDEATHSIG).
* A child is one session and one process group; the group ends with it, also when it ends well.
* No Python code is forked: a thread of a forked process may hold any lock for ever.
* Whoever waits is the one who reads, writes and asks `check()`, so nothing here needs a thread but the starter.
"""

from process.child import Child
from process.launcher import Limits, current_tag, kill_children, kill_tag
from process.program import Completed, Write, run
from process.running import LINE_BYTES, ChildFailed, memory_mb

__all__ = [
    "LINE_BYTES",
    "Child",
    "ChildFailed",
    "Completed",
    "Limits",
    "Write",
    "current_tag",
    "kill_children",
    "kill_tag",
    "memory_mb",
    "run",
]
