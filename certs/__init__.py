"""Keys, certificates and pins of the bridge.

Builders and comparisons (`issue`, `pins`) are pure; `private_files` and `store` own the files of the keys
folder, and `context` is the only place where an `ssl.SSLContext` is built. The layer imports neither `bridge`
nor another package of the project, and nothing here ever makes a second identity on its own: a key that is
missing, unreadable or mismatched is an `IdentityError` that says how to mend it.
"""
