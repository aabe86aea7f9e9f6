"""The batch: prepare a session, fan out, poll, reconcile, report. What this project exists for."""
