"""What running under Prefect costs."""
