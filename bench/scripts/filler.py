"""Holds the slots it is given until it is stopped, and computes nothing."""

import time

while True:
    time.sleep(3600)
