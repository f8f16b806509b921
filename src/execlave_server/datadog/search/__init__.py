"""Datadog's log search language: parse, print, match a log, translate to what the store's columns can decide."""
