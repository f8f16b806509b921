"""The pages: server-rendered HTML for people, under a strict content security policy."""
