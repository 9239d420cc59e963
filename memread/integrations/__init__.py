"""memread inside other programs: a plugin for llm, and an MCP server. Each needs the extra of its name."""
