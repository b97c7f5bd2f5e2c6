"""The chat page of the sandbox: the workspace as its people see it, in a browser, on 127.0.0.1.

The sandbox's composition root calls `create_page` with the workspace and what surrounds it.
"""

from sandbox.slack.page.application import create_page
from sandbox.slack.page.offers import CommandHint, Try
from sandbox.slack.page.world import Breakage, Pod, World

__all__ = ["Breakage", "CommandHint", "Pod", "Try", "World", "create_page"]
