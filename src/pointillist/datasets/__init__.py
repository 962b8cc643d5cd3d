"""The named point sets."""
