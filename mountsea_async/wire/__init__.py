"""Talking to the service, and nothing else: an endpoint call in, a model or a typed error out."""
