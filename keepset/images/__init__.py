"""What a picture's bytes are: format, orientation, pixels."""
