"""Key metrics of an environment over time: how each stands to its limit, when its behaviour changed, and its picture."""
