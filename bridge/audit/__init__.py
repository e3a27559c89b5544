"""The audit log: what happened to whom, in lines that are chained, so that a change of any of them is seen.

`entry`, `verification`, `coalescer`, `kinds` and `recorder` are pure; `journal` writes the files, `head` what the
database knows of them, `trail` is what the rest of the daemon holds, `inspection` and `reading` serve the command line.
"""
