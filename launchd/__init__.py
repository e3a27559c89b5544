"""Service files: what the system needs to keep the daemon running.

The layer renders text from values and imports no other package of the project. Nothing that it writes may hold
a secret: service files are readable by every process of the user.
"""
