"""Who may come in: requests a person decides, one-time codes, device tokens, and the store of paired nodes.

`records`, `desk`, `grant`, `tokens` and `setup_code` are pure; `store` and `codes` are the files under them.
"""
