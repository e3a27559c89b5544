"""Keys, certificates and pins of the bridge and its native nodes.

What is marked pure builds, reads and compares (`keys`, `csr`, `issue`, `authority`, `leaf`, `pins`). `private_files`,
`vault`, `pair_file` and `identity` own the files of the keys folder, `passphrase*` what they are encrypted with, and
`store` is the door to all of them. `context` is the only place where an `ssl.SSLContext` is built. The layer imports
neither `bridge` nor another package of the project, and nothing here ever makes a second identity on its own: a key
that is missing, unreadable or mismatched is an `IdentityError` that says how to mend it.
"""
