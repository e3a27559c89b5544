"""The daemon: everything between a phone on the LAN and the gateway on the loopback interface.

The layer above all others: it imports `acl`, `certs`, `gateway_client` and `launchd`, and none of them imports
it. Modules whose docstring begins with "Pure:" decide; the others move bytes, files and time for them.
"""

__version__ = "0.1.0"
