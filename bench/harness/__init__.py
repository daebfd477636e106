"""Parts of `bench/peers.py`, standard library only: machine, processes, installation, proxies, load, cases."""
