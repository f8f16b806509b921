"""Signing in and out, and the links by which somebody comes in."""
