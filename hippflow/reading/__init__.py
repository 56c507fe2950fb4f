"""A finished day as Python objects that read what they are asked for; start with :func:`hippflow.load_day`."""
