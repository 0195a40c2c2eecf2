"""An HTTP server over engines that turn texts into texts: routes, limits, and the connection below them."""
