"""The log over WebSockets, with Channels."""
