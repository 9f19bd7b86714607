"""The built-in storage kinds: plugins that can do nothing a third party's can't."""
