"""The side of the gateway: one link per connected node, one operator link, and the approval of surfaces.

`outcomes` and `surface_rules` are pure; the links are shells around `gateway_client`.
"""
