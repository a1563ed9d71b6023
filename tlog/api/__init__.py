"""HTTP: handlers parse, make one call, encode. The only package that imports aiohttp's server."""
