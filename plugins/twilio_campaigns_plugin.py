"""Registers the plugin where the plugins folder is mounted and the package is not pip-installed.

Where it is installed, its entry point registers the plugin, and a second registration would make Airflow's
task SDK drop every plugin that comes later, other people's too.
"""

from __future__ import annotations

from importlib.metadata import entry_points

if not any(point.name == "twilio_campaigns" for point in entry_points(group="airflow.plugins")):
    from twilio_campaigns.plugin import TwilioCampaignsPlugin  # noqa: F401 - the loader finds it by looking
