"""The loops that make what is into what is asked for, each driven by changes and timers alone."""
