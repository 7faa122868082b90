"""LangChain's client of OpenAI and the gateway: langchain.py URL KEY. It says ok, or
fails."""

import asyncio
import json
import sys

import openai
from langchain_core.tools import tool
from langchain_openai import ChatOpenAI, OpenAIEmbeddings

SCHEMA = {
    "title": "feeling",
    "type": "object",
    "properties": {"mood": {"enum": ["good", "bad"]}, "sure": {"type": "boolean"}},
    "required": ["mood", "sure"],
    "additionalProperties": False,
}


@tool
def weather(city: str) -> str:
    """The weather of a city."""
    return city


def main(url, key):
    def model(name, key=key, **more):
        return ChatOpenAI(base_url=url, api_key=key, model=name, max_retries=0, temperature=0, **more)

    chat = model("chat", max_tokens=12, stream_usage=True)
    whole = chat.invoke("hi")
    assert whole.content and whole.usage_metadata["output_tokens"] == 12, whole
    chunks = list(chat.stream("hi"))
    assert "".join(c.content for c in chunks) == whole.content, chunks
    assert sum(c.usage_metadata["output_tokens"] for c in chunks if c.usage_metadata) == 12, chunks
    # Without the usage nothing of it comes, and asynchronously it is the same.
    silent = model("chat", max_tokens=12, stream_usage=False)
    assert not any(c.usage_metadata for c in silent.stream("hi"))

    async def collect():
        return [c.content async for c in silent.astream("hi")]

    assert "".join(asyncio.run(collect())) == whole.content
    assert [m.content for m in silent.batch(["hi", "hi"])] == [whole.content] * 2

    scripted = model("scripted").bind_tools([weather])
    assert scripted.invoke("hi").tool_calls[0]["args"] == {"city": "Zürich"}
    told = None
    for c in scripted.stream("hi"):
        told = c if told is None else told + c
    assert told.tool_calls[0]["name"] == "weather" and told.tool_calls[0]["args"] == {"city": "Zürich"}, told

    shaped = model("chat", max_tokens=100).with_structured_output(SCHEMA, method="json_schema", strict=True, include_raw=True).invoke("hi")
    assert shaped["parsing_error"] is None and set(json.loads(shaped["raw"].content)) == {"mood", "sure"}, shaped

    # As plain text: else it looks for the tables of OpenAI's tokens.
    vectors = OpenAIEmbeddings(base_url=url, api_key=key, model="embed", max_retries=0, check_embedding_ctx_length=False).embed_documents(["one", "two"])
    assert [len(v) for v in vectors] == [64, 64]

    refused(openai.NotFoundError, "model_not_found", lambda: model("none").invoke("hi"))
    refused(openai.AuthenticationError, "invalid_api_key", lambda: model("chat", "wrong").invoke("hi"))
    refused(openai.RateLimitError, "rate_limit_exceeded", lambda: model("chat", "poor").invoke("hi"))
    refused(openai.APIError, "upstream_error", lambda: list(model("scripted").bind(user="break off").stream("hi")))

    # Left in the middle, where the other side would go on for long.
    for name in "chat", "scripted":
        stream = model(name, max_tokens=1900).bind(user="leaves").stream("hi")
        next(stream)
        stream.close()
    print("ok")


def refused(kind, code, call):
    try:
        call()
    except kind as e:
        assert e.code == code, e
    else:
        raise AssertionError(f"not a {kind}")


if __name__ == "__main__":
    main(*sys.argv[1:])
