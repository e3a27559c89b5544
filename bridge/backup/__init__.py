"""Backups: one encrypted file that moves the bridge to another Mac; no phone has to forget anything (design §7).

`contents` what goes in · `archive` the file's format, pure · `archive_file` the file on disk · `collect` reads a home ·
`database_copy` copies sqlite's · `graves` what a restore must not undo · `staging` lays a home out beside the present
one · `exchange` swaps the two at once · `restore` the whole.
"""
