"""When and where: the embedded stack, what it serves, the demo, and the files for teams."""
