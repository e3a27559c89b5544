"""The real gateway as a test dependency: its lock file and its installer."""
