"""Does the forecast of a batch agree with real retraining? ``python -m bench.review.forecast``; ``__main__.py`` says how."""
