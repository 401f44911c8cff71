"""How one stage runs under Prefect: name, retries, time-out, artifacts. Logic lives in ``keepset``.

No task caches by itself: every stage of the domain knows whether it has anything to do, from its manifest's
fingerprint, which also holds when somebody used the command line in between.
"""
