"""The record of an environment: releases, lock, the run that changes it, audit heads."""
