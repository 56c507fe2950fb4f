"""A cluster on AWS, made by ParallelCluster 3: keep its data, end it, and see what of it costs for nothing."""
