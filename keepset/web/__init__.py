"""The review gallery and the prediction page."""
