"""HTTP/1.1 at protocol level: the server side, the upstream side, and what both share.

Heads are parsed by llhttp and judged once more by the rules that smuggling lives on; bodies are followed, not
parsed: their bytes go on as they came.
"""
