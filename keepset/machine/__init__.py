"""This machine: its cores, its memory, and Keepset's own programs on it."""
