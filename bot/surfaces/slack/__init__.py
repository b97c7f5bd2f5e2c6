"""Slack. The only importer of slack_bolt and slack_sdk.

`transport` carries payloads and Web API calls, `inbound` reads what people do, `render` draws cards, `outbound` sends them.
"""
