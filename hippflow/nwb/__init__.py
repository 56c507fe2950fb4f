"""A finished day as one NWB file: what goes into it, on which clock, and how it is written.

:mod:`hippflow.nwb.sources` says which products a file is made from and what its settings must hold; it is light, since
the workflow reads it whenever it starts. The other modules import pynwb, one for each modality, and
:mod:`hippflow.nwb.file` puts them together.
"""
