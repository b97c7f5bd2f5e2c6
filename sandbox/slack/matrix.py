"""What of Slack's platform the sandbox has, as data: methods, events, interactions, blocks. A test holds it equal to the code.

The reference is made from it; "how far" is one sentence where something is less than Slack's own.
"""

from collections.abc import Mapping

METHODS: Mapping[str, str] = {
    "api.test": "",
    "apps.connections.open": "",
    "auth.test": "",
    "bots.info": "knows only the app's own bot",
    "chat.delete": "",
    "chat.getPermalink": "",
    "chat.postEphemeral": "",
    "chat.postMessage": "no unfurling, no names or icons of its own",
    "chat.update": "",
    "conversations.history": "",
    "conversations.info": "",
    "conversations.join": "",
    "conversations.list": "",
    "conversations.members": "",
    "conversations.open": "direct messages of one person",
    "conversations.replies": "",
    "files.completeUploadExternal": "shared at once, where Slack takes a moment; its blocks are not shown",
    "files.getUploadURLExternal": "up to 64 MB",
    "files.info": "",
    "reactions.add": "",
    "reactions.remove": "",
    "usergroups.list": "",
    "usergroups.users.list": "",
    "users.conversations": "",
    "users.info": "",
    "users.list": "",
    "views.open": "",
    "views.publish": "",
    "views.push": "",
    "views.update": "",
}

EVENTS: Mapping[str, str] = {
    "app_home_opened": "",
    "app_mention": "also for a mention that an edit brought in, marked as edited",
    "message.channels": "new, changed, deleted; no joins",
    "message.groups": "as message.channels",
    "message.im": "as message.channels",
}

INTERACTIONS: Mapping[str, str] = {
    "block_actions": "from messages, modals and Home",
    "block_suggestion": "",
    "message_action": "",
    "shortcut": "",
    "slash_commands": "",
    "view_closed": "",
    "view_submission": "all four response actions",
}

BLOCKS: Mapping[str, str] = {
    "actions": "",
    "alert": "200 characters",
    "card": "",
    "carousel": "",
    "container": "",
    "context": "",
    "context_actions": "",
    "data_table": "",
    "divider": "",
    "header": "",
    "image": "",
    "input": "",
    "markdown": "",
    "plan": "",
    "rich_text": "",
    "section": "",
    "table": "one in a message",
    "task_card": "",
}
