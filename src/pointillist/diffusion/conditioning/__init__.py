"""Numbers given others or in ranges: observed values, populations of candidates, and twisted samplers."""
