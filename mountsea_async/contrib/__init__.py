"""What applications need around the client, as extras: batches that outlive a request, FastAPI, OpenTelemetry."""
