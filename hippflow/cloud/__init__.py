"""Amazon Web Services and what speaks their protocols: optional, nothing else imports it."""
