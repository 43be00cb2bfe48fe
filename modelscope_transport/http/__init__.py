"""Sends and receives: endpoints, engines, replies, deadlines. The only folder with an HTTP library.

Nothing here is public, and nothing here knows JSON, models or the allowance.
"""
