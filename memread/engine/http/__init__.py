"""Any OpenAI-compatible server as an engine: `--engine http://host:port/v1`.

client.py   HTTP from any thread
faults.py   what can go wrong → the errors of ours that it becomes, or one more try
server.py   what a server is: its kind, model, context, build, and how it counts tokens
tokens.py   counting: the server's own endpoints, or an estimate
prompts.py  prompt parts → token ids, or text in which no special token is spelled
connect.py  all of that for one server, and its first token
engine.py   requests → streams, many at a time

`httpx2` is imported only in client.py and faults.py.
"""
