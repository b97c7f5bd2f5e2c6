"""The Web API's methods, a module for each family. Importing them fills `calls.METHODS`."""

from sandbox.slack.methods import basics, chat, conversations, files, people, views

__all__ = ["basics", "chat", "conversations", "files", "people", "views"]
