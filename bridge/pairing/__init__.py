"""Who may come in: requests a person decides, one-time codes, device tokens, and the store of paired nodes.

`records`, `desk`, `grant`, `tokens`, `setup_code` and `prompt_rules` are pure; `store` and `codes` are the files under
them. `prompter` asks a person, through the `approvers`.
"""
