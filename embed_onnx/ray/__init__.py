"""The app on Ray Serve, and a stage of Ray Data; needs the extra ``ray``."""
