"""Several tables that refer to each other, and sequences of rows: one model of rows for each table."""
