"""Router training, run from a checkout; never imported by the library."""
