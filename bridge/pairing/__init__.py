"""Who may come in: requests a person decides, one-time codes, device tokens, and the store of paired nodes.

`records`, `desk`, `grant`, `tokens`, `setup_code`, `hosts`, `native_link` and `transcript` are pure; `store` and `codes`
are the files under them.
"""
