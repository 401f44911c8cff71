"""Taking a model out of Keepset."""
