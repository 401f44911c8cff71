"""Whether the error on sources that were not trained on is right, and whether shortcuts are found."""
