"""Paylake in Docker, on a real engine; a package so that it has the engine and the stand-ins of images."""
