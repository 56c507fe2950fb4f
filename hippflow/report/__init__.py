"""The report of a day: one page with everything that was recorded, made and found, for a browser or a printer."""
