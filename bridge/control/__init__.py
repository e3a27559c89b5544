"""Local control: what a person at this machine may ask of the daemon, and the Unix socket it is asked through.

`documents` and `requests` are the JSON, `operations` is what the daemon offers, `api` serves it and `client` asks.
Importing the client or the documents never imports the server.
"""
