"""What happened to a data set over its revisions, and to each of its pictures."""
