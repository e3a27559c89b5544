"""A client of the Gateway protocol, version 4: as a node with its own device key, or as the backend operator.

`frames`, `identity`, `protocol`, `retry` and `errors` are pure; `connection` is the one shell. The package knows
nothing of phones, pairing or policy, and only its own errors (`errors.GatewayError`) leave it.
"""
