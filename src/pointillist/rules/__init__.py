"""Rules that the rows of a table obey: found in the training rows, and restored in new ones."""
