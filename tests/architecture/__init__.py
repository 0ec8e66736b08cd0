"""What is declared is proved: layers, sizes, catalogue, documents. Each test reads the sources as they stand."""
