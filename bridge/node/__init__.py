"""Nodes that talk to a bridge over the LAN: native ones, and the simulated phone of the demo and of tests.

Native: `native_enrolment` pairs, `native_node` connects and renews with what pairing gave (`native_identity`), through
`native_renewal` and `pairing_http`; `native_invokes` runs commands. The phone: `phone` is the shell, `phone_facts` what
is known of it and `phone_probe` what an app does before it opens a socket. `pairing_answers`, `pairing_errors`,
`phone_state`, `phone_retry` and `simulated_screen` are pure.
"""
