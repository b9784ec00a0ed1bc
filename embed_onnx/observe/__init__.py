"""A finished request, seen by the log, by Prometheus and by OpenTelemetry."""
