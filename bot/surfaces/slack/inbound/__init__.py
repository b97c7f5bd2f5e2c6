"""What Slack delivers: payloads, Bolt's listeners and middleware, forms and the Home tab."""
