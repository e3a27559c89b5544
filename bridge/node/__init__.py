"""Nodes that talk to a bridge over the LAN: the simulated phone of the demo and of tests.

`phone_state`, `phone_retry` and `simulated_screen` are pure; `phone` is the shell,
`phone_facts` what is known of it and `phone_probe` what an app does before it opens a socket.
"""
