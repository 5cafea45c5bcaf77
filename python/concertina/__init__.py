"""Concertina inside a worker: elastic runtime and process supervision."""
