"""Where plug-ins of the search import from: `plugins.core.base_plugin_opt` and `plugins.core.logger`."""
