"""One module per product: read the inputs, call the science, write the product."""
