"""Benchmarks: what a connection, a handshake, a message and a broadcast cost, ours beside others'.

`python -m bench.run` compares, `python -m bench.million` counts how many connections one machine holds,
`python -m bench.users` lets simulated people use a whole system. Everything stays on loopback addresses,
is bounded in time and number, and ends only what it started.
"""
