"""Divided work: its parts are computed in this process, in others or on other machines, kept in files, and joined."""
