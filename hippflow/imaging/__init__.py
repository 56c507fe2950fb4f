"""Two-photon imaging: motion, cells, their activity and its clusters; functions on arrays that read no files."""
