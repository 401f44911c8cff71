"""The demo's own pictures: drawn here, so that nothing needs to be fetched and no right is touched."""
