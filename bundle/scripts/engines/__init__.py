"""Ignite engines and handlers that wire data, networks and scores."""
