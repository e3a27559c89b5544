"""The side of the phones: sockets and TLS, the session of each peer, and what passes between it and the gateway.

Data flows one way: `listener` (sockets) -> `session` (pure: asks `acl`) -> `relay` (runs the session's commands) ->
the gateway's links; answers come back to the same session as events.
"""
