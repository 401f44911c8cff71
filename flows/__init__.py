"""In what order: Prefect flows over ``tasks``. No logic of the domain, and nothing that must not run twice."""
