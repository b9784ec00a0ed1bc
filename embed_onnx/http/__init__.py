"""The server: connections, processes, and a file for each wire."""
