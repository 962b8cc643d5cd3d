"""Kills, faults, flipped bits, hostile files and races: what must be refused or survived, counted."""
