"""What runs of the workflow cost on AWS: estimates, bills, prices. Nothing here needs AWS itself."""
